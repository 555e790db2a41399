//! The guarantees of both queues, as models of few operations. `queue_seg.rs` and `queue_ms.rs`
//! choose the segments or nodes.

use efio_queue::Queue;
use loom::sync::Arc;
use loom::thread::{self, JoinHandle};

/// A queue that a model can share.
pub trait Model: Queue<u32> + Send + Sync + 'static {}
impl<Q: Queue<u32> + Send + Sync + 'static> Model for Q {}

/// Explores all interleavings with at most two preemptions.
pub fn check(model: impl Fn() + Sync + Send + 'static) {
    check_within(2, model);
}

/// Explores all interleavings with at most that many preemptions.
pub fn check_within(preemptions: usize, model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.max_branches = 20_000;
    builder.check(model);
}

/// A queue that was used before: the memory of these items is free for reuse.
pub fn used<Q: Model>(queue: Q, items: u32) -> Q {
    for item in 0..items {
        queue.push(item).unwrap();
        assert_eq!(queue.pop(), Some(item));
    }
    queue
}

/// Runs `work` with the queue on a thread of its own.
fn spawn<Q: Model, R: 'static>(
    queue: &Arc<Q>,
    work: impl FnOnce(&Q) -> R + 'static,
) -> JoinHandle<R> {
    let queue = queue.clone();
    thread::spawn(move || work(&queue))
}

fn pops(queue: &impl Model, attempts: usize) -> Vec<u32> {
    (0..attempts).filter_map(|_| queue.pop()).collect()
}

fn drain(queue: &impl Model) -> Vec<u32> {
    let mut rest = vec![];
    queue.pop_batch(&mut rest, usize::MAX);
    rest
}

/// Asserts that each item came once, and that each consumer saw the items of one producer (the
/// tens) in order.
fn settle(queue: &impl Model, consumers: &[&[u32]], mut expected: Vec<u32>) {
    let rest = drain(queue);
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

pub fn two_producers_one_consumer(queue: impl Model) {
    let queue = Arc::new(queue);
    let one = spawn(&queue, |queue| {
        queue.push(10).unwrap();
        queue.push(11).unwrap();
    });
    let other = spawn(&queue, |queue| queue.push(20).unwrap());
    let seen = pops(&*queue, 2);
    one.join().unwrap();
    other.join().unwrap();
    settle(&*queue, &[&seen], vec![10, 11, 20]);
}

pub fn one_producer_two_consumers(queue: impl Model) {
    let queue = Arc::new(queue);
    queue.push(10).unwrap();
    let producer = spawn(&queue, |queue| {
        queue.push(11).unwrap();
        queue.push(12).unwrap();
    });
    let consumer = spawn(&queue, |queue| pops(queue, 1));
    let mine = pops(&*queue, 2);
    producer.join().unwrap();
    let theirs = consumer.join().unwrap();
    settle(&*queue, &[&mine, &theirs], vec![10, 11, 12]);
}

pub fn two_producers_two_consumers(queue: impl Model) {
    let queue = Arc::new(queue);
    queue.push(30).unwrap();
    let producers = [10, 20].map(|item| spawn(&queue, move |queue| queue.push(item).unwrap()));
    let consumer = spawn(&queue, |queue| pops(queue, 1));
    let mine = pops(&*queue, 1);
    for producer in producers {
        producer.join().unwrap();
    }
    let theirs = consumer.join().unwrap();
    settle(&*queue, &[&mine, &theirs], vec![10, 20, 30]);
}

/// A thread that pushed finds the queue not empty as long as no other took more than its share: two
/// threads that each push and then pop both get an item.
pub fn a_push_is_seen(queue: impl Model) {
    let push_pop = |queue: &_, item| {
        Queue::push(queue, item).unwrap();
        Queue::pop(queue).expect("two pushes, at most one pop before")
    };
    let queue = Arc::new(queue);
    let other = spawn(&queue, move |queue| push_pop(queue, 10));
    let mine = push_pop(&*queue, 20);
    let theirs = other.join().unwrap();
    settle(&*queue, &[&[mine], &[theirs]], vec![10, 20]);
}

/// Memory is recycled while a slow consumer may still look at it.
pub fn recycling(queue: impl Model) {
    let queue = Arc::new(queue);
    let other = spawn(&queue, |queue| pops(queue, 1));
    let mut mine = vec![];
    for item in 10..13 {
        queue.push(item).unwrap();
        mine.extend(queue.pop());
    }
    let theirs = other.join().unwrap();
    settle(&*queue, &[&mine, &theirs], vec![10, 11, 12]);
}

/// Two slow producers and recycled memory.
pub fn recycling_under_producers(queue: impl Model) {
    let queue = Arc::new(queue);
    let other = spawn(&queue, |queue| {
        queue.push(10).unwrap();
        queue.push(11).unwrap();
    });
    let mut mine = vec![];
    for item in [20, 21] {
        queue.push(item).unwrap();
        mine.extend(queue.pop());
    }
    other.join().unwrap();
    settle(&*queue, &[&mine], vec![10, 11, 20, 21]);
}

/// A slot that a slow consumer moves an item out of is reused by one of the next `pushes`, and only
/// after that move. `pop` takes one item.
pub fn a_slow_consumer<Q: Model>(queue: Q, pushes: u32, pop: fn(&Q) -> Option<u32>) {
    let queue = Arc::new(queue);
    queue.push(10).unwrap();
    queue.push(11).unwrap();
    let slow = spawn(&queue, move |queue| {
        pop(queue).into_iter().collect::<Vec<_>>()
    });
    let mine = pops(&*queue, 1);
    (20..20 + pushes).for_each(|item| queue.push(item).unwrap());
    let theirs = slow.join().unwrap();
    settle(
        &*queue,
        &[&mine, &theirs],
        [10, 11].into_iter().chain(20..20 + pushes).collect(),
    );
}

pub fn pop_one(queue: &impl Model) -> Option<u32> {
    queue.pop()
}

pub fn pop_batch_of_one(queue: &impl Model) -> Option<u32> {
    let mut out = vec![];
    queue.pop_batch(&mut out, 1);
    out.pop()
}

/// Reservations of several slots at once against those of one.
pub fn batches(queue: impl Model) {
    let queue = Arc::new(queue);
    let producer = spawn(&queue, |queue| {
        let mut items = vec![10, 11, 12];
        queue.push_batch(&mut items).unwrap();
        assert!(items.is_empty());
    });
    queue.push(20).unwrap();
    let mut mine = vec![];
    queue.pop_batch(&mut mine, 3);
    producer.join().unwrap();
    settle(&*queue, &[&mine], vec![10, 11, 12, 20]);
}

/// Items that were accepted before the close come out; after "closed and empty" none does.
pub fn close(queue: impl Model) {
    let queue = Arc::new(queue);
    let producer = spawn(&queue, |queue| {
        (10..13)
            .take_while(|item| queue.push(*item).is_ok())
            .collect::<Vec<_>>()
    });
    let closer = spawn(&queue, |queue| queue.close());
    let mut mine = pops(&*queue, 1);
    let closed = queue.is_closed();
    let emptied = queue.pop();
    mine.extend(emptied);
    let accepted = producer.join().unwrap();
    if closed && emptied.is_none() {
        assert_eq!(queue.pop(), None, "came after closed and empty");
    }
    assert!(closer.join().unwrap());
    assert!(queue.push(99).is_err());
    settle(&*queue, &[&mine], accepted);
}

/// The last owner drops a half-drained queue: loom counts the memory.
pub fn dropped_half_drained(queue: impl Queue<Arc<()>> + Send + Sync + 'static) {
    let queue = Arc::new(queue);
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
}
