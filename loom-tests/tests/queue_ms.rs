//! `MsQueue`, whose arena starts with one or two nodes: every model grows it or recycles nodes.
#![cfg(loom)]

mod queue;

use efio_queue::MsQueue;
use loom::sync::Arc;
use loom::thread;
use queue::{check, check_within, pop_batch_of_one, pop_one, used};

fn fresh<const FIRST: usize>() -> MsQueue<u32, FIRST> {
    MsQueue::with_first()
}

#[test]
fn two_producers_one_consumer() {
    check(|| queue::two_producers_one_consumer(fresh::<1>()));
}

#[test]
fn two_producers_one_consumer_recycled() {
    check(|| queue::two_producers_one_consumer(used(fresh::<1>(), 2)));
}

#[test]
fn one_producer_two_consumers() {
    check(|| queue::one_producer_two_consumers(fresh::<4>()));
}

#[test]
fn one_producer_two_consumers_recycled() {
    check(|| queue::one_producer_two_consumers(used(fresh::<1>(), 2)));
}

/// One preemption: with two it takes minutes.
#[test]
fn two_producers_two_consumers() {
    check_within(1, || queue::two_producers_two_consumers(fresh::<2>()));
}

#[test]
fn a_push_is_seen() {
    check(|| queue::a_push_is_seen(fresh::<1>()));
}

#[test]
fn a_push_is_seen_used() {
    check(|| queue::a_push_is_seen(used(fresh::<2>(), 1)));
}

#[test]
fn recycling_1() {
    check(|| queue::recycling(used(fresh::<1>(), 2)));
}

#[test]
fn recycling_2() {
    check(|| queue::recycling(used(fresh::<2>(), 4)));
}

#[test]
fn recycling_under_producers() {
    check(|| queue::recycling_under_producers(used(fresh::<1>(), 3)));
}

#[test]
fn a_slow_consumer() {
    check(|| queue::a_slow_consumer(fresh::<2>(), 3, pop_one));
}

#[test]
fn a_slow_consumer_of_a_batch() {
    check(|| queue::a_slow_consumer(fresh::<2>(), 3, pop_batch_of_one));
}

#[test]
fn batches_1() {
    check(|| queue::batches(fresh::<1>()));
}

#[test]
fn batches_4() {
    check(|| queue::batches(fresh::<4>()));
}

#[test]
fn close() {
    check(|| queue::close(fresh::<2>()));
}

#[test]
fn dropped_half_drained() {
    check(|| queue::dropped_half_drained(MsQueue::<_, 1>::with_first()));
}

/// With a capacity, both sides share one stack of free nodes, and a push is refused only when the
/// queue is full.
#[test]
fn bounded() {
    check(|| {
        let queue = Arc::new(MsQueue::with_capacity(2));
        queue.push(20).unwrap();
        let other = {
            let queue = queue.clone();
            thread::spawn(move || {
                let mut accepted = vec![];
                accepted.extend(queue.push(10).is_ok().then_some(10));
                accepted.extend(queue.push(11).is_ok().then_some(11));
                accepted
            })
        };
        let mine: Vec<u32> = queue.pop().into_iter().collect();
        let accepted = other.join().unwrap();
        assert_eq!(mine, [20]);
        assert!(!accepted.is_empty(), "two items never were in the queue");
        let rest: Vec<u32> = queue.drain().collect();
        assert_eq!(rest, accepted);
        queue.push(30).unwrap();
        queue.push(31).unwrap();
        assert!(queue.push(32).unwrap_err().is_full());
    });
}
