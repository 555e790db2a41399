//! `SegQueue`, with segments of one to three slots: every model crosses their ends.
#![cfg(loom)]

mod queue;

use efio_queue::SegQueue;
use queue::{check, pop_batch_of_one, pop_one, used};

fn fresh<const SLOTS: usize>() -> SegQueue<u32, SLOTS> {
    SegQueue::with_slots()
}

#[test]
fn two_producers_one_consumer() {
    check(|| queue::two_producers_one_consumer(fresh::<1>()));
}

#[test]
fn two_producers_one_consumer_recycled() {
    check(|| queue::two_producers_one_consumer(used(fresh::<2>(), 5)));
}

#[test]
fn one_producer_two_consumers() {
    check(|| queue::one_producer_two_consumers(fresh::<1>()));
}

#[test]
fn one_producer_two_consumers_recycled() {
    check(|| queue::one_producer_two_consumers(used(fresh::<2>(), 4)));
}

// Segments of three: at most one thread ever waits in these two models. loom makes no progress with
// two threads that yield to each other.

/// One of the producers reserves the last slot.
#[test]
fn two_producers_two_consumers_fill() {
    check(|| queue::two_producers_two_consumers(fresh::<3>()));
}

/// One of the consumers reserves the last slot.
#[test]
fn two_producers_two_consumers_leave() {
    check(|| queue::two_producers_two_consumers(used(fresh::<3>(), 2)));
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
    check(|| queue::a_slow_consumer(fresh::<2>(), 5, pop_one));
}

#[test]
fn a_slow_consumer_of_a_batch() {
    check(|| queue::a_slow_consumer(fresh::<2>(), 5, pop_batch_of_one));
}

#[test]
fn batches_2() {
    check(|| queue::batches(fresh::<2>()));
}

#[test]
fn batches_3() {
    check(|| queue::batches(fresh::<3>()));
}

#[test]
fn close() {
    check(|| queue::close(fresh::<2>()));
}

#[test]
fn dropped_half_drained() {
    check(|| queue::dropped_half_drained(SegQueue::<_, 1>::with_slots()));
}
