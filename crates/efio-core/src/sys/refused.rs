//! System calls that this process may not make, and for which another one stands in: containers and
//! sandboxes refuse what is newer than their filters, with `EPERM`, `ENOSYS` or `EINVAL` (F71).
//!
//! | refused | stands in | what is lost |
//! |---|---|---|
//! | `statx` | `fstat`, `fstatat` | direct IO, whose alignment only `statx` tells |
//! | `openat2` | `openat`, component by component | – |
//! | `preadv2`, `pwritev2` with flags | the page cache | `IoMode::Uncached`, reads by the caller |
//! | `pread64`, `pwritev` | `preadv2`, `pwrite64` | – |
//! | `fdatasync` | `fsync` | – |
//! | `fcntl` (`F_SETFL`) | a second open by `/proc/self/fd` | – |
//!
//! An error that the file has earned comes from the stand-in as well, so it is not hidden.

use std::io;
use std::sync::atomic::{AtomicU32, Ordering};

/// A call that has a stand-in.
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

/// Whether the error may mean that the call is not allowed, whatever it is asked.
pub fn is_refusal(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EPERM | libc::ENOSYS | libc::EINVAL)
    )
}

/// The call was refused and its stand-in did the work.
#[cold]
pub fn note(call: Call) {
    // Relaxed: a statistic.
    REFUSED.fetch_or(1 << call as u32, Ordering::Relaxed);
}

/// What was refused so far.
pub fn names() -> Vec<&'static str> {
    let refused = REFUSED.load(Ordering::Relaxed);
    let all = NAMES.iter().enumerate();
    all.filter(|&(bit, _)| refused & 1 << bit != 0)
        .map(|(_, &name)| name)
        .collect()
}

/// How many there are.
pub fn count() -> u32 {
    REFUSED.load(Ordering::Relaxed).count_ones()
}

/// Makes a call, or another one where it is refused.
///
/// # Errors
///
/// Those of the call, or of its stand-in.
pub fn or_else<T>(
    call: Call,
    result: io::Result<T>,
    stand_in: impl FnOnce() -> io::Result<T>,
) -> io::Result<T> {
    match result {
        Err(error) if is_refusal(&error) => {
            let done = stand_in()?;
            note(call);
            Ok(done)
        }
        result => result,
    }
}
