//! Two threads at work on every operation, to be run under ThreadSanitizer. No test harness, no
//! scoped threads: those give false alarms.
//!
//! ```text
//! RUSTFLAGS="-Zsanitizer=thread -Cunsafe-allow-abi-mismatch=sanitizer" \
//!     cargo +nightly run -p efio-chunks --example tsan_stress --release \
//!     --target x86_64-unknown-linux-gnu --target-dir target/tsan
//! ```
//!
//! `tsan_stress broken` lets the threads race on purpose: it must be reported.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use efio_chunks::{AlignedBuf, Buffer, ByteReader, ByteWriter, Chunk, ChunkReader, Options};

/// The last owner of an `Arc` learns through a fence that the others are done, and the sanitizer
/// does not understand fences. Only the release of what an `Arc` holds is hidden from it.
#[unsafe(no_mangle)]
extern "C" fn __tsan_default_suppressions() -> *const std::ffi::c_char {
    c"race:alloc::sync::Arc*drop_slow".as_ptr()
}

const TOTAL: usize = 8 << 20;

fn byte(position: usize) -> u8 {
    (position ^ (position >> 8)) as u8
}

fn bytes(position: usize, len: usize) -> Vec<u8> {
    (position..position + len).map(byte).collect()
}

/// Puts the bytes in, in every way.
fn produce(mut writer: ByteWriter, mut next: impl FnMut(usize) -> usize) {
    let mut position = 0;
    while position < TOTAL {
        let len = (1 + next(700)).min(TOTAL - position);
        position += match next(8) {
            0 => writer.push(bytes(position, len)).map_or(0, |()| len),
            1 => {
                let mut page = AlignedBuf::new(len, 64);
                page.extend_from_slice(&bytes(position, len));
                writer.push(page).map_or(0, |()| len)
            }
            2 => {
                writer.seal();
                0
            }
            3 => {
                let spare = writer.spare();
                let count = len.min(spare.len());
                spare[..count].copy_from_slice(&bytes(position, count));
                writer.commit(count);
                count
            }
            _ => writer.append(&bytes(position, len)),
        };
        if writer.allowance(1) == 0 {
            writer.arm(1);
            thread::yield_now();
        }
    }
}

/// Takes them out, in every way.
fn consume(mut reader: ByteReader, mut next: impl FnMut(usize) -> usize) {
    let mut position = 0;
    let mut buf = vec![0; 900];
    let mut onward = Options::new().build::<Buffer>();
    let check = |position: usize, bytes: &[u8]| {
        for (index, got) in bytes.iter().enumerate() {
            assert_eq!(*got, byte(position + index));
        }
        bytes.len()
    };
    while !reader.is_closed() {
        let len = 1 + next(buf.len());
        position += match next(7) {
            0 => reader
                .pop()
                .map_or(0, |popped| check(position, popped.bytes())),
            1 => {
                let count = reader.peek(next(300) as u64, &mut buf[..len]);
                assert!(count <= reader.len());
                0
            }
            2 => {
                let there: usize = reader
                    .chunks()
                    .fold(0, |at, chunk| at + check(position + at, chunk.bytes()));
                reader.consume(there)
            }
            3 => {
                reader.transfer(&mut onward.0);
                drain(&mut onward.1, |at, bytes| check(position + at, bytes))
            }
            _ => {
                let count = reader.read(&mut buf[..len]);
                check(position, &buf[..count])
            }
        };
        if reader.is_empty() && reader.arm() {
            thread::yield_now();
        }
    }
    assert_eq!(position, TOTAL);
}

fn drain(reader: &mut ChunkReader<Buffer>, check: impl Fn(usize, &[u8]) -> usize) -> usize {
    let mut at = 0;
    while let Some(popped) = reader.pop() {
        at += check(at, popped.bytes());
    }
    at
}

/// Small numbers below a bound, the same in every run.
fn numbers(mut seed: u64) -> impl FnMut(usize) -> usize {
    move |bound| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        (seed % bound as u64) as usize
    }
}

fn stress(round: u64, hooked: bool, bound: usize) {
    let calls = Arc::new(AtomicUsize::new(0));
    let count = calls.clone();
    let mut options = Options::new().max_bytes(bound).chunk_size(64..=4096);
    if hooked {
        let hook = Arc::new(move || _ = count.fetch_add(1, Ordering::Relaxed));
        options = options.on_readable(hook.clone()).on_writable(hook);
    }
    let (writer, reader) = options.build_bytes();
    let producer = thread::spawn(move || produce(writer, numbers(round + 1)));
    let consumer = thread::spawn(move || consume(reader, numbers(round + 1000)));
    producer.join().expect("the producer");
    consumer.join().expect("the consumer");
    println!(
        "round {round}: bound {bound}, {} notifications",
        calls.load(Ordering::Relaxed)
    );
}

/// Readers leave early, with chunks and tails under way.
fn leave(round: u64) {
    let (mut writer, mut reader) = Options::new().chunk_size(64..=256).build_bytes();
    let mut next = numbers(round + 7);
    let steps = next(200);
    let producer = thread::spawn(move || {
        while !writer.is_reader_gone() {
            writer.append(&[1; 100]);
            _ = writer.push(vec![2; 30]);
        }
    });
    let consumer = thread::spawn(move || {
        for _ in 0..steps {
            reader.consume(50);
        }
    });
    producer.join().expect("the producer");
    consumer.join().expect("the consumer");
}

fn main() {
    if std::env::args().any(|arg| arg == "broken") {
        return broken();
    }
    for round in 0..4 {
        stress(round, round % 2 == 1, [3000, 100_000][round as usize / 2]);
    }
    for round in 0..500 {
        leave(round);
    }
    println!("done");
}

/// Writes into a chunk that the reader may look at, as a page type of bad faith could.
fn broken() {
    struct Racy(*mut u8);
    // SAFETY: a lie, so that the sanitizer has something to find.
    unsafe impl Send for Racy {}
    // SAFETY: the address is constant; that nobody changes the bytes is a lie.
    unsafe impl Chunk for Racy {
        fn as_ptr(&self) -> *const u8 {
            self.0
        }
        fn len(&self) -> usize {
            8
        }
    }
    let memory = Box::leak(Box::new([0u8; 8])).as_mut_ptr();
    let (ours, theirs) = (Racy(memory), Racy(memory));
    let (mut writer, mut reader) = efio_chunks::unbounded();
    let producer = thread::spawn(move || {
        _ = writer.push(theirs);
        for _ in 0..1000 {
            // SAFETY: none: this is the race.
            unsafe { ours.as_ptr().cast_mut().write_volatile(1) };
        }
    });
    let consumer = thread::spawn(
        move || {
            while reader.read(&mut [0; 8]) == 0 && !reader.is_closed() {}
        },
    );
    producer.join().expect("the producer");
    consumer.join().expect("the consumer");
}
