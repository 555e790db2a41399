//! How streams are measured: one producer thread and one consumer thread, each on a core of its
//! own, candidates in alternating rounds of one run. The ratios are to the first of ours, above 1
//! for a candidate that takes longer than it.

use std::hint;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Instant;

use efio_benches::interleave::{self, Reference, Rounds, Spread, Table};

/// What every candidate may hold.
pub const CAPACITY: usize = 256 << 10;

/// One candidate: two ends of which neither waits.
pub trait Lane {
    type Writer: Send + 'static;
    type Reader: Send + 'static;

    fn ends(block: usize) -> (Self::Writer, Self::Reader);

    /// Puts some of the bytes in, returns how many.
    fn put(writer: &mut Self::Writer, bytes: &[u8]) -> usize;

    /// After the last bytes: whether everything that was put in is on its way. Asked until it is.
    fn flush(_: &mut Self::Writer) -> bool {
        true
    }

    /// Takes some bytes out, returns how many.
    fn take(reader: &mut Self::Reader, bytes: &mut [u8]) -> usize;
}

/// How many bytes are to go through, in blocks of how many.
#[derive(Clone, Copy)]
pub struct Work {
    pub block: usize,
    pub total: usize,
}

/// Nanoseconds per block.
pub fn run<L: Lane>(Work { block, total }: Work) -> f64 {
    let (mut writer, mut reader) = L::ends(block);
    let start = Arc::new(Barrier::new(2));
    let theirs = start.clone();
    let producer = thread::spawn(move || {
        pin(0);
        let source: Vec<u8> = (0..block).map(|i| i as u8).collect();
        theirs.wait();
        for _ in 0..total / block {
            let mut rest = &source[..];
            let mut backoff = Backoff::new();
            while !rest.is_empty() {
                match L::put(&mut writer, rest) {
                    0 => backoff.wait(),
                    count => {
                        rest = &rest[count..];
                        backoff = Backoff::new();
                    }
                }
            }
        }
        let mut backoff = Backoff::new();
        while !L::flush(&mut writer) {
            backoff.wait();
        }
        writer
    });
    let consumer = thread::spawn(move || {
        pin(1);
        let mut buffer = vec![0; block];
        start.wait();
        let begun = Instant::now();
        for _ in 0..total / block {
            let mut filled = 0;
            let mut backoff = Backoff::new();
            while filled < block {
                match L::take(&mut reader, &mut buffer[filled..]) {
                    0 => backoff.wait(),
                    count => {
                        filled += count;
                        backoff = Backoff::new();
                    }
                }
            }
            assert_eq!(buffer[block - 1], (block - 1) as u8);
            hint::black_box(&buffer);
        }
        begun.elapsed()
    });
    let elapsed = consumer.join().expect("the consumer");
    drop(producer.join().expect("the producer"));
    elapsed.as_nanos() as f64 / (total / block) as f64
}

/// Spins a little, then lets others run.
struct Backoff(u32);

impl Backoff {
    fn new() -> Self {
        Self(0)
    }

    fn wait(&mut self) {
        self.0 += 1;
        if self.0 < 128 {
            hint::spin_loop()
        } else {
            thread::yield_now()
        }
    }
}

fn pin(core: usize) {
    // SAFETY: plain system calls on local memory; zeros are an empty set.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(core, &mut set);
        // Where there is no such core the threads go where they go.
        libc::sched_setaffinity(0, size_of_val(&set), &set);
    }
}

/// Work through a lane, at a cost per block.
pub type Candidate = interleave::Candidate<'static, Work>;

/// Measures the candidates at one block size and prints a table. Numbers on the command line choose
/// block sizes.
pub fn compare(title: &str, candidates: &mut [Candidate], mut work: Work) {
    let only: Vec<usize> = std::env::args()
        .filter_map(|arg| arg.parse().ok())
        .collect();
    if !only.is_empty() && !only.contains(&work.block) {
        return;
    }
    let rounds = if quick() { 1 } else { 9 };
    if quick() {
        // Frames of 16 KiB must come out even.
        work.total = (work.block * 4).max(64 << 10);
    }
    let measured = Rounds::new(rounds, work).measure(candidates);
    let title = format!("{title}, blocks of {} bytes", work.block);
    Table::new(title, "ns/block", Spread::Extremes)
        .throughput(work.block)
        .against(Reference::Ours)
        .print(&measured);
}

/// `cargo test` runs benches too, to see that they work; only `cargo bench` measures.
fn quick() -> bool {
    !std::env::args().any(|arg| arg == "--bench")
}
