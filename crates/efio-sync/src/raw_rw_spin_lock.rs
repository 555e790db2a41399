//! The word of [`RwSpinLock`](crate::RwSpinLock): many readers or one writer; a waiting writer
//! holds new readers back.
//!
//! Writer preference as in P. J. Courtois, F. Heymans and D. L. Parnas, "Concurrent Control with
//! Readers and Writers", CACM 14(10), 1971, problem 2; one word instead of semaphores.
//!
//! ```text
//!   31                                    3       2            1          0
//!   ┌──────────────────────────────────────┬─────────┬────────────┬────────┐
//!   │ number of readers                    │ WAITING │ UPGRADABLE │ WRITER │
//!   └──────────────────────────────────────┴─────────┴────────────┴────────┘
//! ```
//!
//! | to take | needs clear | does |
//! |---|---|---|
//! | read | WRITER, WAITING | + READER |
//! | upgradable read | WRITER, WAITING, UPGRADABLE | + UPGRADABLE |
//! | write | all but WAITING | = WRITER; sets WAITING while it has to wait |
//! | upgrade | WRITER (ours is UPGRADABLE), readers | = WRITER; sets WAITING while it has to wait |
//!
//! WAITING is cleared by the writer that gets in; other writers that still wait set it again while
//! it is inside. Every change is a read-modify-write, so that each release continues the release
//! sequences before it, and a writer that acquires the word has acquired from every reader.
//!
//! The number of readers never wraps, however many guards are leaked: everything that adds one
//! checks first, and refuses (`try_…`) or panics without having changed anything.

use crate::Backoff;
use crate::shim::atomic::{AtomicU32, Ordering};

const WRITER: u32 = 1;
const UPGRADABLE: u32 = 2;
const WAITING: u32 = 4;
const READER: u32 = 8;

/// The lock word of [`RwSpinLock`](crate::RwSpinLock) without the data.
#[repr(transparent)]
pub struct RawRwSpinLock {
    state: AtomicU32,
}

impl RawRwSpinLock {
    /// How many readers can hold the lock at a time: 2²⁹ − 1. A reader more is refused by
    /// [`try_read`](Self::try_read), and panics in [`read`](Self::read).
    pub const MAX_READERS: u32 = readers(u32::MAX);

    const_unless_loom! {
        /// Returns an open lock.
        #[inline]
        pub const fn new() -> Self {
            Self { state: AtomicU32::new(0) }
        }
    }

    /// Attempts to take the lock for reading; returns whether it did. Fails with
    /// [`MAX_READERS`](Self::MAX_READERS) readers.
    #[inline]
    pub fn try_read(&self) -> bool {
        self.try_add(WRITER | WAITING, READER)
    }

    /// Waits until the caller holds the lock for reading.
    ///
    /// # Panics
    ///
    /// With [`MAX_READERS`](Self::MAX_READERS) readers.
    #[inline]
    pub fn read(&self) {
        if !self.try_read() {
            self.wait_for(|| {
                if readers(self.state.load(Ordering::Relaxed)) == Self::MAX_READERS {
                    too_many_readers();
                }
                self.try_read()
            });
        }
    }

    /// Attempts to take the upgradable lock; returns whether it did.
    #[inline]
    pub fn try_upgradable_read(&self) -> bool {
        self.try_add(WRITER | WAITING | UPGRADABLE, UPGRADABLE)
    }

    /// Waits until the caller holds the upgradable lock.
    #[inline]
    pub fn upgradable_read(&self) {
        if !self.try_upgradable_read() {
            self.wait_for(|| self.try_upgradable_read());
        }
    }

    /// Attempts to take the lock for writing; returns whether it did.
    #[inline]
    pub fn try_write(&self) -> bool {
        // Acquire pairs with the Release of each unlock, those of readers included.
        self.state
            .compare_exchange(0, WRITER, Ordering::Acquire, Ordering::Relaxed)
            .is_ok()
    }

