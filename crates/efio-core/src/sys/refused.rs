//! System calls that this process may not make, and their fallbacks: containers and sandboxes
//! refuse calls that are newer than their filters, with `EPERM`, `ENOSYS` or `EINVAL` (F71).
//!
//! | refused | fallback | what is lost |
//! |---|---|---|
//! | `statx` | `fstat`, `fstatat` | direct IO, whose alignment only `statx` reports |
//! | `openat2` | `openat`, component by component | – |
//! | `preadv2`, `pwritev2` with flags | the page cache | `IoMode::Uncached`, reads by the caller |
//! | `pread64`, `pwritev` | `preadv2`, `pwrite64` | – |
//! | `fdatasync` | `fsync` | – |
//! | `fcntl` (`F_SETFL`) | a second open by `/proc/self/fd` | – |
//!
//! An error that concerns the file comes from the fallback as well, so it is not hidden.

use std::io;
use std::sync::atomic::{AtomicU32, Ordering};

/// A call that has a fallback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(dead_code, reason = "not every system layer makes all of them")]
pub enum Call {
    /// `statx(2)`.
    Statx,
    /// `openat2(2)`.
    Openat2,
    /// `pread(2)`.
    Pread,
    /// `pwritev(2)`.
    Pwritev,
    /// `fdatasync(2)`.
    Fdatasync,
    /// `fcntl(2)` with `F_SETFL`.
    SetFlags,
}

const NAMES: [&str; 6] = [
    "statx",
    "openat2",
    "pread64",
    "pwritev",
    "fdatasync",
    "fcntl",
];

/// One bit for each call that was refused.
static REFUSED: AtomicU32 = AtomicU32::new(0);

/// Whether the error may mean that the call is not allowed, whatever its arguments.
pub fn is_refusal(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EPERM | libc::ENOSYS | libc::EINVAL)
    )
}

/// Records that the call was refused and its fallback succeeded.
#[cold]
pub fn note(call: Call) {
    // Relaxed: a statistic.
    REFUSED.fetch_or(1 << call as u32, Ordering::Relaxed);
}

/// Returns the names of the calls that were refused so far.
pub fn names() -> Vec<&'static str> {
    let refused = REFUSED.load(Ordering::Relaxed);
    let all = NAMES.iter().enumerate();
    all.filter(|&(bit, _)| refused & 1 << bit != 0)
        .map(|(_, &name)| name)
        .collect()
}

/// Returns how many calls were refused so far.
pub fn count() -> u32 {
    REFUSED.load(Ordering::Relaxed).count_ones()
}

/// Returns the result of a call, or that of its fallback where the call is refused.
///
/// # Errors
///
/// Those of the call, or of its fallback.
pub fn or_else<T>(
    call: Call,
    result: io::Result<T>,
    fallback: impl FnOnce() -> io::Result<T>,
) -> io::Result<T> {
    match result {
        Err(error) if is_refusal(&error) => {
            let done = fallback()?;
            note(call);
            Ok(done)
        }
        result => result,
    }
}
