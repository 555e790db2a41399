//! What one thread can see, for every queue and several sizes of segment.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};

use efio_queue::{MsQueue, PushError, SegQueue};

/// The same tests for each queue type.
macro_rules! suite {
    ($($name:ident: $queue:ident<$parameter:literal>;)*) => {$(
        mod $name {
            use super::*;

            fn new<T>() -> $queue<T, $parameter> {
                $queue::default()
            }

            #[test]
            fn first_in_first_out() {
                let queue = new();
                assert_eq!(queue.pop(), None);
                for round in 0..5 {
                    (0..100).for_each(|item| queue.push(round * 100 + item).unwrap());
                    assert_eq!(queue.len(), 100);
                    (0..100).for_each(|item| assert_eq!(queue.pop(), Some(round * 100 + item)));
                    assert_eq!(queue.pop(), None);
                    assert!(queue.is_empty());
                }
            }

            #[test]
            fn batches() {
                let queue = new();
                let mut items: Vec<u32> = (0..300).collect();
                queue.push_batch(&mut items).unwrap();
                assert!(items.is_empty());
                assert_eq!(queue.len(), 300);
                let mut out = vec![];
                assert_eq!(queue.pop_batch(&mut out, 0), 0);
                assert_eq!(queue.pop_batch(&mut out, 10), 10);
                assert_eq!(queue.pop(), Some(10));
                assert_eq!(queue.pop_batch(&mut out, 1000), 289);
                assert_eq!(queue.pop_batch(&mut out, 1000), 0);
                let expected: Vec<u32> = (0..300).filter(|item| *item != 10).collect();
                assert_eq!(out, expected);
                assert_eq!(queue.push_batch(&mut vec![]), Ok(()));
            }

            #[test]
            fn drain_takes_all_and_a_dropped_drain_only_its_reservation() {
                let queue = new();
                queue.push_batch(&mut (0..1000).collect()).unwrap();
                assert!(queue.drain().take(500).eq(0..500));
                assert!(queue.len() <= 500);
                let left: Vec<i32> = queue.drain().collect();
                assert_eq!(left.last(), Some(&999));
                assert!(left.windows(2).all(|pair| pair[0] + 1 == pair[1]));
                assert!(queue.is_empty());
            }

            #[test]
            fn closed() {
                let queue = new();
                assert!(!queue.is_closed());
                queue.push(1).unwrap();
                assert!(queue.close());
                assert!(!queue.close());
                assert!(queue.is_closed());
                assert_eq!(queue.push(2), Err(PushError::Closed(2)));
                let mut batch = vec![3, 4];
                assert_eq!(queue.push_batch(&mut batch), Err(PushError::Closed(())));
                assert_eq!(batch, [3, 4]);
                assert_eq!(queue.len(), 1);
                assert_eq!(queue.pop(), Some(1));
                assert_eq!(queue.pop(), None);
                assert_eq!(queue.len(), 0);

                let unused = new::<i32>();
                assert!(unused.close());
                assert_eq!(unused.push(2), Err(PushError::Closed(2)));
                assert_eq!(unused.pop(), None);
            }

            #[test]
            fn exclusive() {
                let mut queue = new();
                for item in 0..100 {
                    queue.push_mut(2 * item).unwrap();
                    queue.push(2 * item + 1).unwrap();
                }
                for item in 0..50 {
                    assert_eq!(queue.pop_mut(), Some(2 * item));
                    assert_eq!(queue.pop(), Some(2 * item + 1));
                }
                assert_eq!(queue.len(), 100);
                queue.close();
                assert_eq!(queue.push_mut(7), Err(PushError::Closed(7)));
                let items = queue.into_iter();
                assert_eq!(items.len(), 100);
                assert!(items.eq(100..200));
            }

            #[test]
            fn collects_and_extends() {
                let mut queue: $queue<_, $parameter> = (0..10).collect();
                queue.extend(10..20);
                assert!(queue.into_iter().eq(0..20));
            }

            #[test]
            fn debug_needs_nothing_of_the_items() {
                struct Opaque;
                let queue = new();
                queue.push(Opaque).unwrap();
                assert!(format!("{queue:?}").contains("len: 1"));
            }

            #[test]
            fn no_size_and_large_size() {
                let units = new();
                (0..10).for_each(|_| units.push(()).unwrap());
                assert_eq!(units.drain().count(), 10);
                let large = new();
                (0..10).for_each(|item| large.push([item; 1000]).unwrap());
                assert!(large.drain().eq((0..10).map(|item| [item; 1000])));
            }

            #[test]
            fn each_item_is_dropped_once() {
                for popped in [0, 1, 2, 150, 299, 300] {
                    let drops = AtomicUsize::new(0);
                    let queue = new();
                    (0..300).for_each(|_| queue.push(Counted(&drops, false)).unwrap());
                    (0..popped).for_each(|_| drop(queue.pop()));
                    assert_eq!(drops.load(Ordering::Relaxed), popped);
                    drop(queue);
                    assert_eq!(drops.load(Ordering::Relaxed), 300);
                }
            }

            #[test]
            fn half_used_iterators_drop_each_item_once() {
                let drops = AtomicUsize::new(0);
                let queue = new();
                (0..300).for_each(|_| queue.push(Counted(&drops, false)).unwrap());
                drop(queue.drain().nth(40));
                let mut items = queue.into_iter();
                drop(items.next());
                drop(items);
                assert_eq!(drops.load(Ordering::Relaxed), 300);
            }

            #[test]
            fn panicking_drops_lose_no_other_item() {
                for bad in [0, 1, 5, 99] {
                    let drops = AtomicUsize::new(0);
                    let queue = new();
                    (0..100).for_each(|item| queue.push(Counted(&drops, item == bad)).unwrap());
                    let panicked = catch_unwind(AssertUnwindSafe(|| drop(queue)));
                    assert!(panicked.is_err());
                    assert_eq!(drops.load(Ordering::Relaxed), 100);
                }
            }

            #[test]
            fn a_panicking_drop_in_a_drain_leaves_the_queue_whole() {
                let drops = AtomicUsize::new(0);
                let queue = new();
                (0..300).for_each(|item| queue.push(Counted(&drops, item == 1)).unwrap());
                let panicked = catch_unwind(AssertUnwindSafe(|| queue.drain().for_each(drop)));
                assert!(panicked.is_err());
                let before = drops.load(Ordering::Relaxed);
                assert_eq!(before + queue.len(), 300);
                queue.push(Counted(&drops, false)).unwrap();
                assert_eq!(queue.drain().count(), 301 - before);
                assert_eq!(drops.load(Ordering::Relaxed), 301);
            }
        }
    )*};
}

