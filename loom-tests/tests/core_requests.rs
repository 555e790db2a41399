//! Attention bits, the inbox and its doorbell: what a caller asks for reaches the driver, asleep or
//! not, together with what the caller wrote before. A lost wake-up is a deadlock, which loom
//! reports.
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

/// The driver: looks until it has seen all of `wanted`, sleeping when there is nothing.
fn drive(shared: &Shared, wanted: Attention, mut look: impl FnMut(Attention)) {
    let mut seen = Attention(0);
    loop {
        let mut heard = false;
        while let Some(command) = shared.inbox.pop() {
            assert!(matches!(command, Command::Attend(7)));
            let bits = shared.slot.take_attention();
            look(bits);
            seen = seen.and(bits);
            heard = true;
        }
        if seen.0 & wanted.0 == wanted.0 {
            return;
        }
        if !heard {
            shared.inbox.bell().wait(None);
        }
    }
}

#[test]
fn no_attention_is_lost() {
    check(3, || {
        let shared = shared();
        let trail = Trail::new();
        let caller = {
            let (shared, trail) = (shared.clone(), trail.clone());
            thread::spawn(move || {
                trail.write(0, 1);
                shared.inbox.attend(7, &shared.slot, Attention::SEALED);
                trail.write(1, 1);
                shared.inbox.attend(7, &shared.slot, Attention::SYNC);
            })
        };
        drive(&shared, Attention::SEALED.and(Attention::SYNC), |bits| {
            for (position, bit) in [Attention::SEALED, Attention::SYNC].into_iter().enumerate() {
                if bits.has(bit) {
                    trail.check(position, 1);
                }
            }
        });
        caller.join().unwrap();
    });
}

/// One of two callers finds the other's bit and leaves the ringing to it.
#[test]
fn no_attention_of_two_callers_is_lost() {
    check(2, || {
        let shared = shared();
        let trail = Trail::new();
        let bits = [Attention::WANT_DATA, Attention::SYNC];
        let callers = [0, 1].map(|number| {
            let (shared, trail) = (shared.clone(), trail.clone());
            thread::spawn(move || {
                trail.write(number, 1);
                shared.inbox.attend(7, &shared.slot, bits[number]);
            })
        });
        drive(&shared, bits[0].and(bits[1]), |seen| {
            for (position, bit) in bits.into_iter().enumerate() {
                if seen.has(bit) {
                    trail.check(position, 1);
                }
            }
        });
        callers
            .into_iter()
            .for_each(|caller| caller.join().unwrap());
    });
}

/// A caller whose bits turned the word from zero sees what the driver did before it took the bits
/// that stood there earlier.
#[test]
fn who_queues_again_comes_after_the_last_look() {
    check(3, || {
        let shared = shared();
        let trail = Trail::new();
        assert!(shared.slot.attend(Attention::SEALED) == Attention::NONE);
        let driver = {
            let (shared, trail) = (shared.clone(), trail.clone());
            thread::spawn(move || {
                trail.write(0, 1);
                shared.slot.take_attention();
            })
        };
        if shared.slot.attend(Attention::SYNC) == Attention::NONE {
            trail.check(0, 1);
        }
        driver.join().unwrap();
    });
}

/// While the driver dozes, news that can wait rings no bell. It is heard when the moment is over, and
/// never later: a driver that sleeps for long has looked once more.
#[test]
fn patient_news_is_heard_after_a_doze() {
    check(3, || {
        let shared = shared();
        let trail = Trail::new();
        let caller = {
            let (shared, trail) = (shared.clone(), trail.clone());
            thread::spawn(move || {
                trail.write(0, 1);
                shared.inbox.attend(7, &shared.slot, Attention::SEALED);
            })
        };
        shared.inbox.doze();
        shared.inbox.rouse();
        drive(&shared, Attention::SEALED, |bits| {
            if bits.has(Attention::SEALED) {
                trail.check(0, 1);
            }
        });
        caller.join().unwrap();
    });
}

/// What cannot wait wakes the driver out of a doze, also behind news of the same file that left the
/// bell alone.
#[test]
fn impatient_news_ends_a_doze() {
    check(3, || {
        let shared = shared();
        let caller = {
            let shared = shared.clone();
            thread::spawn(move || {
                shared.inbox.attend(7, &shared.slot, Attention::SEALED);
                shared.inbox.attend(7, &shared.slot, Attention::SYNC);
            })
        };
        shared.inbox.doze();
        // As long as it takes: nothing else ends it.
        shared.inbox.bell().wait(None);
        shared.inbox.rouse();
        drive(&shared, Attention::SEALED.and(Attention::SYNC), |_| {});
        caller.join().unwrap();
    });
}
