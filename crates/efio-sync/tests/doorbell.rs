//! The doorbell with real threads and a real kernel.

use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use efio_sync::{Doorbell, EventFd, Parker, Sleep};

/// A notifier publishes each number and notifies; the sleeper may only sleep when it has seen all.
fn every_number_arrives(bell: &Doorbell<impl Sleep + Sync>) {
    const LAST: u32 = if cfg!(miri) { 20 } else { 20_000 };
    let published = AtomicU32::new(0);
    thread::scope(|scope| {
        scope.spawn(|| {
            for number in 1..=LAST {
                published.store(number, Ordering::Relaxed);
                bell.notify();
            }
        });
        while published.load(Ordering::Relaxed) < LAST {
            assert!(bell.wait(None));
        }
    });
}

#[test]
fn parker_loses_no_ring() {
    every_number_arrives(&Doorbell::new(Parker::new()));
}

#[cfg_attr(miri, ignore = "it has no poll, and no flags of pipes")]
#[test]
fn event_fd_loses_no_ring() {
    every_number_arrives(&Doorbell::new(EventFd::new().unwrap()));
}

#[cfg_attr(miri, ignore = "it has no poll, and no flags of pipes")]
#[test]
fn ring_wakes_only_a_sleeper() {
    let bell = Doorbell::new(EventFd::new().unwrap());
    assert!(!bell.notify());
    assert!(!bell.arm(), "it was notified before");
    assert!(bell.arm());
    assert!(bell.notify());
    assert!(!bell.notify(), "absorbed");
    assert!(bell.alarm().wait(Some(Duration::ZERO)));
    assert!(bell.disarm());
    assert!(bell.alarm().clear());
    assert!(!bell.alarm().clear());
    assert!(!bell.disarm());
}

#[cfg_attr(miri, ignore = "it has no poll, and no flags of pipes")]
#[test]
fn wait_ends_at_its_timeout() {
    fn wait(bell: &Doorbell<impl Sleep>) {
        let begin = Instant::now();
        assert!(!bell.wait(Some(Duration::from_millis(20))));
        assert!(begin.elapsed() >= Duration::from_millis(20));
        assert!(!bell.notify(), "awake again");
        assert!(bell.wait(Some(Duration::from_secs(60))));
    }
    wait(&Doorbell::new(Parker::new()));
    wait(&Doorbell::new(EventFd::new().unwrap()));
}
