//! Faults that were found by use, each as the program that showed it. Some show only under Miri
//! (`.ci/miri`).

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use efio_sync::{McsLock, RawRwSpinLock};

/// A waiter's node goes away while another thread is in a call that was given a reference to it.
#[test]
fn mcs_waiters_come_and_go() {
    let lock = McsLock::new(0u32);
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                for _ in 0..20 {
                    lock.with(|count| {
                        *count += 1;
                        thread::yield_now();
                    });
                }
            });
        }
    });
    assert_eq!(lock.into_inner(), 60);
}

/// F76: with as many readers as can be, an upgradable reader that becomes one more would let the
/// count wrap to none, and a writer in. (`RwSpinLock` itself: in its module.)
#[test]
fn rw_readers_at_their_limit() {
    let lock = RawRwSpinLock::new();
    lock.read();
    // SAFETY: the lock is a transparent struct of one atomic word.
    let state: &AtomicU32 = unsafe { &*std::ptr::from_ref(&lock).cast() };
    // What so many calls of `read` do, which take seconds.
    let reader = state.load(Ordering::Relaxed);
    state.store(reader * RawRwSpinLock::MAX_READERS, Ordering::Relaxed);

    lock.upgradable_read();
    // SAFETY: taken just now.
    let downgraded = catch_unwind(AssertUnwindSafe(|| unsafe { lock.downgrade_upgradable() }));
    assert!(downgraded.is_err(), "one reader too many");
    assert!(lock.is_locked() && !lock.try_write(), "beside readers");
    assert!(!lock.try_read());
    assert!(catch_unwind(AssertUnwindSafe(|| lock.read())).is_err());
}
