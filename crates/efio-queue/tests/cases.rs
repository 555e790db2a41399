//! Faults that were found by use, each as the program that showed it. Some show under Miri alone
//! (`.ci/miri`).

use std::thread;

use efio_queue::{MsQueue, SegQueue};

/// A value is popped and dropped by another thread before the push that linked it has returned.
#[test]
fn ms_values_leave_during_their_push() {
    const ITEMS: u64 = 20;
    let queue = MsQueue::<Box<u64>>::new();
    thread::scope(|scope| {
        for producer in 0..3u64 {
            let queue = &queue;
            scope.spawn(move || {
                (0..ITEMS).for_each(|item| queue.push(Box::new(producer << 32 | item)).unwrap());
            });
        }
        for _ in 0..2 {
            scope.spawn(|| {
                let (mut got, mut out) = (0, vec![]);
                while got < ITEMS {
                    out.clear();
                    got += queue.pop_batch(&mut out, 50) as u64;
                    if queue.is_empty() {
                        thread::yield_now();
                        got += 1;
                    }
                }
            });
        }
    });
}

/// The smallest: two segments, one of them retired through the pool.
#[test]
fn seg_segments_are_freed() {
    let queue = SegQueue::<u8, 1>::with_slots();
    queue.push(1).unwrap();
    queue.push(2).unwrap();
    assert_eq!(queue.pop(), Some(1));
    drop(queue);

    let mut queue = SegQueue::<u8, 1>::with_slots();
    for item in 0..3 {
        queue.push(item).unwrap();
        assert_eq!(queue.pop(), Some(item));
    }
    queue.shrink_to_fit();
    queue.push(3).unwrap();
    assert_eq!(queue.pop_mut(), Some(3));
}
