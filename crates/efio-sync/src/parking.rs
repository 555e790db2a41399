//! Where waiters sleep when spinning no longer pays.
//!
//! An event count: a waiter registers, checks its condition once more, and sleeps. A thread that
//! may have made the condition true calls [`notify`](Parking::notify), which costs one load when
//! no waiter sleeps.
//!
//! ```text
//!   waiter                              notifier
//!   ticket = read `tickets`             write what waiters wait for
//!   sleepers += 1                       light barrier
//!   heavy barrier                       sleepers == 0? done
//!   condition true? done                sleepers -= 1, tickets += 1
//!   sleep while tickets == ticket       wake one sleeper
//! ```
//!
//! No wake-up is lost. The pair of barriers ensures that the notifier sees the registration or the
//! waiter sees the write. A notifier that removes a registration changes `tickets`: a waiter that
//! registered before no longer falls asleep, and one that sleeps is woken. So there are never more
//! sleepers than registrations and pending wakes. There may be fewer: a waiter that finds its
//! condition true after it registered leaves its registration, which costs a later notifier one
//! idle wake.
//!
//! A sleep may also end without a wake: by a signal, or at its timeout. The waiter, which will
//! register again, then removes a registration if `tickets` shows that no notifier did. So they do
//! not accumulate: the count stays below the number of waiters and of registrations that were left.

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
        // Acquire pairs with the Release of `wait`: the waiter whose registration we remove has
        // read its ticket before, so it has the old one when we change it.
        let taken = self
            .sleepers
            .fetch_update(Ordering::Acquire, Ordering::Relaxed, |sleepers| {
                sleepers.checked_sub(1)
            });
        if taken.is_ok() {
            // Release pairs with the Acquire load of `wait`: a waiter that reads the new ticket
            // sees all that was written before, and registers after we have counted.
            self.tickets.fetch_add(1, Ordering::Release);
            self.tickets.wake_one();
        }
    }

    /// Sleeps until a [`notify`](Self::notify), unless `look` returns a value before. May return
    /// `None` spuriously.
    pub(crate) fn wait<R>(&self, look: impl FnOnce() -> Option<R>) -> Option<R> {
        let ticket = self.tickets.load(Ordering::Acquire);
        // Release pairs with the Acquire of `wake_one`, see there.
        self.sleepers.fetch_add(1, Ordering::Release);
        let seen_by_all = barrier::heavy();
        let found = look();
        if found.is_none() {
            self.tickets
                .wait(ticket, if seen_by_all { None } else { Some(BLIND_SLEEP) });
            // Relaxed: a woken thread sees what was written before the wake.
            if self.tickets.load(Ordering::Relaxed) == ticket {
                self.take_back();
            }
        }
        found
    }

    /// Removes a registration after a sleep that no notifier ended. If a notifier is about to
    /// change the ticket, then it wakes one of those that still sleep.
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

    /// F76: sleeps that end without a wake leave no registrations that could accumulate.
    #[test]
    fn a_sleep_that_ends_without_a_wake_is_not_counted() {
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
        // That of the last check, which found a value.
        assert!(parking.sleepers.load(Ordering::Relaxed) <= 1);
    }
}
