//! `Doorbell`: a ring before, during or after falling asleep is never lost, and the sleeper sees
//! what the ringer wrote before it. A lost wake-up is a deadlock, which loom reports.
#![cfg(loom)]

use efio_sync::{Alarm, Doorbell, Parker};
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, Ordering};
use loom::thread;

fn model(preemptions: usize, run: impl Fn() + Sync + Send + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(preemptions);
    model.check(run);
}

/// A cell that is written before a ring and read after it, with no order but the doorbell's.
struct Payload(UnsafeCell<u32>);

// SAFETY: that this is sound is what the model shows; loom reports a race.
unsafe impl Sync for Payload {}

impl Payload {
    fn new() -> Self {
        Self(UnsafeCell::new(0))
    }

    fn write(&self) {
        // SAFETY: loom checks the access.
        self.0.with_mut(|cell| unsafe { *cell = 1 });
    }

    fn read(&self) -> u32 {
        // SAFETY: loom checks the access.
        self.0.with(|cell| unsafe { *cell })
    }
}

#[test]
fn a_ring_ends_the_wait_and_publishes() {
    model(3, || {
        let shared = Arc::new((Doorbell::new(Parker::new()), Payload::new()));
        let ringer = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                shared.1.write();
                shared.0.notify();
            })
        };
        assert!(shared.0.wait(None));
        assert_eq!(shared.1.read(), 1);
        ringer.join().unwrap();
    });
}

/// The last of several rings may be the only one that the sleeper sees; it has to see what all of
/// the ringers wrote.
#[test]
fn rings_that_are_absorbed_publish_too() {
    model(2, || {
        let shared = Arc::new((
            Doorbell::new(Parker::new()),
            [Payload::new(), Payload::new()],
        ));
        let flags = Arc::new([AtomicBool::new(false), AtomicBool::new(false)]);
        let ringers = [0, 1].map(|number| {
            let (shared, flags) = (Arc::clone(&shared), Arc::clone(&flags));
            thread::spawn(move || {
                shared.1[number].write();
                // Relaxed: says that the payload is written, orders nothing.
                flags[number].store(true, Ordering::Relaxed);
                shared.0.notify();
            })
        });
        // The last wait may return once for both rings: then both payloads have to be visible.
        let mut written = 0;
        while written < 2 {
            assert!(shared.0.wait(None));
            written = flags
                .iter()
                .filter(|flag| flag.load(Ordering::Relaxed))
                .count();
        }
        for ringer in ringers {
            ringer.join().unwrap();
        }
        assert_eq!(shared.1[0].read() + shared.1[1].read(), 2);
    });
}

/// The protocol of a sleeper with its own place to sleep: check, arm, sleep, disarm, check.
#[test]
fn no_ring_is_lost_between_the_check_and_the_sleep() {
    model(3, || {
        let shared = Arc::new((Doorbell::new(Bell::new()), AtomicBool::new(false)));
        let ringer = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                shared.1.store(true, Ordering::Relaxed);
                shared.0.notify();
                // Whether it is absorbed or not, it must do no harm.
                shared.0.notify();
            })
        };
        while !shared.1.load(Ordering::Relaxed) {
            if shared.0.arm() {
                shared.0.alarm().sleep();
                shared.0.disarm();
            }
        }
        ringer.join().unwrap();
    });
}

/// Stands for a poll or an io_uring: a place to sleep that remembers a wake-up.
struct Bell(loom::sync::Mutex<bool>, loom::sync::Condvar);

impl Bell {
    fn new() -> Self {
        Self(loom::sync::Mutex::new(false), loom::sync::Condvar::new())
    }

    fn sleep(&self) {
        let mut woken = self.0.lock().unwrap();
        while !*woken {
            woken = self.1.wait(woken).unwrap();
        }
        *woken = false;
    }
}

impl Alarm for Bell {
    fn wake(&self) {
        *self.0.lock().unwrap() = true;
        self.1.notify_one();
    }
}

/// An eventfd whose writes are reported once each, as a multishot poll of a ring and EPOLLET do,
/// and whose count is never read.
#[derive(Default)]
struct Edges {
    written: loom::sync::Mutex<bool>,
    rises: loom::sync::Condvar,
}

impl Edges {
    fn consume(&self) {
        let mut written = self.written.lock().unwrap();
        while !std::mem::take(&mut *written) {
            written = self.rises.wait(written).unwrap();
        }
    }
}

impl Alarm for Edges {
    fn wake(&self) {
        *self.written.lock().unwrap() = true;
        self.rises.notify_all();
    }
}

/// An edge of its own ends each sleep: a ringer that finds the sleeper armed writes (F82).
#[test]
fn an_edge_ends_each_sleep_that_a_ring_follows() {
    model(3, || {
        let shared = Arc::new((
            Doorbell::new(Edges::default()),
            [Payload::new(), Payload::new()],
        ));
        let flags = Arc::new([AtomicBool::new(false), AtomicBool::new(false)]);
        let ringer = {
            let (shared, flags) = (Arc::clone(&shared), Arc::clone(&flags));
            thread::spawn(move || {
                for number in 0..2 {
                    shared.1[number].write();
                    // Relaxed: says that the payload is written, orders nothing.
                    flags[number].store(true, Ordering::Relaxed);
                    shared.0.notify();
                }
            })
        };
        let written = || {
            flags
                .iter()
                .filter(|flag| flag.load(Ordering::Relaxed))
                .count()
        };
        while written() < 2 {
            if shared.0.arm() {
                shared.0.alarm().consume();
                shared.0.disarm();
            }
        }
        ringer.join().unwrap();
        shared.0.disarm();
        assert_eq!([0, 1].map(|number| shared.1[number].read()), [1, 1]);
    });
}
