//! The locks for C.

use crate::ffi::{enter, error, object};
use crate::forked::ForkGuard;
use efio_sync::{McsLock, McsNode, RawRwSpinLock, RawSpinLock};
use std::ffi::{c_int, c_void};
use std::io;
use std::mem;
use std::pin::Pin;

/// A lock whose waiters spin, then yield.
pub struct SpinLock {
    lock: RawSpinLock,
}

/// A handle of the lock.
pub type SpinHandle = *mut SpinLock;

/// Creates an open lock.
#[unsafe(no_mangle)]
pub extern "C" fn create_spin_lock() -> SpinHandle {
    enter(|| {
        let lock = RawSpinLock::new();
        Ok(Box::into_raw(Box::new(SpinLock { lock })))
    })
}

/// Destroys a lock that nobody uses any more. Null is allowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn destroy_spin_lock(lock: SpinHandle) {
    enter(|| {
        if !lock.is_null() {
            // SAFETY: it came from `create_spin_lock`, and is destroyed once.
            drop(unsafe { Box::from_raw(lock) });
        }
        Ok(())
    })
}

/// Acquires the lock if it is open. Returns 1, or 0 when a thread holds it. -1: EINVAL for null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ev_spin_try_lock(lock: SpinHandle) -> c_int {
    enter(|| {
        // SAFETY: the promises of C, see the module above.
        let lock = unsafe { object(lock) }?;
        Ok(c_int::from(lock.lock.try_lock()))
    })
}

/// Waits for the lock and acquires it. Null: EINVAL in errno, and nothing is locked. As with a
/// mutex of pthreads, a lock that another thread holds at a fork is never released in the child.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ev_spin_lock(lock: SpinHandle) {
    enter(|| {
        // SAFETY: the promises of C, see the module above.
        unsafe { object(lock) }?.lock.lock();
        Ok(())
    })
}

/// Releases the lock, which the caller holds. Null: EINVAL in errno.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ev_spin_unlock(lock: SpinHandle) {
    enter(|| {
        // SAFETY: the promises of C, see the module above.
        unsafe { object(lock)?.lock.unlock() };
        Ok(())
    })
}

/// A queue lock: first come, first served. It lives in the caller's memory, where mcs_init makes
/// it, and does not move while a thread has a ticket.
#[repr(C)]
pub struct McsLockWord {
    /// Private.
    tail: *mut c_void,
}

// The word has room for the lock.
const _: () = assert!(size_of::<McsLock<()>>() == size_of::<McsLockWord>());
const _: () = assert!(align_of::<McsLock<()>>() == align_of::<McsLockWord>());

/// Initialises `*lock` to an open lock. Null: EINVAL in errno.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mcs_init(lock: *mut McsLockWord) {
    enter(|| {
        if lock.is_null() {
            return Err(error(libc::EINVAL));
        }
        // SAFETY: not null, the caller's memory, and the lock fits, see above.
        unsafe { lock.cast::<McsLock<()>>().write(McsLock::new(())) };
        Ok(())
    })
}

/// Waits for its turn and acquires the lock. Returns the ticket for mcs_relinquish. Null: EINVAL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mcs_get_access(lock: *mut McsLockWord) -> *mut c_void {
    enter(|| {
        // SAFETY: the promises of C; `mcs_init` wrote an `McsLock` there.
        let lock: &'static McsLock<()> = unsafe { object(lock.cast()) }?;
        let mut node = Box::pin(McsNode::new());
        // Leaks the guard: the drop of the node releases the lock.
        mem::forget(lock.lock(node.as_mut()));
        // SAFETY: the node does not move until `mcs_relinquish` drops it.
        let node = unsafe { Pin::into_inner_unchecked(node) };
        Ok(Box::into_raw(node).cast())
    })
}

/// Releases the lock for the next thread. `access` is the ticket that this thread got for the lock
/// from mcs_get_access; it is used up. Returns 0, or -1: EINVAL for null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mcs_relinquish(lock: *mut McsLockWord, access: *mut c_void) -> c_int {
    enter(|| {
        if lock.is_null() || access.is_null() {
            return Err(error(libc::EINVAL));
        }
        // SAFETY: it came from `mcs_get_access`, and is used once. It was pinned: it is dropped in
        // place.
        drop(unsafe { Box::from_raw(access.cast::<McsNode<'static>>()) });
        Ok(0)
    })
}

/// Many readers or one writer; a waiting writer holds new readers back.
pub struct RwLock {
    lock: RawRwSpinLock,
    fork: ForkGuard,
}

impl RwLock {
    /// Checks before a wait: fails with `ESHUTDOWN` in a forked child for a lock that was held at
    /// the fork, whose holder is not in the child as a rule.
    fn may_wait(&self) -> io::Result<()> {
        if self.fork.is_child() {
            if self.lock.is_locked() {
                return Err(error(libc::ESHUTDOWN));
            }
            // A writer of the parent that waited at the fork still holds readers back.
            self.lock.write();
            // SAFETY: this call holds the lock for writing.
            unsafe { self.lock.unlock_write() };
            self.fork.adopt();
        }
        Ok(())
    }
}

/// A handle of the lock.
pub type RwHandle = *mut RwLock;

/// Creates an open lock.
#[unsafe(no_mangle)]
pub extern "C" fn ev_rwlock_init() -> RwHandle {
    enter(|| {
        let (lock, fork) = (RawRwSpinLock::new(), ForkGuard::new());
        Ok(Box::into_raw(Box::new(RwLock { lock, fork })))
    })
}

/// Destroys a lock that nobody uses any more. Null is allowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ev_rwlock_destroy(lock: RwHandle) {
    enter(|| {
        if !lock.is_null() {
            // SAFETY: it came from `ev_rwlock_init`, and is destroyed once.
            drop(unsafe { Box::from_raw(lock) });
        }
        Ok(())
    })
}

/// Waits for the lock and acquires it for reading. Returns 0, or -1: EINVAL for null; ESHUTDOWN in
/// a forked child for a lock that was held at the fork, until its holder releases it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ev_rwlock_rdlock(lock: RwHandle) -> c_int {
    enter(|| {
        // SAFETY: the promises of C, see the module above.
        let lock = unsafe { object(lock) }?;
        if !lock.lock.try_read() {
            lock.may_wait()?;
            lock.lock.read();
        }
        Ok(0)
    })
}

/// Releases the lock, which the caller holds for reading. Returns 0, or -1: EINVAL for null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ev_rwlock_rdunlock(lock: RwHandle) -> c_int {
    enter(|| {
        // SAFETY: the promises of C, see the module above.
        unsafe { object(lock)?.lock.unlock_read() };
        Ok(0)
    })
}

/// Waits for the lock and acquires it for writing. Returns 0, or -1: EINVAL for null; ESHUTDOWN as
/// for ev_rwlock_rdlock.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ev_rwlock_wrlock(lock: RwHandle) -> c_int {
    enter(|| {
        // SAFETY: the promises of C, see the module above.
        let lock = unsafe { object(lock) }?;
        if !lock.lock.try_write() {
            lock.may_wait()?;
            lock.lock.write();
        }
        Ok(0)
    })
}

/// Releases the lock, which the caller holds for writing. Returns 0, or -1: EINVAL for null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ev_rwlock_wrunlock(lock: RwHandle) -> c_int {
    enter(|| {
        // SAFETY: the promises of C, see the module above.
        unsafe { object(lock)?.lock.unlock_write() };
        Ok(0)
    })
}
