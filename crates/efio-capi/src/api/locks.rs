//! The locks for C.

use crate::ffi::{enter, error, object};
use crate::forked::Home;
use efio_sync::{McsLock, McsNode, RawRwSpinLock, RawSpinLock};
use std::ffi::{c_int, c_void};
use std::io;
use std::mem;
use std::pin::Pin;

/// A lock whose waiters spin, then yield.
pub struct SpinLock {
    lock: RawSpinLock,
}

/// What the functions take.
pub type SpinHandle = *mut SpinLock;

/// A new lock, open.
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
            // SAFETY: it came from `create_spin_lock`, and goes here, once.
            drop(unsafe { Box::from_raw(lock) });
        }
        Ok(())
    })
}

/// Takes the lock if it is open. Returns 1, or 0 when somebody has it. -1: EINVAL for null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ev_spin_try_lock(lock: SpinHandle) -> c_int {
    enter(|| {
        // SAFETY: what C promises, see the module above.
        let lock = unsafe { object(lock) }?;
        Ok(c_int::from(lock.lock.try_lock()))
    })
}

/// Waits for the lock and takes it. Null: EINVAL in errno, and nothing is locked. As with a mutex of
/// pthreads, a lock that another thread has at a fork is taken in the child for good.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ev_spin_lock(lock: SpinHandle) {
    enter(|| {
        // SAFETY: what C promises, see the module above.
        unsafe { object(lock) }?.lock.lock();
        Ok(())
    })
}

/// Opens the lock, which the caller has. Null: EINVAL in errno.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ev_spin_unlock(lock: SpinHandle) {
    enter(|| {
        // SAFETY: what C promises, see the module above.
        unsafe { object(lock)?.lock.unlock() };
        Ok(())
    })
}

/// A queue lock: first come, first served. It lies in the caller's memory, where mcs_init makes it,
/// and stays there while somebody has a ticket.
#[repr(C)]
pub struct McsLockWord {
    /// Not for the caller.
    tail: *mut c_void,
}

// The lock that the word holds.
const _: () = assert!(size_of::<McsLock<()>>() == size_of::<McsLockWord>());
const _: () = assert!(align_of::<McsLock<()>>() == align_of::<McsLockWord>());

/// Makes an open lock in `*lock`. Null: EINVAL in errno.
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

/// Waits for its turn and takes the lock. Returns the ticket for mcs_relinquish. Null: EINVAL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mcs_get_access(lock: *mut McsLockWord) -> *mut c_void {
    enter(|| {
        // SAFETY: what C promises; `mcs_init` wrote an `McsLock` there.
        let lock: &'static McsLock<()> = unsafe { object(lock.cast()) }?;
        let mut node = Box::pin(McsNode::new());
        // The guard is leaked: the node opens the lock when it is dropped.
        mem::forget(lock.lock(node.as_mut()));
        // SAFETY: the node does not move until `mcs_relinquish` drops it.
        let node = unsafe { Pin::into_inner_unchecked(node) };
        Ok(Box::into_raw(node).cast())
    })
}

/// Opens the lock for the next one. `access` is the ticket that this thread got for the lock from
/// mcs_get_access; it is used up. Returns 0, or -1: EINVAL for null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mcs_relinquish(lock: *mut McsLockWord, access: *mut c_void) -> c_int {
    enter(|| {
        if lock.is_null() || access.is_null() {
            return Err(error(libc::EINVAL));
        }
        // SAFETY: it came from `mcs_get_access`, and goes here, once. It was pinned: it is dropped
        // where it is.
        drop(unsafe { Box::from_raw(access.cast::<McsNode<'static>>()) });
        Ok(0)
    })
}

/// Many readers or one writer; a waiting writer holds new readers back.
pub struct RwLock {
    lock: RawRwSpinLock,
    home: Home,
}

impl RwLock {
    /// Before a wait: fails with `ESHUTDOWN` in a forked child while the lock is as it was at the fork,
    /// since whoever has it is not there, as a rule.
    fn may_wait(&self) -> io::Result<()> {
        if self.home.is_child() {
            if self.lock.is_locked() {
                return Err(error(libc::ESHUTDOWN));
            }
            // What a writer that waited left behind holds readers back.
            self.lock.write();
            // SAFETY: the lock is ours, for writing.
            unsafe { self.lock.unlock_write() };
            self.home.adopt();
        }
        Ok(())
    }
}

/// What the functions take.
pub type RwHandle = *mut RwLock;

/// A new lock, open.
#[unsafe(no_mangle)]
pub extern "C" fn ev_rwlock_init() -> RwHandle {
    enter(|| {
        let (lock, home) = (RawRwSpinLock::new(), Home::here());
        Ok(Box::into_raw(Box::new(RwLock { lock, home })))
    })
}

/// Destroys a lock that nobody uses any more. Null is allowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ev_rwlock_destroy(lock: RwHandle) {
    enter(|| {
        if !lock.is_null() {
            // SAFETY: it came from `ev_rwlock_init`, and goes here, once.
            drop(unsafe { Box::from_raw(lock) });
        }
        Ok(())
    })
}

/// Waits until the caller may read. Returns 0, or -1: EINVAL for null; ESHUTDOWN in a forked child
/// for a lock that was taken at the fork, until whoever has it opens it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ev_rwlock_rdlock(lock: RwHandle) -> c_int {
    enter(|| {
        // SAFETY: what C promises, see the module above.
        let lock = unsafe { object(lock) }?;
        if !lock.lock.try_read() {
            lock.may_wait()?;
            lock.lock.read();
        }
        Ok(0)
    })
}

/// The caller has read. Returns 0, or -1: EINVAL for null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ev_rwlock_rdunlock(lock: RwHandle) -> c_int {
    enter(|| {
        // SAFETY: what C promises, see the module above.
        unsafe { object(lock)?.lock.unlock_read() };
        Ok(0)
    })
}

/// Waits until the caller may write. Returns 0, or -1: EINVAL for null; ESHUTDOWN as for
/// ev_rwlock_rdlock.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ev_rwlock_wrlock(lock: RwHandle) -> c_int {
    enter(|| {
        // SAFETY: what C promises, see the module above.
        let lock = unsafe { object(lock) }?;
        if !lock.lock.try_write() {
            lock.may_wait()?;
            lock.lock.write();
        }
        Ok(0)
    })
}

/// The caller has written. Returns 0, or -1: EINVAL for null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ev_rwlock_wrunlock(lock: RwHandle) -> c_int {
    enter(|| {
        // SAFETY: what C promises, see the module above.
        unsafe { object(lock)?.lock.unlock_write() };
        Ok(0)
    })
}
