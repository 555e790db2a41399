//! Request bits, the inbox and its doorbell: a caller's request reaches the driver, asleep or not,
//! together with what the caller wrote before. A lost wake-up is a deadlock, which loom reports.
#![cfg(loom)]

mod core_engine;

use core_engine::{Trail, check};
use efio_core::model::{Command, Inbox, Requests, Slot};
use efio_sync::Parker;
use loom::sync::Arc;
use loom::thread;

struct Shared {
    slot: Slot,
    inbox: Inbox<Parker>,
}

fn shared() -> Arc<Shared> {
    Arc::new(Shared {
        slot: Slot::new(),
        inbox: Inbox::new(Parker::new()),
    })
}

/// The driver: drains the inbox until it has seen all of `wanted`, and sleeps while it is empty.
fn drive(shared: &Shared, wanted: Requests, mut on_requests: impl FnMut(Requests)) {
    let mut seen = Requests(0);
    loop {
        let mut found = false;
        while let Some(command) = shared.inbox.pop() {
            assert!(matches!(command, Command::Requests(7)));
            let bits = shared.slot.take_requests();
            on_requests(bits);
            seen = seen.union(bits);
            found = true;
        }
        if seen.0 & wanted.0 == wanted.0 {
            return;
        }
        if !found {
            shared.inbox.doorbell().wait(None);
        }
    }
}

#[test]
fn no_request_is_lost() {
    check(3, || {
        let shared = shared();
        let trail = Trail::new();
        let caller = {
            let (shared, trail) = (shared.clone(), trail.clone());
            thread::spawn(move || {
                trail.write(0, 1);
                shared.inbox.request(7, &shared.slot, Requests::SEALED);
                trail.write(1, 1);
                shared.inbox.request(7, &shared.slot, Requests::SYNC);
            })
        };
        drive(&shared, Requests::SEALED.union(Requests::SYNC), |bits| {
            for (position, bit) in [Requests::SEALED, Requests::SYNC].into_iter().enumerate() {
                if bits.intersects(bit) {
                    trail.check(position, 1);
                }
            }
        });
        caller.join().unwrap();
    });
}

/// One of two callers finds the other's bit set and leaves the notification to it.
#[test]
fn no_request_of_two_callers_is_lost() {
    check(2, || {
        let shared = shared();
        let trail = Trail::new();
        let bits = [Requests::WANT_DATA, Requests::SYNC];
        let callers = [0, 1].map(|number| {
            let (shared, trail) = (shared.clone(), trail.clone());
            thread::spawn(move || {
                trail.write(number, 1);
                shared.inbox.request(7, &shared.slot, bits[number]);
            })
        });
        drive(&shared, bits[0].union(bits[1]), |seen| {
            for (position, bit) in bits.into_iter().enumerate() {
                if seen.intersects(bit) {
                    trail.check(position, 1);
                }
            }
        });
        callers
            .into_iter()
            .for_each(|caller| caller.join().unwrap());
    });
}

/// A caller whose bits turned the word from zero sees everything that the driver did before it took
/// the earlier bits.
#[test]
fn a_new_request_sees_what_preceded_the_last_take() {
    check(3, || {
        let shared = shared();
        let trail = Trail::new();
        assert!(shared.slot.request(Requests::SEALED) == Requests::NONE);
        let driver = {
            let (shared, trail) = (shared.clone(), trail.clone());
            thread::spawn(move || {
                trail.write(0, 1);
                shared.slot.take_requests();
            })
        };
        if shared.slot.request(Requests::SYNC) == Requests::NONE {
            trail.check(0, 1);
        }
        driver.join().unwrap();
    });
}

/// While the driver polls, a deferrable request does not notify it. The driver finds the request
/// when it stops polling, and never later: it checks the inbox once more before it sleeps.
#[test]
fn a_deferred_request_is_found_after_the_poll() {
    check(3, || {
        let shared = shared();
        let trail = Trail::new();
        let caller = {
            let (shared, trail) = (shared.clone(), trail.clone());
            thread::spawn(move || {
                trail.write(0, 1);
                shared.inbox.request(7, &shared.slot, Requests::SEALED);
            })
        };
        shared.inbox.enter_poll();
        shared.inbox.leave_poll();
        drive(&shared, Requests::SEALED, |bits| {
            if bits.intersects(Requests::SEALED) {
                trail.check(0, 1);
            }
        });
        caller.join().unwrap();
    });
}

/// An urgent request wakes the driver out of its poll, also after a deferrable request of the same
/// file that did not notify it.
#[test]
fn an_urgent_request_ends_the_poll() {
    check(3, || {
        let shared = shared();
        let caller = {
            let shared = shared.clone();
            thread::spawn(move || {
                shared.inbox.request(7, &shared.slot, Requests::SEALED);
                shared.inbox.request(7, &shared.slot, Requests::SYNC);
            })
        };
        shared.inbox.enter_poll();
        // No timeout: only the notification ends it.
        shared.inbox.doorbell().wait(None);
        shared.inbox.leave_poll();
        drive(&shared, Requests::SEALED.union(Requests::SYNC), |_| {});
        caller.join().unwrap();
    });
}
