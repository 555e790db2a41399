//! The spin locks as raw locks of the `lock_api` crate, whose mutex and guards (mapped guards,
//! guards in an `Arc`, …) then work with them.
//!
//! ```
//! type Mutex<T> = lock_api::Mutex<efio_sync::RawSpinLock, T>;
//! type RwLock<T> = lock_api::RwLock<efio_sync::RawRwSpinLock, T>;
//!
//! static COUNT: Mutex<u32> = Mutex::new(1);
//! *COUNT.lock() += 1;
//!
//! let lock = RwLock::new(2);
//! assert_eq!(*lock.read(), *COUNT.lock());
//! ```

use lock_api::{
    GuardSend, RawMutex, RawRwLock, RawRwLockDowngrade, RawRwLockUpgrade, RawRwLockUpgradeDowngrade,
};

use crate::{RawRwSpinLock, RawSpinLock};

// SAFETY: one holder at a time; acquire when taken, release when opened; any thread may open it.
unsafe impl RawMutex for RawSpinLock {
    #[allow(clippy::declare_interior_mutable_const, reason = "lock_api wants it")]
    const INIT: Self = Self::new();

    type GuardMarker = GuardSend;

    #[inline]
    fn lock(&self) {
        Self::lock(self);
    }

    #[inline]
    fn try_lock(&self) -> bool {
        Self::try_lock(self)
    }

    #[inline]
    unsafe fn unlock(&self) {
        // SAFETY: the caller's promise is the same.
        unsafe { Self::unlock(self) }
    }

    #[inline]
    fn is_locked(&self) -> bool {
        Self::is_locked(self)
    }
}

// SAFETY: readers or one writer; acquire when taken, release when released; by any thread.
unsafe impl RawRwLock for RawRwSpinLock {
    #[allow(clippy::declare_interior_mutable_const, reason = "lock_api wants it")]
    const INIT: Self = Self::new();

    type GuardMarker = GuardSend;

    #[inline]
    fn lock_shared(&self) {
        self.read();
    }

    #[inline]
    fn try_lock_shared(&self) -> bool {
        self.try_read()
    }

    #[inline]
    unsafe fn unlock_shared(&self) {
        // SAFETY: the caller's promise is the same.
        unsafe { self.unlock_read() }
    }

    #[inline]
    fn lock_exclusive(&self) {
        self.write();
    }

    #[inline]
    fn try_lock_exclusive(&self) -> bool {
        self.try_write()
    }

    #[inline]
    unsafe fn unlock_exclusive(&self) {
        // SAFETY: the caller's promise is the same.
        unsafe { self.unlock_write() }
    }

    #[inline]
    fn is_locked(&self) -> bool {
        Self::is_locked(self)
    }

    #[inline]
    fn is_locked_exclusive(&self) -> bool {
        Self::is_locked_exclusive(self)
    }
}

// SAFETY: the writer becomes a reader in one step.
unsafe impl RawRwLockDowngrade for RawRwSpinLock {
    #[inline]
    unsafe fn downgrade(&self) {
        // SAFETY: the caller's promise is the same.
        unsafe { Self::downgrade(self) }
    }
}

// SAFETY: one upgradable reader at a time, beside readers, never beside a writer.
unsafe impl RawRwLockUpgrade for RawRwSpinLock {
    #[inline]
    fn lock_upgradable(&self) {
        self.upgradable_read();
    }

    #[inline]
    fn try_lock_upgradable(&self) -> bool {
        self.try_upgradable_read()
    }

    #[inline]
    unsafe fn unlock_upgradable(&self) {
        // SAFETY: the caller's promise is the same.
        unsafe { Self::unlock_upgradable(self) }
    }

    #[inline]
    unsafe fn upgrade(&self) {
        // SAFETY: the caller's promise is the same.
        unsafe { Self::upgrade(self) }
    }

    #[inline]
    unsafe fn try_upgrade(&self) -> bool {
        // SAFETY: the caller's promise is the same.
        unsafe { Self::try_upgrade(self) }
    }
}

// SAFETY: each change is one step.
unsafe impl RawRwLockUpgradeDowngrade for RawRwSpinLock {
    #[inline]
    unsafe fn downgrade_upgradable(&self) {
        // SAFETY: the caller's promise is the same. If it panics, the caller's guard still holds
        // the upgradable lock, and releases it.
        unsafe { Self::downgrade_upgradable(self) }
    }

    #[inline]
    unsafe fn downgrade_to_upgradable(&self) {
        // SAFETY: the caller's promise is the same.
        unsafe { Self::downgrade_to_upgradable(self) }
    }
}
