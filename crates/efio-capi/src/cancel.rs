//! Cancellation of threads, `pthread_cancel`(3), is held off while one of them is inside a call.
//!
//! The C library ends a cancelled thread by unwinding its stack, which no frame of Rust lets pass:
//! the process would abort. And a thread that ends half way would leave locks of ours taken.

use std::ffi::c_int;
use std::marker::PhantomData;

/// `PTHREAD_CANCEL_DISABLE`: glibc and musl have the same number.
const DISABLE: c_int = 1;

/// While it lives, the thread that made it is not cancelled: who tries, waits until it is gone. The
/// thread ends then at its next cancellation point.
pub struct CancelGuard {
    before: c_int,
    /// It belongs to its thread.
    _not_send: PhantomData<*mut ()>,
}

impl CancelGuard {
    /// Holds cancellation off. No system call.
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
        // Of the same thread, which cannot send the guard away.
        set_state(self.before);
    }
}

/// Sets the state of the calling thread; the one before.
#[inline]
fn set_state(state: c_int) -> c_int {
    // Not beside the functions of the library: these become the header.
    unsafe extern "C" {
        fn pthread_setcancelstate(state: c_int, before: *mut c_int) -> c_int;
    }
    let mut before = state;
    // SAFETY: sets a flag of the calling thread and fills `before`.
    unsafe { pthread_setcancelstate(state, &raw mut before) };
    before
}
