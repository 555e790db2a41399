//! `MsQueue`, whose arena starts with one or two nodes: every model grows it or recycles nodes.
#![cfg(loom)]

use efio_queue::MsQueue;
use loom::sync::Arc;
use loom::thread;

/// Explores all interleavings with at most `preemptions` preemptions.
fn check(preemptions: usize, model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.max_branches = 20_000;
    builder.check(model);
}

fn queue<const FIRST: usize>() -> Arc<MsQueue<u32, FIRST>> {
    Arc::new(MsQueue::with_first())
}

/// A queue that was used before: some nodes wait to be used again.
fn used<const FIRST: usize>(items: u32) -> Arc<MsQueue<u32, FIRST>> {
    let queue = queue();
    for item in 0..items {
        queue.push(item).unwrap();
        assert_eq!(queue.pop(), Some(item));
    }
    queue
}

fn pops<const FIRST: usize>(queue: &MsQueue<u32, FIRST>, attempts: usize) -> Vec<u32> {
    (0..attempts).filter_map(|_| queue.pop()).collect()
}

/// Everything came once, and what one consumer saw of one producer (the tens) came in order.
fn settle<const FIRST: usize>(
    queue: &MsQueue<u32, FIRST>,
    consumers: &[&[u32]],
    mut expected: Vec<u32>,
) {
    let rest: Vec<u32> = queue.drain().collect();
    let mut all = rest.clone();
    for seen in consumers.iter().copied().chain([&rest[..]]) {
        for producer in 1..4 {
            let of_one: Vec<_> = seen.iter().filter(|item| **item / 10 == producer).collect();
            assert!(of_one.is_sorted(), "out of order: {seen:?}");
        }
    }
    all.extend(consumers.iter().copied().flatten());
    all.sort_unstable();
    expected.sort_unstable();
    assert_eq!(all, expected);
    assert!(queue.is_empty());
}

fn two_producers_one_consumer<const FIRST: usize>(queue: Arc<MsQueue<u32, FIRST>>) {
    let producers = [10, 20].map(|base| {
        let queue = queue.clone();
        thread::spawn(move || {
            queue.push(base).unwrap();
            queue.push(base + 1).unwrap();
        })
    });
    let seen = pops(&queue, 2);
    producers
        .into_iter()
        .for_each(|producer| producer.join().unwrap());
    settle(&queue, &[&seen], vec![10, 11, 20, 21]);
}

#[test]
fn two_producers_one_consumer_1() {
    check(2, || two_producers_one_consumer::<1>(queue()));
}

#[test]
fn two_producers_one_consumer_2() {
    check(2, || two_producers_one_consumer::<2>(queue()));
}

#[test]
fn two_producers_one_consumer_used() {
    check(2, || two_producers_one_consumer::<1>(used(2)));
}

fn one_producer_two_consumers<const FIRST: usize>(queue: Arc<MsQueue<u32, FIRST>>) {
    queue.push(10).unwrap();
    let producer = {
        let queue = queue.clone();
        thread::spawn(move || {
            queue.push(11).unwrap();
            queue.push(12).unwrap();
        })
    };
    let consumer = {
        let queue = queue.clone();
        thread::spawn(move || pops(&queue, 2))
    };
    let mine = pops(&queue, 2);
    producer.join().unwrap();
    let theirs = consumer.join().unwrap();
    settle(&queue, &[&mine, &theirs], vec![10, 11, 12]);
}

#[test]
fn one_producer_two_consumers_1() {
    check(2, || one_producer_two_consumers::<1>(queue()));
}

#[test]
fn one_producer_two_consumers_4() {
    check(2, || one_producer_two_consumers::<4>(queue()));
}

#[test]
fn one_producer_two_consumers_used() {
    check(2, || one_producer_two_consumers::<1>(used(2)));
}

fn two_producers_two_consumers<const FIRST: usize>(queue: Arc<MsQueue<u32, FIRST>>) {
    let producers = [10, 20].map(|item| {
        let queue = queue.clone();
        thread::spawn(move || queue.push(item).unwrap())
    });
    let consumer = {
        let queue = queue.clone();
        thread::spawn(move || pops(&queue, 1))
    };
    let mine = pops(&queue, 1);
    producers
        .into_iter()
        .for_each(|producer| producer.join().unwrap());
    let theirs = consumer.join().unwrap();
    settle(&queue, &[&mine, &theirs], vec![10, 20]);
}

#[test]
fn two_producers_two_consumers_1() {
    check(2, || two_producers_two_consumers::<1>(queue()));
}

#[test]
fn two_producers_two_consumers_2() {
    check(2, || two_producers_two_consumers::<2>(used(1)));
}

/// One who pushed finds the queue not empty as long as nobody else took more than was theirs; so two
/// threads that each push and then pop each get something.
fn a_push_is_seen<const FIRST: usize>(queue: Arc<MsQueue<u32, FIRST>>) {
    let push_pop = |queue: Arc<MsQueue<u32, FIRST>>, item| {
        queue.push(item).unwrap();
        queue.pop().expect("two pushes, at most one pop before")
    };
    let other = {
        let queue = queue.clone();
        thread::spawn(move || push_pop(queue, 10))
    };
    let mine = push_pop(queue.clone(), 20);
    let theirs = other.join().unwrap();
    settle(&queue, &[&[mine], &[theirs]], vec![10, 20]);
}