suite! {
    segments_of_1: SegQueue<1>;
    segments_of_2: SegQueue<2>;
    segments_of_3: SegQueue<3>;
    segments_of_128: SegQueue<128>;
    nodes_from_1: MsQueue<1>;
    nodes_from_32: MsQueue<32>;
}

struct Counted<'a>(&'a AtomicUsize, bool);

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
        assert!(!self.1, "an item that panics when it is dropped");
    }
}

#[test]
fn a_static_queue_needs_no_start() {
    static SEG: SegQueue<u8> = SegQueue::new();
    static MS: MsQueue<u8> = MsQueue::new();
    SEG.push(1).unwrap();
    MS.push(2).unwrap();
    assert_eq!((SEG.pop(), MS.pop()), (Some(1), Some(2)));
}

#[test]
fn shrinking_keeps_the_items() {
    let mut queue = SegQueue::<_, 2>::with_slots();
    (0..100).for_each(|item| queue.push(item).unwrap());
    (0..90).for_each(|item| assert_eq!(queue.pop(), Some(item)));
    queue.shrink_to_fit();
    assert!(queue.drain().eq(90..100));
    queue.shrink_to_fit();
    (0..10).for_each(|item| queue.push(item).unwrap());
    assert!(queue.drain().eq(0..10));
    queue.close();
    queue.shrink_to_fit();
    assert!(queue.is_closed());
    assert!(queue.push(1).is_err());
}

#[test]
fn a_capacity_is_exact() {
    for capacity in [0, 1, 2, 31, 32, 33, 100] {
        let queue = MsQueue::with_capacity(capacity);
        assert_eq!(queue.capacity(), Some(capacity));
        for _ in 0..3 {
            for item in 0..capacity {
                queue.push(item).unwrap();
            }
            assert_eq!(queue.push(77), Err(PushError::Full(77)));
            assert!(queue.drain().eq(0..capacity));
        }
        let mut batch: Vec<usize> = (0..capacity + 3).collect();
        assert_eq!(queue.push_batch(&mut batch), Err(PushError::Full(())));
        assert!(batch.iter().copied().eq(capacity..capacity + 3));
        queue.close();
        assert_eq!(queue.push(77), Err(PushError::Closed(77)));
        assert_eq!(queue.len(), capacity);
    }
    assert_eq!(MsQueue::<u8>::new().capacity(), None);
}

#[test]
#[should_panic(expected = "capacity too large")]
fn an_absurd_capacity_is_refused() {
    MsQueue::<u8>::with_capacity(usize::MAX);
}
