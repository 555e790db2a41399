//! Random sequences of operations against `VecDeque`.

use std::collections::VecDeque;

use efio_queue::{MsQueue, PushError, SegQueue};
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Op {
    Push,
    PushMut,
    PushBatch(usize),
    Pop,
    PopMut,
    PopBatch(usize),
    /// Yielded items, of a drain that is then dropped.
    Drain(usize),
    DrainAll,
    Extend(usize),
    Shrink,
    Close,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => Just(Op::Push),
        2 => Just(Op::PushMut),
        3 => (0..9usize).prop_map(Op::PushBatch),
        6 => Just(Op::Pop),
        2 => Just(Op::PopMut),
        3 => (0..9usize).prop_map(Op::PopBatch),
        1 => (0..5usize).prop_map(Op::Drain),
        1 => Just(Op::DrainAll),
        1 => (0..5usize).prop_map(Op::Extend),
        1 => Just(Op::Shrink),
        1 => Just(Op::Close),
    ]
}

/// Runs the operations on a queue and on the model; a macro because the queues share only part of
/// their methods through a trait.
macro_rules! run {
    ($queue:expr, $ops:expr, $capacity:expr, $shrink:expr) => {{
        let (mut queue, capacity): (_, usize) = ($queue, $capacity);
        let (mut model, mut closed, mut next) = (VecDeque::new(), false, 0u32);
        let mut fresh = |count: usize| -> Vec<u32> {
            (0..count)
                .map(|_| {
                    next += 1;
                    next
                })
                .collect()
        };
        for op in $ops {
            match op {
                Op::Push | Op::PushMut => {
                    let item = fresh(1)[0];
                    let expected = if closed {
                        Err(PushError::Closed(item))
                    } else if model.len() == capacity {
                        Err(PushError::Full(item))
                    } else {
                        model.push_back(item);
                        Ok(())
                    };
                    let got = match op {
                        Op::Push => queue.push(item),
                        _ => queue.push_mut(item),
                    };
                    prop_assert_eq!(got, expected);
                }
                Op::PushBatch(count) => {
                    let mut items = fresh(count);
                    let room = if closed { 0 } else { capacity - model.len() };
                    let mut left = items.clone();
                    model.extend(left.drain(..count.min(room)));
                    let outcome = queue.push_batch(&mut items);
                    prop_assert_eq!(outcome.is_ok(), left.is_empty());
                    prop_assert_eq!(items, left);
                }
                Op::Pop => prop_assert_eq!(queue.pop(), model.pop_front()),
                Op::PopMut => prop_assert_eq!(queue.pop_mut(), model.pop_front()),
                Op::PopBatch(max) => {
                    let mut out = vec![0];
                    let count = queue.pop_batch(&mut out, max);
                    let expected: Vec<u32> = model.drain(..max.min(model.len())).collect();
                    prop_assert_eq!(count, expected.len());
                    prop_assert_eq!(&out[1..], expected);
                }
                Op::Drain(count) => {
                    let got: Vec<u32> = queue.drain().take(count).collect();
                    // What was reserved beyond that is gone; how much is up to the queue.
                    model
                        .drain(..model.len() - queue.len())
                        .zip(got.iter())
                        .for_each(|(a, b)| assert_eq!(a, *b));
                    prop_assert!(got.len() == count || model.is_empty());
                }
                Op::DrainAll => {
                    prop_assert_eq!(
                        queue.drain().collect::<Vec<_>>(),
                        model.drain(..).collect::<Vec<_>>()
                    );
                }
                Op::Extend(count) => {
                    if !closed && model.len() + count <= capacity {
                        let items = fresh(count);
                        model.extend(items.iter().copied());
                        queue.extend(items);
                    }
                }
                Op::Shrink => $shrink(&mut queue),
                Op::Close => {
                    prop_assert_eq!(queue.close(), !closed);
                    closed = true;
                }
            }
            prop_assert_eq!(queue.len(), model.len());
            prop_assert_eq!(queue.is_empty(), model.is_empty());
            prop_assert_eq!(queue.is_closed(), closed);
        }
        prop_assert!(queue.into_iter().eq(model));
    }};
}

/// `MsQueue` has nothing to shrink.
fn keep<Q>(_: &mut Q) {}

proptest! {
    #[test]
    fn segments_of_1(ops in prop::collection::vec(op(), 0..120)) {
        run!(SegQueue::<u32, 1>::with_slots(), ops, usize::MAX, SegQueue::shrink_to_fit);
    }

    #[test]
    fn segments_of_3(ops in prop::collection::vec(op(), 0..120)) {
        run!(SegQueue::<u32, 3>::with_slots(), ops, usize::MAX, SegQueue::shrink_to_fit);
    }

    #[test]
    fn segments_of_128(ops in prop::collection::vec(op(), 0..400)) {
        run!(SegQueue::new(), ops, usize::MAX, SegQueue::shrink_to_fit);
    }

    #[test]
    fn nodes(ops in prop::collection::vec(op(), 0..120)) {
        run!(MsQueue::<u32, 1>::with_first(), ops, usize::MAX, keep);
    }

    #[test]
    fn bounded_nodes(ops in prop::collection::vec(op(), 0..120), capacity in 0..12usize) {
        run!(MsQueue::with_capacity(capacity), ops, capacity, keep);
    }
}
