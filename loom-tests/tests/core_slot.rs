//! What the driver publishes through a slot: marks, a failure, the end of a run, each together with
//! what happened before it.
#![cfg(loom)]

mod core_engine;

use core_engine::{Trail, check};
use efio_core::model::{Interest, Notify, OpenState, Slot};
use efio_core::{Errno, Failure};
use loom::sync::Arc;
use loom::thread;

const FAILURE: Failure = Failure {
    errno: Errno(5),
    offset: 4096,
};

#[test]
fn a_failure_comes_with_its_offset_and_a_refusal_with_its_failure() {
    check(3, || {
        let slot = Arc::new(Slot::new());
        let driver = {
            let slot = slot.clone();
            thread::spawn(move || {
                slot.fail(FAILURE);
                slot.set_open_state(OpenState::Refused);
            })
        };
        let refused = slot.open_state() == OpenState::Refused;
        match slot.failure() {
            Some(failure) => assert_eq!(failure, FAILURE),
            None => assert!(!refused, "refused without an error"),
        }
        driver.join().unwrap();
    });
}

#[test]
fn the_end_of_a_run_comes_after_its_bytes() {
    check(3, || {
        let slot = Arc::new(Slot::new());
        let trail = Trail::new();
        let driver = {
            let (slot, trail) = (slot.clone(), trail.clone());
            thread::spawn(move || {
                trail.write(0, 1);
                slot.end_run(3, Err(Errno(5)));
            })
        };
        if slot.run_ended(3) {
            trail.check(0, 1);
            assert_eq!(slot.take_run_end(), Err(Errno(5)));
        }
        assert!(!slot.run_ended(4), "of another run");
        driver.join().unwrap();
    });
}

/// A driver that sees the epoch of a request sees its position.
#[test]
fn a_run_is_asked_for_as_a_whole() {
    check(3, || {
        let slot = Arc::new(Slot::new());
        let caller = {
            let slot = slot.clone();
            thread::spawn(move || slot.request_run(1, 42, 7))
        };
        let (epoch, from, after) = slot.requested_run();
        if epoch == 1 {
            assert_eq!((from, after), (42, 7));
        }
        caller.join().unwrap();
    });
}

/// Three threads: the caller accepts, the driver writes and syncs what it sees, a third reads the
/// marks.
#[test]
fn the_marks_keep_their_order() {
    check(3, || {
        let slot = Arc::new(Slot::new());
        let trail = Trail::new();
        let caller = {
            let (slot, trail) = (slot.clone(), trail.clone());
            thread::spawn(move || {
                trail.write(0, 1);
                slot.marks.set_accepted(1);
            })
        };
        let driver = {
            let (slot, trail) = (slot.clone(), trail.clone());
            thread::spawn(move || {
                let accepted = slot.marks.accepted();
                if accepted == 1 {
                    trail.check(0, 1);
                    slot.marks.set_written(accepted);
                    slot.marks.set_durable(accepted);
                }
            })
        };
        let progress = slot.marks.progress();
        assert!(progress.accepted >= progress.written && progress.written >= progress.durable);
        caller.join().unwrap();
        driver.join().unwrap();
    });
}

/// Either the waiter sees what was published, or the publisher finds its interest.
#[test]
fn a_waiter_is_seen_or_sees() {
    check(3, || {
        let slot = Arc::new(Slot::new());
        let published = Arc::new(loom::sync::atomic::AtomicBool::new(false));
        let driver = {
            let (slot, published) = (slot.clone(), published.clone());
            thread::spawn(move || {
                published.store(true, loom::sync::atomic::Ordering::Relaxed);
                slot.take_waiters(Interest::DATA, 0, &mut Vec::new())
            })
        };
        let _ = slot.register(Interest::DATA, Notify::Event);
        let seen = published.load(loom::sync::atomic::Ordering::Relaxed);
        assert!(driver.join().unwrap() || seen, "no event and no data");
    });
}