#[test]
fn a_push_is_seen_1() {
    check(3, || a_push_is_seen::<1>(queue()));
}

#[test]
fn a_push_is_seen_2() {
    check(3, || a_push_is_seen::<2>(used(1)));
}

/// Nodes go round and come back while a slow consumer may still be looking at them.
fn recycling<const FIRST: usize>(rounds: u32) {
    let queue = used::<FIRST>(2 * FIRST as u32);
    let other = {
        let queue = queue.clone();
        thread::spawn(move || pops(&queue, 1))
    };
    let mut mine = vec![];
    for round in 0..rounds {
        queue.push(10 + round).unwrap();
        mine.extend(queue.pop());
    }
    let theirs = other.join().unwrap();
    settle(&queue, &[&mine, &theirs], (10..10 + rounds).collect());
}

#[test]
fn recycling_1() {
    check(2, || recycling::<1>(3));
}

#[test]
fn recycling_2() {
    check(2, || recycling::<2>(3));
}

/// Two slow producers and recycled nodes.
#[test]
fn recycling_under_producers() {
    check(2, || {
        let queue = used::<1>(3);
        let other = {
            let queue = queue.clone();
            thread::spawn(move || {
                queue.push(10).unwrap();
                queue.push(11).unwrap();
                queue.pop()
            })
        };
        let mut mine = vec![];
        for item in [20, 21] {
            queue.push(item).unwrap();
            mine.extend(queue.pop());
        }
        let theirs: Vec<u32> = other.join().unwrap().into_iter().collect();
        settle(&queue, &[&mine, &theirs], vec![10, 11, 20, 21]);
    });
}

/// A node whose item was won comes back only when the slow winner is out of it.
fn a_slow_consumer(pop: fn(&MsQueue<u32, 2>) -> Option<u32>) {
    check(2, move || {
        let queue = queue::<2>();
        queue.push(10).unwrap();
        queue.push(11).unwrap();
        let slow = {
            let queue = queue.clone();
            thread::spawn(move || pop(&queue).into_iter().collect::<Vec<u32>>())
        };
        let mine: Vec<u32> = queue.pop().into_iter().collect();
        (20..25).for_each(|item| queue.push(item).unwrap());
        let theirs = slow.join().unwrap();
        settle(&queue, &[&mine, &theirs], vec![10, 11, 20, 21, 22, 23, 24]);
    });
}

#[test]
fn a_slow_consumer_of_one() {
    a_slow_consumer(|queue| queue.pop());
}

#[test]
fn a_slow_consumer_of_a_batch() {
    a_slow_consumer(|queue| {
        let mut out = vec![];
        queue.pop_batch(&mut out, 1);
        out.pop()
    });
}

/// Claims of several items at once against single ones.
fn batches<const FIRST: usize>() {
    let queue = queue::<FIRST>();
    let producer = {
        let queue = queue.clone();
        thread::spawn(move || {
            let mut items = vec![10, 11, 12];
            queue.push_batch(&mut items).unwrap();
            assert!(items.is_empty());
        })
    };
    queue.push(20).unwrap();
    let mut mine = vec![];
    queue.pop_batch(&mut mine, 3);
    producer.join().unwrap();
    settle(&queue, &[&mine], vec![10, 11, 12, 20]);
}

#[test]
fn batches_1() {
    check(2, batches::<1>);
}

#[test]
fn batches_2() {
    check(2, batches::<2>);
}

#[test]
fn batches_4() {
    check(2, batches::<4>);
}

/// What was accepted before the queue closed comes out; after "closed and empty" nothing does.
#[test]
fn close() {
    check(3, || {
        let queue = queue::<2>();
        let producer = {
            let queue = queue.clone();
            thread::spawn(move || {
                (10..13)
                    .take_while(|item| queue.push(*item).is_ok())
                    .collect::<Vec<_>>()
            })
        };
        let closer = {
            let queue = queue.clone();
            thread::spawn(move || queue.close())
        };
        let mut mine = pops(&queue, 1);
        let closed = queue.is_closed();
        let emptied = queue.pop();
        mine.extend(emptied);
        let accepted = producer.join().unwrap();
        if closed && emptied.is_none() {
            assert_eq!(queue.pop(), None, "came after closed and empty");
        }
        assert!(closer.join().unwrap());
        assert!(queue.push(99).is_err());
        settle(&queue, &[&mine], accepted);
    });
}

/// Half-drained and dropped by the last of its owners: loom counts the memory.
#[test]
fn dropped_half_drained() {
    check(2, || {
        let queue = Arc::new(MsQueue::<_, 1>::with_first());
        let witness = Arc::new(());
        let producer = {
            let (queue, witness) = (queue.clone(), witness.clone());
            thread::spawn(move || {
                queue.push(witness.clone()).unwrap();
                queue.push(witness).unwrap();
            })
        };
        drop(queue.pop());
        producer.join().unwrap();
        drop(queue);
        assert_eq!(Arc::strong_count(&witness), 1);
    });
}

/// A capacity: one stack of free nodes for both sides, and "full" only when it is.
#[test]
fn bounded() {
    check(3, || {
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
