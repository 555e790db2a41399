//! How streams are measured: one producer thread and one consumer thread, each on a core of its own,
//! candidates in alternating rounds of one run. Reported are medians of the rounds' ratios: absolute
//! figures drift, ratios within a round do not.

use std::hint;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

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

/// Time for `total` bytes to go through in blocks of `block`.
pub fn run<L: Lane>(block: usize, total: usize) -> Duration {
    let (mut writer, mut reader) = L::ends(block);
    let start = Arc::new(Barrier::new(2));
    let theirs = start.clone();
    let producer = thread::spawn(move || {
        pin(0);
        let source: Vec<u8> = (0..block).map(|i| i as u8).collect();
        theirs.wait();
        for _ in 0..total / block {
            let mut rest = &source[..];
            let mut patience = Patience::new();
            while !rest.is_empty() {
                match L::put(&mut writer, rest) {
                    0 => patience.wait(),
                    count => {
                        rest = &rest[count..];
                        patience = Patience::new();
                    }
                }
            }
        }
        let mut patience = Patience::new();
        while !L::flush(&mut writer) {
            patience.wait();
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
            let mut patience = Patience::new();
            while filled < block {
                match L::take(&mut reader, &mut buffer[filled..]) {
                    0 => patience.wait(),
                    count => {
                        filled += count;
                        patience = Patience::new();
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
    elapsed
}

/// Spins a little, then lets others run.
struct Patience(u32);

impl Patience {
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

/// A candidate's name and its measurement.
pub type Candidate = (&'static str, fn(usize, usize) -> Duration);

/// Measures the candidates at one block size and prints a table. The first is ours. Numbers on the
/// command line choose block sizes.
pub fn compare(title: &str, candidates: &[Candidate], block: usize, total: usize) {
    let only: Vec<usize> = std::env::args()
        .filter_map(|arg| arg.parse().ok())
        .collect();
    if !only.is_empty() && !only.contains(&block) {
        return;
    }
    let rounds = if quick() { 1 } else { 9 };
    // Frames of 16 KiB must come out even.
    let total = if quick() {
        (block * 4).max(64 << 10)
    } else {
        total
    };
    let mut times = vec![Vec::new(); candidates.len()];
    for round in 0..rounds {
        for turn in 0..candidates.len() {
            let index = (turn + round) % candidates.len();
            times[index].push(candidates[index].1(block, total).as_secs_f64());
        }
    }
    let blocks = (total / block) as f64;
    println!("\n{title}, blocks of {block} bytes, {rounds} rounds");
    println!(
        "{:<28} {:>12} {:>10} {:>8} {:>17}",
        "", "ns/block", "MB/s", "ratio", "spread"
    );
    for (index, (name, _)) in candidates.iter().enumerate() {
        // How many times faster ours is.
        let ratios: Vec<f64> = times[index]
            .iter()
            .zip(&times[0])
            .map(|(t, o)| t / o)
            .collect();
        let (low, ratio, high) = spread(&ratios);
        let (_, time, _) = spread(&times[index]);
        println!(
            "{name:<28} {:>12.1} {:>10.0} {ratio:>8.2} {:>8.2}–{:<8.2}",
            time / blocks * 1e9,
            total as f64 / time / 1e6,
            low,
            high,
        );
    }
}

/// Least, median, greatest.
pub fn spread(values: &[f64]) -> (f64, f64, f64) {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    (
        sorted[0],
        sorted[sorted.len() / 2],
        sorted[sorted.len() - 1],
    )
}

/// `cargo test` runs benches too, to see that they work; only `cargo bench` measures.
pub fn quick() -> bool {
    !std::env::args().any(|arg| arg == "--bench")
}
