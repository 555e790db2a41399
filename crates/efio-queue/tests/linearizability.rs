//! Records small histories of real threads and looks for an order of the operations in which a
//! sequential queue would have done the same, with each operation between its call and its return.
//!
//! The search is that of J. M. Wing and C. Gong, "Testing and Verifying Concurrent Objects", JPDC
//! 1993, with the states that were tried remembered (G. Lowe, "Testing for Linearizability", 2017).

use std::collections::{HashSet, VecDeque};
use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use efio_queue::{MsQueue, Queue, SegQueue};

#[derive(Clone, Copy, PartialEq, Debug)]
enum Op {
    Push(u32),
    Pop(Option<u32>),
}

/// An operation, and the time of its call and its return.
#[derive(Clone, Copy, Debug)]
struct Event {
    op: Op,
    called: u64,
    returned: u64,
}

/// Whether some order explains the history.
fn is_linearizable(history: &[Event]) -> bool {
    fn search(
        history: &[Event],
        done: u64,
        queue: &VecDeque<u32>,
        seen: &mut HashSet<(u64, VecDeque<u32>)>,
    ) -> bool {
        if done.count_ones() as usize == history.len() {
            return true;
        }
        if !seen.insert((done, queue.clone())) {
            return false;
        }
        let open = || (0..history.len()).filter(|index| done >> index & 1 == 0);
        // What was called after some open operation returned cannot come before that one.
        let horizon = open().map(|index| history[index].returned).min().unwrap();
        open()
            .filter(|index| history[*index].called < horizon)
            .any(|index| {
                let mut queue = queue.clone();
                let fits = match history[index].op {
                    Op::Push(item) => {
                        queue.push_back(item);
                        true
                    }
                    Op::Pop(item) => queue.pop_front() == item,
                };
                fits && search(history, done | 1 << index, &queue, seen)
            })
    }
    assert!(history.len() <= 64);
    search(history, 0, &VecDeque::new(), &mut HashSet::new())
}

/// What three threads do to the queue: pushes and pops in an order that depends on `seed`.
fn record(queue: &impl Queues, seed: u64) -> Vec<Event> {
    const THREADS: u64 = 3;
    let (clock, barrier) = (AtomicU64::new(0), Barrier::new(THREADS as usize));
    thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                let (clock, barrier) = (&clock, &barrier);
                scope.spawn(move || {
                    let mut random = seed * THREADS + thread + 1;
                    barrier.wait();
                    (0..5)
                        .map(|number| {
                            random = random.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
                            let called = clock.fetch_add(1, Ordering::SeqCst);
                            let op = if random >> 60 < 8 {
                                let item = thread as u32 * 100 + number;
                                queue.put(item);
                                Op::Push(item)
                            } else {
                                Op::Pop(queue.get())
                            };
                            Event {
                                op,
                                called,
                                returned: clock.fetch_add(1, Ordering::SeqCst),
                            }
                        })
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap())
            .collect()
    })
}

/// What a recorded queue can do.
trait Queues: Sync {
    fn put(&self, item: u32);
    fn get(&self) -> Option<u32>;
}

impl<Q: Queue<u32> + Sync> Queues for Q {
    fn put(&self, item: u32) {
        self.push(item).unwrap();
    }
    fn get(&self) -> Option<u32> {
        self.pop()
    }
}

fn check<Q: Queue<u32> + Sync>(make: fn() -> Q) {
    for seed in 0..2_000 {
        let mut history = record(&make(), seed);
        history.sort_by_key(|event| event.called);
        assert!(is_linearizable(&history), "seed {seed}: {history:#?}");
    }
}

#[test]
fn segments_of_1() {
    check(SegQueue::<_, 1>::with_slots);
}

#[test]
fn segments_of_3() {
    check(SegQueue::<_, 3>::with_slots);
}

#[test]
fn segments_of_128() {
    check(SegQueue::new);
}

#[test]
fn nodes() {
    check(MsQueue::<_, 1>::with_first);
}

#[test]
fn bounded_nodes() {
    check(|| MsQueue::with_capacity(20));
}

fn event(op: Op, called: u64, returned: u64) -> Event {
    Event {
        op,
        called,
        returned,
    }
}

#[test]
fn the_checker_knows_right_from_wrong() {
    use Op::{Pop, Push};
    let one_after_the_other = |ops: &[Op]| {
        let events = ops
            .iter()
            .zip(0..)
            .map(|(op, at)| event(*op, 2 * at, 2 * at + 1));
        is_linearizable(&events.collect::<Vec<_>>())
    };
    assert!(one_after_the_other(&[
        Push(1),
        Push(2),
        Pop(Some(1)),
        Pop(Some(2)),
        Pop(None)
    ]));
    assert!(
        !one_after_the_other(&[Push(1), Push(2), Pop(Some(2))]),
        "order"
    );
    assert!(!one_after_the_other(&[Push(1), Pop(None)]), "overlooked");
    assert!(
        !one_after_the_other(&[Push(1), Pop(Some(1)), Pop(Some(1))]),
        "twice"
    );
    assert!(
        !one_after_the_other(&[Pop(Some(1)), Push(1)]),
        "before it was there"
    );
    // At the same time, either order will do.
    let (a, b) = (event(Push(1), 0, 3), event(Push(2), 1, 2));
    assert!(is_linearizable(&[a, b, event(Pop(Some(2)), 4, 5)]));
    assert!(is_linearizable(&[a, b, event(Pop(Some(1)), 4, 5)]));
    assert!(is_linearizable(&[
        event(Push(1), 0, 2),
        event(Pop(None), 1, 3)
    ]));
}

/// A stack is not a queue, and real threads show it.
#[test]
fn the_recorder_catches_a_wrong_queue() {
    struct Stack(std::sync::Mutex<Vec<u32>>);

    impl Queues for Stack {
        fn put(&self, item: u32) {
            self.0.lock().unwrap().push(item);
        }
        fn get(&self) -> Option<u32> {
            self.0.lock().unwrap().pop()
        }
    }

    assert!((0..100).any(|seed| !is_linearizable(&record(&Stack(Default::default()), seed))));
}
