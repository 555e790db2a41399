//! No thread is cancelled, `pthread_cancel`(3), while it is inside a call.
//!
//! The C library ends a cancelled thread by unwinding its stack. Frames of Rust abort the process
//! then, and a thread that ended half way through a call would leave our locks taken.

use std::ffi::c_int;
use std::marker::PhantomData;

/// `PTHREAD_CANCEL_DISABLE`: glibc and musl have the same number.
const DISABLE: c_int = 1;

/// Defers the cancellation of the thread that made it: the thread ends at its first cancellation
/// point after the guard was dropped.
pub struct CancelGuard {
    before: c_int,
    /// It belongs to its thread.
    _not_send: PhantomData<*mut ()>,
}

impl CancelGuard {
    /// Disables cancellation. No system call.
    #[inline]
    pub fn new() -> Self {
        let before = set_state(DISABLE);
        let _not_send = PhantomData;
        Self { before, _not_send }
    }
}

impl Drop for CancelGuard {
    #[inline]
    fn drop(&mut self) {
        // Of the same thread: the guard is not `Send`.
        set_state(self.before);
    }
}

/// Sets the state of the calling thread; returns the one before.
#[inline]
fn set_state(state: c_int) -> c_int {
    // Inside the function, so that cbindgen does not put it into the header.
    unsafe extern "C" {
        fn pthread_setcancelstate(state: c_int, before: *mut c_int) -> c_int;
    }
    let mut before = state;
    // SAFETY: sets a flag of the calling thread and fills `before`.
    unsafe { pthread_setcancelstate(state, &raw mut before) };
    before
}
