//! One sleeper, many notifiers: a wake-up that costs a system call only when the sleeper sleeps.

cfg_if::cfg_if! {
    if #[cfg(feature = "std")] {
        mod parker;
        mod sleep;
        pub use parker::Parker;
        pub use sleep::Sleep;
    }
}
cfg_if::cfg_if! {
    if #[cfg(all(feature = "std", unix))] {
        mod event_fd;
        pub use event_fd::EventFd;
    }
}

use core::fmt;

use crate::shim::atomic::{AtomicU32, Ordering};

/// The sleeper is looking for work, or will before it sleeps.
const AWAKE: u32 = 0;
/// It was notified, and the sleeper has not checked yet.
const NOTIFIED: u32 = 1;
/// The sleeper sleeps, or is about to: it must be woken.
const ASLEEP: u32 = 2;

/// The way to wake the sleeper of a [`Doorbell`].
pub trait Alarm {
    /// Ends the sleeper's sleep: the one it is in, or else the next one.
    fn wake(&self);
}

impl<A: Alarm + ?Sized> Alarm for &A {
    fn wake(&self) {
        (**self).wake();
    }
}

#[cfg(feature = "alloc")]
impl<A: Alarm + ?Sized> Alarm for crate::shim::Arc<A> {
    fn wake(&self) {
        (**self).wake();
    }
}

/// Wakes one sleeper, which many threads may notify.
///
/// | state | `notify` | `arm` | `disarm` |
/// |---|---|---|---|
/// | awake | → notified, `false` | → asleep, `true` | stays, `false` |
/// | notified | stays, `false` | → awake, `false` | → awake, `true` |
/// | asleep | → notified, wakes, `true` | (not called) | → awake, `false` |
///
/// The sleeper looks for work, and when there is none it arms the bell and sleeps:
///
/// ```text
///   sleeper                              notifier
///   loop {                               write the work
///       do all work that is there        notify()
///       if arm() { sleep; disarm() }
///   }
/// ```
///
/// No notification is lost: one before `arm` makes it return `false`, one after it wakes, and both
/// change the same word, so there is nothing in between. Whatever a notifier wrote before its
/// `notify` is visible when `arm` has returned `false` or `disarm` or [`wait`](Self::wait) `true`,
/// also for notifications that were absorbed.
///
/// - Progress: `notify` is wait-free: one swap, and if the sleeper sleeps, the system call of the
///   [`Alarm`]; others are absorbed until the sleeper has checked.
/// - Cost: 2.2 ns to notify a sleeper that is awake, where a write to an eventfd takes 256.
///
/// **One sleeper at a time** calls `arm`, `disarm` and `wait`. With two nothing is undefined, but
/// one may take the notification that the other sleeps for.
///
/// ```
/// use efio_sync::{Doorbell, Parker};
/// use std::sync::atomic::{AtomicU32, Ordering};
///
/// static BELL: Doorbell<Parker> = Doorbell::new(Parker::new());
/// static WORK: AtomicU32 = AtomicU32::new(0);
///
/// let notifier = std::thread::spawn(|| {
///     WORK.store(1, Ordering::Relaxed);
///     BELL.notify();
/// });
/// assert!(BELL.wait(None));
/// assert_eq!(WORK.load(Ordering::Relaxed), 1);
/// notifier.join().unwrap();
/// ```
pub struct Doorbell<A> {
    state: AtomicU32,
    alarm: A,
}

impl<A> Doorbell<A> {
    const_unless_loom! {
        /// Returns a doorbell whose sleeper is awake.
        #[inline]
        pub const fn new(alarm: A) -> Self {
            Self { state: AtomicU32::new(AWAKE), alarm }
        }
    }

    /// Returns the alarm that wakes the sleeper.
    #[inline]
    pub fn alarm(&self) -> &A {
        &self.alarm
    }

    /// Sleeper: arms the bell before it sleeps. `false`: it was notified since the last check;
    /// check for work again instead.
    ///
    /// Everything that a notifier wrote before a `notify` that makes this `false` is visible after
    /// it.
    #[inline]
    #[must_use = "on `false` the sleeper must not sleep"]
    pub fn arm(&self) -> bool {
        // The exchange can only fail on NOTIFIED: only the sleeper sets the other two. Release is
        // not needed: the notifier reads only that we sleep.
        if self
            .state
            .compare_exchange(AWAKE, ASLEEP, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok()
        {
            return true;
        }
        self.disarm();
        false
    }

    /// Sleeper: awake again, for whatever reason. Returns whether it was notified.
    ///
    /// Everything that a notifier wrote before that `notify` is visible afterwards.
    #[inline]
    pub fn disarm(&self) -> bool {
        // Acquire pairs with the Release of `notify`. Others in between are read-modify-writes, so
        // they continue its release sequence: all of them are seen, not just the last.
        self.state.swap(AWAKE, Ordering::Acquire) == NOTIFIED
    }

    /// Returns whether it was notified; out of date when it returns.
    #[inline]
    pub fn is_notified(&self) -> bool {
        self.state.load(Ordering::Relaxed) == NOTIFIED
    }
}

impl<A: Alarm> Doorbell<A> {
    /// Wakes the sleeper, or makes its next `arm` fail. Returns `true` if it slept and this call
    /// woke it (a system call).
    ///
    /// Everything written before is visible to the sleeper when it checks.
    #[inline]
    pub fn notify(&self) -> bool {
        // Release pairs with the Acquire of `disarm`.
        if self.state.swap(NOTIFIED, Ordering::Release) != ASLEEP {
            return false;
        }
        self.wake();
        true
    }

    #[cold]
    fn wake(&self) {
        self.alarm.wake();
    }
}

impl<A: fmt::Debug> fmt::Debug for Doorbell<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state.load(Ordering::Relaxed) {
            AWAKE => "awake",
            NOTIFIED => "notified",
            _ => "asleep",
        };
        f.debug_struct("Doorbell")
            .field("state", &state)
            .field("alarm", &self.alarm)
            .finish()
    }
}
