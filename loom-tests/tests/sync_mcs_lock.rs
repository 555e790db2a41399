//! `McsLock`: mutual exclusion, publication, first come first served.
#![cfg(loom)]

use std::pin::pin;

use efio_sync::{McsLock, McsNode};
use loom::sync::Arc;
use loom::thread;

fn model(preemptions: usize, run: impl Fn() + Sync + Send + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(preemptions);
    model.check(run);
}

#[test]
fn one_at_a_time_and_each_sees_the_one_before() {
    model(3, || {
        let lock = Arc::new(McsLock::new(0));
        let other = {
            let lock = Arc::clone(&lock);
            thread::spawn(move || lock.with(|count| *count += 1))
        };
        lock.with(|count| *count += 1);
        other.join().unwrap();
        lock.with(|count| assert_eq!(*count, 2));
    });
}

/// Uses the same node for `try_lock`, which fails when a thread is queued, and for `lock`.
#[test]
fn a_node_is_reused() {
    model(3, || {
        let lock = Arc::new(McsLock::new(0));
        let other = {
            let lock = Arc::clone(&lock);
            thread::spawn(move || lock.with(|count| *count += 1))
        };
        {
            let mut node = pin!(McsNode::new());
            let tried = lock
                .try_lock(node.as_mut())
                .map(|mut count| *count += 1)
                .is_some();
            if !tried {
                *lock.lock(node.as_mut()) += 1;
            }
        }
        other.join().unwrap();
        lock.with(|count| assert_eq!(*count, 2));
    });
}

/// A thread that waits when the holder unlocks is served before the holder locks again.
#[test]
fn first_come_first_served() {
    model(3, || {
        let lock = Arc::new(McsLock::new(0));
        let other = {
            let lock = Arc::clone(&lock);
            thread::spawn(move || lock.with(|served| *served += 1))
        };
        {
            let mut node = pin!(McsNode::new());
            let guard = lock.lock(node.as_mut());
            let came_first = guard.has_waiter();
            drop(guard);
            let served = *lock.lock(node.as_mut());
            assert!(served == 1 || !came_first, "overtaken");
        }
        other.join().unwrap();
    });
}

/// Waiters are served in the order in which they queued.
#[test]
fn a_queue_of_two() {
    model(2, || {
        let lock = Arc::new(McsLock::new(Vec::new()));
        let others = [1, 2].map(|number| {
            let lock = Arc::clone(&lock);
            thread::spawn(move || lock.with(|served| served.push(number)))
        });
        lock.with(|served| served.push(3));
        for other in others {
            other.join().unwrap();
        }
        lock.with(|served| {
            served.sort_unstable();
            assert_eq!(*served, [1, 2, 3]);
        });
    });
}