    /// Waits until the caller holds the lock for writing.
    #[inline]
    pub fn write(&self) {
        if !self.try_write() {
            self.wait_for(|| self.try_enter(0));
        }
    }

    /// Attempts to make the caller's upgradable lock one for writing; returns whether it did.
    ///
    /// # Safety
    ///
    /// The caller holds the upgradable lock.
    #[inline]
    pub unsafe fn try_upgrade(&self) -> bool {
        let mut state = self.state.load(Ordering::Relaxed);
        while state & !WAITING == UPGRADABLE {
            // Acquire pairs with the Release of the readers that have left.
            match self.state.compare_exchange_weak(
                state,
                WRITER,
                Ordering::Acquire,
                Ordering::Relaxed,
            ) {
                Ok(_) => return true,
                Err(now) => state = now,
            }
        }
        false
    }

    /// Waits until the caller's upgradable lock is one for writing. New readers are held back.
    ///
    /// # Safety
    ///
    /// The caller holds the upgradable lock.
    #[inline]
    pub unsafe fn upgrade(&self) {
        // SAFETY: the caller's promise.
        if !unsafe { self.try_upgrade() } {
            self.wait_for(|| self.try_enter(UPGRADABLE));
        }
    }

    /// Releases a lock for reading.
    ///
    /// # Safety
    ///
    /// The caller holds it and does not use the data afterwards.
    #[inline]
    pub unsafe fn unlock_read(&self) {
        // Release pairs with the Acquire of the next writer.
        self.state.fetch_sub(READER, Ordering::Release);
    }

    /// Releases the upgradable lock.
    ///
    /// # Safety
    ///
    /// The caller holds it and does not use the data afterwards.
    #[inline]
    pub unsafe fn unlock_upgradable(&self) {
        // Release as in `unlock_read`.
        self.state.fetch_sub(UPGRADABLE, Ordering::Release);
    }

    /// Releases the lock for writing.
    ///
    /// # Safety
    ///
    /// The caller holds it and does not use the data afterwards.
    #[inline]
    pub unsafe fn unlock_write(&self) {
        // Release pairs with the Acquire of each thread that gets in next.
        self.state.fetch_sub(WRITER, Ordering::Release);
    }

    /// Makes the caller's lock for writing one for reading.
    ///
    /// # Safety
    ///
    /// The caller holds the lock for writing and only reads afterwards.
    #[inline]
    pub unsafe fn downgrade(&self) {
        // Release pairs with the Acquire of the readers that are let in.
        self.state.fetch_add(READER - WRITER, Ordering::Release);
    }

    /// Makes the caller's lock for writing the upgradable one.
    ///
    /// # Safety
    ///
    /// The caller holds the lock for writing and only reads afterwards.
    #[inline]
    pub unsafe fn downgrade_to_upgradable(&self) {
        // Release as in `downgrade`.
        self.state.fetch_add(UPGRADABLE - WRITER, Ordering::Release);
    }

