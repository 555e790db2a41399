//! Where waiters sleep when spinning no longer pays.
//!
//! An event count: a waiter registers, looks once more, and sleeps; whoever may have made the
//! waited-for thing true calls [`notify`](Parking::notify), which costs a load when nobody sleeps.
//!
//! ```text
//!   waiter                              notifier
//!   ticket = read `tickets`             write what waiters wait for
//!   sleepers += 1                       light barrier
//!   heavy barrier                       sleepers == 0? done
//!   look: come true? done               sleepers -= 1, tickets += 1
//!   sleep while tickets == ticket       wake one sleeper
//! ```
//!
//! No wake-up is lost. Either the notifier sees the registration or the waiter sees the write: that
//! is what the pair of barriers says. When the notifier takes a registration away, it changes
//! `tickets`, so whoever registered before does not fall asleep any more, and the one who sleeps is
//! woken: there are never more sleepers than registrations and wakes on their way. There may be
//! fewer, since a waiter who finds it true after registering leaves its registration behind: it
//! costs a later notifier one idle wake.
//!
//! A sleep may also end for no reason: by a signal, or because it was timed. The waiter, which will
//! register again, then takes a registration back if `tickets` shows that no notifier did, so that
//! they do not pile up: the count stays below the number of waiters and of those left behind.

use core::time::Duration;

use crate::shim::atomic::{AtomicU32, Ordering};
use crate::shim::barrier;
use crate::shim::futex::Futex;

/// Longest sleep where the platform has no asymmetric barrier: a notifier may then miss us, but
/// only for as long as its store buffer holds its write back.
const BLIND_SLEEP: Duration = Duration::from_millis(1);

#[derive(Debug)]
pub(crate) struct Parking {
    sleepers: AtomicU32,
    tickets: Futex,
}

impl Parking {
    const_unless_loom! {
        #[inline]
        pub(crate) const fn new() -> Self {
            Self { sleepers: AtomicU32::new(0), tickets: Futex::new(0) }
        }
    }

    /// To be called after writing what waiters wait for.
    #[inline(always)]
    pub(crate) fn notify(&self) {
        barrier::light();
        if self.sleepers.load(Ordering::Relaxed) != 0 {
            self.wake_one();
        }
    }

    #[cold]
    #[inline(never)]
    fn wake_one(&self) {
        // Acquire pairs with the Release of `wait`: the waiter whose registration we take away has
        // read its ticket before, so it has the old one when we change it.
        let taken = self
            .sleepers
            .fetch_update(Ordering::Acquire, Ordering::Relaxed, |sleepers| {
                sleepers.checked_sub(1)
            });
        if taken.is_ok() {
            // Release pairs with the Acquire load of `wait`: whoever reads the new ticket has all
            // that was written before, and registers after we have counted.
            self.tickets.fetch_add(1, Ordering::Release);
            self.tickets.wake_one();
        }
    }

    /// Sleeps until a [`notify`](Self::notify), unless `look` gives something before. May return
    /// `None` for no reason.
    pub(crate) fn wait<R>(&self, look: impl FnOnce() -> Option<R>) -> Option<R> {
        let ticket = self.tickets.load(Ordering::Acquire);
        // Release pairs with the Acquire of `wake_one`, see there.
        self.sleepers.fetch_add(1, Ordering::Release);
        let seen_by_all = barrier::heavy();
        let found = look();
        if found.is_none() {
            self.tickets
                .wait(ticket, if seen_by_all { None } else { Some(BLIND_SLEEP) });
            // Relaxed: whoever was woken sees what was written before the wake.
            if self.tickets.load(Ordering::Relaxed) == ticket {
                self.take_back();
            }
        }
        found
    }

    /// Nobody woke us: one registration less. Should a notifier be about to change the ticket, then
    /// it wakes one of those that still sleep.
    #[cold]
    fn take_back(&self) {
        _ = self
            .sleepers
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |sleepers| {
                sleepers.checked_sub(1)
            });
    }
}

#[cfg(all(test, feature = "std", not(any(loom, shuttle))))]
mod tests {
    use std::thread;

    use super::*;

    /// F76: sleeps that end for no reason leave nothing behind that could pile up.
    #[test]
    fn a_sleep_that_nobody_ended_is_not_counted() {
        const ROUNDS: u32 = 20;
        let parking = Parking::new();
        let looks = AtomicU32::new(0);
        let look = || (looks.fetch_add(1, Ordering::Relaxed) == ROUNDS).then_some(());
        thread::scope(|scope| {
            scope.spawn(|| while parking.wait(look).is_none() {});
            while looks.load(Ordering::Relaxed) <= ROUNDS {
                // What a signal does: the sleep ends, and the word keeps its value.
                parking.tickets.wake_one();
                thread::yield_now();
            }
        });
        // That of the last look, which found something.
        assert!(parking.sleepers.load(Ordering::Relaxed) <= 1);
    }
}
