//! Both queues and the inbox, with more threads and operations than a loom model can have.
#![cfg(shuttle)]

use efio_queue::inbox::{self, WakerSlot};
use efio_queue::{MsQueue, Queue, SegQueue};
use efio_sync::Parker;
use shuttle::sync::Arc;
use shuttle::{future, thread};

/// Schedules of each test, half of them random and half by priorities (Burckhardt et al., "A
/// randomized scheduler with probabilistic guarantees of finding bugs", ASPLOS 2010).
const SCHEDULES: usize = 2_000;
/// Changes of priority in a schedule.
const CHANGES: usize = 5;

fn check(test: impl Fn() + Send + Sync + Clone + 'static) {
    shuttle::check_random(test.clone(), SCHEDULES / 2);
    shuttle::check_pct(test, SCHEDULES / 2, CHANGES);
}

/// Item `number` of `producer`.
fn item(producer: u32, number: u32) -> u32 {
    producer * 100 + number
}

/// Asserts that each item of `producers × share` came once, and that each consumer saw the items of
/// one producer in order.
fn settle(seen: &[Vec<u32>], producers: u32, share: u32) {
    for one in seen {
        for producer in 0..producers {
            let theirs = one.iter().filter(|item| **item / 100 == producer);
            assert!(theirs.is_sorted(), "out of order: {one:?}");
        }
    }
    let mut all: Vec<u32> = seen.iter().flatten().copied().collect();
    all.sort_unstable();
    let expected: Vec<u32> = (0..producers)
        .flat_map(|producer| (0..share).map(move |number| item(producer, number)))
        .collect();
    assert_eq!(all, expected);
}

/// Producers push one by one or in batches; consumers pop until they have their share.
fn through<Q: Queue<u32> + Send + Sync + 'static>(queue: Q, producers: u32, consumers: u32) {
    const SHARE: u32 = 6;
    let queue = Arc::new(queue);
    let total = producers * SHARE;
    let pushing = (0..producers).map(|producer| {
        let queue = queue.clone();
        thread::spawn(move || {
            for number in (0..SHARE).step_by(2) {
                let mut pair = vec![item(producer, number), item(producer, number + 1)];
                if producer % 2 == 0 {
                    queue.push_batch(&mut pair).unwrap();
                } else {
                    pair.into_iter().for_each(|item| queue.push(item).unwrap());
                }
            }
        })
    });
    let popping = (0..consumers).map(|consumer| {
        let queue = queue.clone();
        // The last consumer takes the remainder too.
        let mine = total / consumers + u32::from(consumer + 1 == consumers) * (total % consumers);
        thread::spawn(move || {
            let mut seen = vec![];
            while seen.len() < mine as usize {
                let before = seen.len();
                if consumer % 2 == 0 {
                    seen.extend(queue.pop());
                } else {
                    queue.pop_batch(&mut seen, (mine as usize - before).min(3));
                }
                if seen.len() == before {
                    thread::yield_now();
                }
            }
            seen
        })
    });
    let pushing: Vec<_> = pushing.collect();
    let popping: Vec<_> = popping.collect();
    for producer in pushing {
        producer.join().unwrap();
    }
    let seen: Vec<_> = popping.into_iter().map(|c| c.join().unwrap()).collect();
    settle(&seen, producers, SHARE);
    assert!(queue.is_empty());
}

#[test]
fn seg_queue_4p4c() {
    check(|| through(SegQueue::<u32, 2>::with_slots(), 4, 4));
}

#[test]
fn seg_queue_7p1c_one_slot() {
    check(|| through(SegQueue::<u32, 1>::with_slots(), 7, 1));
}

#[test]
fn seg_queue_1p7c() {
    check(|| through(SegQueue::<u32, 3>::with_slots(), 1, 7));
}

#[test]
fn ms_queue_4p4c() {
    check(|| through(MsQueue::new(), 4, 4));
}

#[test]
fn ms_queue_1p7c() {
    check(|| through(MsQueue::new(), 1, 7));
}

/// Senders on five threads and a receiver that sleeps: it gets every item, and the end.
#[test]
fn a_sleeping_receiver_gets_everything() {
    check(|| {
        let (sender, mut receiver) = inbox::new(SegQueue::<u32, 2>::with_slots(), Parker::new());
        for producer in 0..5 {
            let sender = sender.clone();
            thread::spawn(move || {
                (0..3).for_each(|number| sender.send(item(producer, number)).unwrap());
            });
        }
        // As long as this sender lives no close wakes the receiver.
        let mut seen: Vec<u32> = (0..15).map(|_| receiver.recv().unwrap()).collect();
        drop(sender);
        seen.extend(receiver.recv());
        settle(&[seen], 5, 3);
    });
}

/// The same for a task.
#[test]
fn a_waiting_task_gets_everything() {
    check(|| {
        let (sender, mut receiver) = inbox::new(SegQueue::<u32, 2>::with_slots(), WakerSlot::new());
        for producer in 0..5 {
            let sender = sender.clone();
            thread::spawn(move || {
                (0..3).for_each(|number| sender.send(item(producer, number)).unwrap());
            });
        }
        drop(sender);
        let seen = future::block_on(async move {
            let mut seen = vec![];
            while let Some(item) = receiver.recv_async().await {
                seen.push(item);
            }
            seen
        });
        settle(&[seen], 5, 3);
    });
}
