//! `SpinLock`: mutual exclusion and publication.
#![cfg(loom)]

use efio_sync::SpinLock;
use loom::sync::Arc;
use loom::thread;

fn model(run: impl Fn() + Sync + Send + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(run);
}

/// The cell inside the lock makes loom fail on any access that the lock does not order.
#[test]
fn one_at_a_time_and_each_sees_the_one_before() {
    model(|| {
        let lock = Arc::new(SpinLock::new(0));
        let other = {
            let lock = Arc::clone(&lock);
            thread::spawn(move || lock.with(|count| *count += 1))
        };
        lock.with(|count| *count += 1);
        other.join().unwrap();
        assert_eq!(*lock.lock(), 2);
    });
}

#[test]
fn try_lock_sees_what_the_last_holder_wrote() {
    model(|| {
        let lock = Arc::new(SpinLock::new(0));
        let other = {
            let lock = Arc::clone(&lock);
            thread::spawn(move || {
                if let Some(mut count) = lock.try_lock() {
                    *count += 1;
                }
            })
        };
        let mine = lock.try_lock().map(|mut count| *count += 1);
        other.join().unwrap();
        let count = *lock.lock();
        assert!(
            count == 2 || count == 1 || mine.is_none() && count == 0,
            "{count}"
        );
        assert!(count > 0, "the first attempt succeeds");
    });
}
