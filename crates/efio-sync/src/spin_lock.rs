//! A test-and-test-and-set lock with exponential backoff.
//!
//! After L. Rudolph and Z. Segall, "Dynamic Decentralized Cache Schemes for MIMD Parallel
//! Processors", ISCA 1984, and T. E. Anderson, "The Performance of Spin Lock Alternatives for
//! Shared-Memory Multiprocessors", IEEE TPDS 1(1), 1990, section III.

use core::fmt;

use crate::Backoff;
use crate::shim::atomic::{AtomicBool, Ordering};
use crate::shim::cell::{MutPtr, UnsafeCell};

/// The lock word of [`SpinLock`] without the data.
pub struct RawSpinLock {
    locked: AtomicBool,
}

impl RawSpinLock {
    const_unless_loom! {
        /// Returns an open lock.
        #[inline]
        pub const fn new() -> Self {
            Self { locked: AtomicBool::new(false) }
        }
    }

    /// Attempts to take the lock; returns whether the calling thread now holds it.
    #[inline(always)]
    pub fn try_lock(&self) -> bool {
        // Acquire pairs with the Release store of `unlock`: what the last holder wrote is visible.
        self.locked
            .compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed)
            .is_ok()
    }

    /// Waits until the calling thread holds the lock.
    #[inline(always)]
    pub fn lock(&self) {
        if !self.try_lock() {
            self.lock_contended();
        }
    }

    #[cold]
    #[inline(never)]
    fn lock_contended(&self) {
        let backoff = Backoff::new();
        loop {
            // Loads keep the line shared; an exchange pays only when the lock looks open.
            while self.is_locked() {
                backoff.snooze();
            }
            if self.try_lock() {
                return;
            }
            backoff.snooze();
        }
    }

    /// Returns whether the lock is held; out of date when it returns.
    #[inline]
    pub fn is_locked(&self) -> bool {
        self.locked.load(Ordering::Relaxed)
    }

    /// Opens the lock.
    ///
    /// # Safety
    ///
    /// The lock is held, and its holder does not use the data afterwards.
    #[inline(always)]
    pub unsafe fn unlock(&self) {
        self.locked.store(false, Ordering::Release);
    }
}

impl Default for RawSpinLock {
    fn default() -> Self {
        Self::new()
    }
}

/// A value that one thread at a time may use; waiting threads spin, then yield.
///
/// - Fairness: none. The last holder has the best chance to get in again, which is why it is fast,
///   and a waiter may be passed over any number of times.
/// - Progress: blocking; no thread gets in while the holder is off the processor. Waiters that have
///   spun for some microseconds yield, so that the holder runs again (not without the feature
///   `std`, where they spin for ever: do not use it on one core with preemption there).
/// - Cost: one byte; one exchange and one store uncontended: 2.2 ns where std's mutex takes 4.5 and
///   parking_lot's 5.1.
/// - Wins with sections of nanoseconds to a few microseconds. Against parking_lot's mutex: 0.43
///   times the time per operation uncontended, 0.6 to 0.9 with 2, 4 and 8 threads on two cores.
/// - Loses when the holder sleeps, blocks in the kernel or works for long: the waiters burn their
///   time slices, which a mutex that parks them would leave to others. It is also no lock to share
///   between threads of different real-time priorities.
///
/// It is not re-entrant: a holder that locks again waits for itself. A panic opens it; there is no
/// poisoning.
///
/// ```
/// use efio_sync::SpinLock;
///
/// static NEXT: SpinLock<u64> = SpinLock::new(0);
///
/// let mine = NEXT.with(|next| {
///     *next += 1;
///     *next
/// });
/// assert_eq!(*NEXT.lock(), mine);
/// ```
///
/// Only what may move between threads may be in a lock that is shared:
///
/// ```compile_fail,E0277
/// static LOCK: efio_sync::SpinLock<Option<std::rc::Rc<u8>>> = efio_sync::SpinLock::new(None);
/// ```
pub struct SpinLock<T: ?Sized> {
    raw: RawSpinLock,
    value: UnsafeCell<T>,
}

// SAFETY: the lock hands the value to one thread at a time, so sharing the lock needs what moving
// the value between threads needs.
unsafe impl<T: ?Sized + Send> Sync for SpinLock<T> {}
// SAFETY: a lock owns its value.
unsafe impl<T: ?Sized + Send> Send for SpinLock<T> {}

impl<T> SpinLock<T> {
    const_unless_loom! {
        /// Returns an open lock around `value`.
        #[inline]
        pub const fn new(value: T) -> Self {
            Self { raw: RawSpinLock::new(), value: UnsafeCell::new(value) }
        }
    }

    /// Takes the value out.
    #[inline]
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }
}

impl<T: ?Sized> SpinLock<T> {
    /// Waits for the lock. It opens when the guard is dropped.
    #[inline]
    pub fn lock(&self) -> SpinLockGuard<'_, T> {
        self.raw.lock();
        self.guard()
    }

    /// Attempts to take the lock: `None` if it is held.
    #[inline]
    pub fn try_lock(&self) -> Option<SpinLockGuard<'_, T>> {
        self.raw.try_lock().then(|| self.guard())
    }

    /// Waits for the lock, runs `f` on the value, opens the lock (also when `f` panics).
    #[inline]
    pub fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
        f(&mut self.lock())
    }

    /// Returns whether the lock is held; out of date when it returns.
    #[inline]
    pub fn is_locked(&self) -> bool {
        self.raw.is_locked()
    }

    /// Returns the value without locking: `&mut self` shows that no other reference to it exists.
    #[inline]
    pub fn get_mut(&mut self) -> &mut T {
        let value = self.value.get_mut();
        // SAFETY: `&mut self`; no guard is alive, since it would borrow the lock.
        unsafe { &mut *core::ptr::from_mut(value.deref()) }
    }

    /// For the thread that just locked.
    #[inline(always)]
    fn guard(&self) -> SpinLockGuard<'_, T> {
        SpinLockGuard {
            value: self.value.get_mut(),
            _unlock: Unlock(&self.raw),
        }
    }
}

impl<T: Default> Default for SpinLock<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for SpinLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("SpinLock");
        match self.try_lock() {
            Some(value) => out.field("value", &&*value),
            None => out.field("value", &format_args!("<locked>")),
        };
        out.finish()
    }
}

/// Access to the value of a [`SpinLock`]; opens the lock when dropped.
#[must_use = "the lock opens when the guard is dropped"]
pub struct SpinLockGuard<'a, T: ?Sized> {
    // Fields drop in this order: the access ends before the lock opens.
    value: MutPtr<T>,
    _unlock: Unlock<'a>,
}

// SAFETY: a shared guard gives `&T` and nothing else.
unsafe impl<T: ?Sized + Sync> Sync for SpinLockGuard<'_, T> {}
// SAFETY: it gives `&mut T`, and the lock may be opened by any thread.
unsafe impl<T: ?Sized + Send> Send for SpinLockGuard<'_, T> {}

impl_guard!(mut SpinLockGuard<'_>);

/// Opens the lock when dropped.
struct Unlock<'a>(&'a RawSpinLock);

impl Drop for Unlock<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        // SAFETY: made by `guard` for the holder; the guard's access is dropped before.
        unsafe { self.0.unlock() }
    }
}
