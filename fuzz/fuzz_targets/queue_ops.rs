//! Sequences of operations on both queues against `VecDeque`, on one thread.
#![no_main]

use std::collections::VecDeque;

use arbitrary::Arbitrary;
use efio_queue::{MsQueue, SegQueue};
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
enum Op {
    Push,
    PushMut,
    PushBatch(u8),
    Pop,
    PopMut,
    PopBatch(u8),
    Drain,
    Shrink,
    Close,
}

macro_rules! run {
    ($queue:expr, $capacity:expr, $ops:expr, $shrink:expr) => {{
        let (mut queue, capacity): (_, usize) = ($queue, $capacity);
        let (mut model, mut closed, mut next) = (VecDeque::new(), false, 0u64);
        for op in $ops {
            next += 1;
            let room = if closed { 0 } else { capacity - model.len() };
            match op {
                // Boxed: AddressSanitizer reports an item that is freed twice or never.
                Op::Push | Op::PushMut => {
                    let item = Box::new(next);
                    let pushed = match op {
                        Op::Push => queue.push(item),
                        _ => queue.push_mut(item),
                    };
                    assert_eq!(pushed.is_ok(), room > 0);
                    match pushed {
                        Ok(()) => model.push_back(Box::new(next)),
                        Err(refused) => {
                            assert_eq!(refused.is_closed(), closed);
                            assert_eq!(*refused.into_inner(), next);
                        }
                    }
                }
                Op::PushBatch(count) => {
                    let mut items: Vec<_> =
                        (0..*count as u64).map(|i| Box::new(next + i)).collect();
                    let mut left = items.clone();
                    model.extend(left.drain(..items.len().min(room)));
                    assert_eq!(queue.push_batch(&mut items).is_ok(), left.is_empty());
                    assert_eq!(items, left);
                }
                Op::Pop => assert_eq!(queue.pop(), model.pop_front()),
                Op::PopMut => assert_eq!(queue.pop_mut(), model.pop_front()),
                Op::PopBatch(max) => {
                    let mut out = vec![];
                    queue.pop_batch(&mut out, *max as usize);
                    assert!(
                        out.into_iter()
                            .eq(model.drain(..model.len().min(*max as usize)))
                    );
                }
                Op::Drain => assert!(queue.drain().eq(model.drain(..))),
                Op::Shrink => $shrink(&mut queue),
                Op::Close => {
                    assert_eq!(queue.close(), !closed);
                    closed = true;
                }
            }
            assert_eq!(queue.len(), model.len());
            assert_eq!(queue.is_closed(), closed);
        }
        assert!(queue.into_iter().eq(model));
    }};
}

/// `MsQueue` has nothing to shrink.
fn no_shrink<Q>(_: &mut Q) {}

fuzz_target!(|input: (u8, Vec<Op>)| {
    let (capacity, ops) = input;
    run!(
        SegQueue::<_, 1>::with_slots(),
        usize::MAX,
        &ops,
        SegQueue::shrink_to_fit
    );
    run!(
        SegQueue::<_, 3>::with_slots(),
        usize::MAX,
        &ops,
        SegQueue::shrink_to_fit
    );
    run!(SegQueue::new(), usize::MAX, &ops, SegQueue::shrink_to_fit);
    run!(MsQueue::<_, 1>::with_first(), usize::MAX, &ops, no_shrink);
    run!(
        MsQueue::with_capacity(capacity as usize),
        capacity as usize,
        &ops,
        no_shrink
    );
});
