//! Start, options, end.

use crate::ffi::{enter, put};
use crate::library;
use std::ffi::{c_int, c_uint};
use std::time::Duration;

/// Starts the library: one engine for the process, with a thread of its own. Does nothing while it
/// is running. Returns 0, or -1: EINVAL for an option out of range, ENOTSUP for a backend that is
/// not available, the errors of the kernel for memory and threads, ESHUTDOWN in a forked child of a
/// process in which it is running. Before ef_init every call about a file gives -1 and EBADF, after
/// ef_shutdown ESHUTDOWN.
#[unsafe(no_mangle)]
pub extern "C" fn ef_init() -> c_int {
    enter(|| library::start().map(|()| 0))
}

/// Sets an option, one of ef_option, for the next ef_init. Returns 0, or -1: EBUSY while the
/// library is running, EINVAL for an unknown option and for a value that it cannot have.
#[unsafe(no_mangle)]
pub extern "C" fn ef_set_option(option: c_int, value: u64) -> c_int {
    enter(|| library::set_option(option, value).map(|()| 0))
}

/// Ends the library: closes every file, waits until all accepted bytes are written or `timeout_ms`
/// milliseconds are over, and waits for the callback. All descriptors are closed then.
///
/// Returns 0 when nothing was left, else the number of unfinished files: those that were not closed
/// in time, and those, open or closed, that failed while no function has returned their error.
/// `*unwritten`, unless it is null, becomes the number of their bytes that were not written. -1:
/// EBADF when the library is not running, EDEADLK in a callback, ESHUTDOWN in a forked child.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ef_shutdown(timeout_ms: c_uint, unwritten: *mut u64) -> c_int {
    enter(|| {
        let report = library::stop(Duration::from_millis(timeout_ms.into()))?;
        let bytes = report.unfinished.iter().map(|(_, bytes)| bytes).sum();
        // SAFETY: the promises of C, see the module above.
        unsafe { put(unwritten, bytes) };
        Ok(c_int::try_from(report.unfinished.len()).unwrap_or(c_int::MAX))
    })
}
