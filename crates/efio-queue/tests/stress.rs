//! Four threads, each with many pairs of a push and a pop; the queue ends empty and nothing is
//! lost.
//!
//! A program of its own (`harness = false`, no scoped threads), so that ThreadSanitizer sees our
//! synchronization and little else. `EFIO_STRESS_PAIRS=16000000` is the full size; what `cargo
//! test` runs is small.

use std::sync::Arc;
use std::thread;
use std::time::Instant;

use efio_queue::{MsQueue, Queue, SegQueue};

const THREADS: u64 = 4;

fn stress<Q: Queue<Box<u64>> + Send + Sync + 'static>(name: &str, queue: Q, pairs: u64) {
    let start = Instant::now();
    let queue = Arc::new(queue);
    let threads: Vec<_> = (0..THREADS)
        .map(|thread| {
            let queue = queue.clone();
            thread::spawn(move || {
                let (mut sum, mut batch) = (0u64, vec![]);
                for pair in 0..pairs {
                    let item = thread * pairs + pair;
                    // Every eighth time in batches. Each thread pops as many as it pushed, so the
                    // queue can be empty for a moment only because others popped first.
                    if pair % 8 < 7 {
                        queue.push(Box::new(item)).unwrap();
                        sum += *queue.pop().expect("as many pushes as pops came before");
                    } else {
                        batch.push(Box::new(item));
                        queue.push_batch(&mut batch).unwrap();
                        assert_eq!(queue.pop_batch(&mut batch, 1), 1);
                        sum += *batch.pop().unwrap();
                    }
                }
                sum
            })
        })
        .collect();
    let sum: u64 = threads
        .into_iter()
        .map(|thread| thread.join().unwrap())
        .sum();
    let total = THREADS * pairs;
    assert_eq!(sum, total * (total - 1) / 2, "{name}: lost or doubled");
    assert!(
        queue.is_empty() && queue.pop().is_none(),
        "{name}: not empty"
    );
    println!("{name}: {THREADS} × {pairs} pairs, {:.1?}", start.elapsed());
}

fn main() {
    let pairs = std::env::var("EFIO_STRESS_PAIRS").map_or(20_000, |value| {
        value.parse().expect("EFIO_STRESS_PAIRS: a number")
    });
    stress("SegQueue", SegQueue::new(), pairs);
    stress(
        "SegQueue, segments of 2",
        SegQueue::<_, 2>::with_slots(),
        pairs,
    );
    stress("MsQueue", MsQueue::new(), pairs);
    stress(
        "MsQueue with a capacity",
        MsQueue::with_capacity(8 * THREADS as usize),
        pairs,
    );
}