    /// Makes the caller's upgradable lock one for reading.
    ///
    /// # Panics
    ///
    /// With [`MAX_READERS`](Self::MAX_READERS) other readers. The caller then still holds the
    /// upgradable lock.
    ///
    /// # Safety
    ///
    /// The caller holds the upgradable lock.
    #[inline]
    pub unsafe fn downgrade_upgradable(&self) {
        // Relaxed: only another upgradable reader can get in by this, and nothing was written.
        let counted = self
            .state
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |state| {
                state.checked_add(READER - UPGRADABLE)
            });
        if counted.is_err() {
            too_many_readers();
        }
    }

    /// Returns whether the lock is held in any way; out of date when it returns.
    #[inline]
    pub fn is_locked(&self) -> bool {
        self.state.load(Ordering::Relaxed) & !WAITING != 0
    }

    /// Returns whether the lock is held for writing; out of date when it returns.
    #[inline]
    pub fn is_locked_exclusive(&self) -> bool {
        self.state.load(Ordering::Relaxed) & WRITER != 0
    }

    /// Adds `share` while all of `barred` is clear, unless the count is full.
    #[inline(always)]
    fn try_add(&self, barred: u32, share: u32) -> bool {
        let mut state = self.state.load(Ordering::Relaxed);
        while state & barred == 0 {
            let Some(next) = state.checked_add(share) else {
                return false;
            };
            // Acquire pairs with the Release of the last writer.
            match self.state.compare_exchange_weak(
                state,
                next,
                Ordering::Acquire,
                Ordering::Relaxed,
            ) {
                Ok(_) => return true,
                Err(now) => state = now,
            }
        }
        false
    }

    /// For a writer that has to wait, and holds `own` (0 or UPGRADABLE): enters, or keeps new
    /// readers out.
    fn try_enter(&self, own: u32) -> bool {
        let state = self.state.load(Ordering::Relaxed);
        if state & !WAITING == own {
            // Acquire pairs with the Release of each unlock, those of readers included.
            return self
                .state
                .compare_exchange(state, WRITER, Ordering::Acquire, Ordering::Relaxed)
                .is_ok();
        }
        if state & WAITING == 0 {
            self.state.fetch_or(WAITING, Ordering::Relaxed);
        }
        false
    }

    #[cold]
    #[inline(never)]
    fn wait_for(&self, mut attempt: impl FnMut() -> bool) {
        let backoff = Backoff::new();
        while !attempt() {
            backoff.snooze();
        }
    }
}

/// Returns the number of readers in a state.
const fn readers(state: u32) -> u32 {
    state / READER
}

#[cold]
fn too_many_readers() -> ! {
    panic!(
        "{} readers hold an RwSpinLock, and no more can",
        RawRwSpinLock::MAX_READERS
    );
}

impl Default for RawRwSpinLock {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(all(test, feature = "std", not(any(loom, shuttle))))]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    impl RawRwSpinLock {
        /// As if the guards of so many readers were leaked.
        pub(crate) fn leak_readers(&self, count: u32) {
            self.state.fetch_add(count * READER, Ordering::Relaxed);
        }
    }

    fn full() -> RawRwSpinLock {
        let lock = RawRwSpinLock::new();
        lock.leak_readers(RawRwSpinLock::MAX_READERS);
        lock
    }

    fn panics(call: impl FnOnce()) -> bool {
        catch_unwind(AssertUnwindSafe(call)).is_err()
    }

    /// F76: every way to become a reader, with and without a writer that waits.
    #[test]
    fn the_count_of_readers_never_wraps() {
        for waiting in [0, WAITING] {
            let lock = full();
            lock.state.fetch_or(waiting, Ordering::Relaxed);
            let before = lock.state.load(Ordering::Relaxed);
            assert!(!lock.try_read());
            assert!(panics(|| lock.read()));
            assert_eq!(lock.state.load(Ordering::Relaxed), before);

            lock.state.fetch_or(UPGRADABLE, Ordering::Relaxed);
            // SAFETY: the upgradable lock is held: it was just taken, by hand.
            assert!(panics(|| unsafe { lock.downgrade_upgradable() }));
            assert_eq!(lock.state.load(Ordering::Relaxed), before | UPGRADABLE);
            assert!(!lock.try_write());
            // SAFETY: as above, and one of the readers.
            unsafe {
                lock.unlock_read();
                lock.downgrade_upgradable();
            }
            assert_eq!(lock.state.load(Ordering::Relaxed), before);
        }
    }

    /// The upgradable lock is no reader: it is available beside the largest number of them.
    #[test]
    fn an_upgradable_reader_is_not_counted() {
        let lock = full();
        assert!(lock.try_upgradable_read());
        // SAFETY: taken just now.
        unsafe { lock.unlock_upgradable() };
        assert_eq!(
            readers(lock.state.load(Ordering::Relaxed)),
            RawRwSpinLock::MAX_READERS
        );
    }
}
