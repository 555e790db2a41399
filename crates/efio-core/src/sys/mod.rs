//! System calls without policy.
//!
//! The modules here are the same on all systems. What differs is in one of two directories with the
//! same functions, and nowhere else:
//!
//! | | `linux` | `portable`: other Unix systems |
//! |---|---|---|
//! | reads, writes | preadv2(2), pwritev2(2), with flags | preadv(2), pwritev(2), writev(2) |
//! | past the page cache | `O_DIRECT`, `STATX_DIOALIGN`, `RWF_DONTCACHE` | refused: only [`IoMode::Cached`] is available |
//! | read from memory without waiting | `RWF_NOWAIT` | – |
//! | open beneath a directory | openat2(2), else as `portable` | one component after the other |
//! | durability | fdatasync(2) | the same; `F_FULLFSYNC` on Apple's systems |
//! | identity of a descriptor | statx(2), from memory | fstat(2) |
//! | detect a forked child | a page that the kernel wipes | a handler of pthread_atfork(3) |
//! | huge pages | madvise(2) | – |
//! | wake without preempting | `SCHED_BATCH` | – |
//! | drop a pending signal | sigtimedwait(2) | – |
//!
//! `--cfg efio_portable` selects `portable` on Linux as well, so that it can be tested there.
//!
//! [`IoMode::Cached`]: crate::IoMode::Cached

mod beneath;
// Where `off_t` has 32 bits, as in the C libraries of i686 and armv7, offsets beyond 2 GiB would be
// truncated; and lengths of memory are converted to file offsets and back.
#[cfg(not(target_pointer_width = "64"))]
compile_error!(
    "efio-core needs a 64-bit system: off_t and usize must have 64 bits, unlike on i686 and armv7"
);

mod descriptors;
pub mod directories;
pub mod file;
pub mod fork;
pub mod memory;
mod name;
pub mod open_spec;
pub mod open_token;
pub mod read_now;
pub mod refused;
pub mod signals;
pub mod socket;
pub mod stat;

cfg_if::cfg_if! {
    if #[cfg(all(target_os = "linux", not(efio_portable)))] {
        mod linux;
        use linux as platform;
    } else {
        mod portable;
        use portable as platform;
    }
}

pub use platform::{data_from, wake_without_preempting, working_directory};

use open_spec::OpenSpec;
use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::Arc;

/// How an op uses the page cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheMode {
    /// Past the page cache (`O_DIRECT`): offset, length and memory have the file's alignment.
    Direct,
    /// Through the page cache, dropped from it once written (`RWF_DONTCACHE`).
    Uncached,
    /// Through the page cache, where the bytes stay.
    Cached,
}

/// How often an interrupted call is retried before its caller gets the error. Our threads block all
/// signals, but a debugger, a freezer or a file system in user space interrupts calls, too.
const MAX_INTERRUPTIONS: u32 = 100;

/// Makes a call, and retries it when it is interrupted.
///
/// # Errors
///
/// Those of the call; `EINTR` when it is interrupted each time.
pub fn retry<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    for _ in 0..MAX_INTERRUPTIONS {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
    call()
}

/// Returns the error of a system call that returned -1.
fn check(result: i32) -> io::Result<()> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// Returns the count of bytes that a system call returned, or its error.
fn count(result: isize) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}

/// Returns where relative paths begin: at `directory`, or at the working directory.
fn base(directory: Option<&Arc<OwnedFd>>) -> RawFd {
    directory.map_or(libc::AT_FDCWD, |fd| fd.as_raw_fd())
}

/// Opens `path`, which begins at `base`.
fn open_plain(base: RawFd, path: &CStr, flags: i32, mode: u32) -> io::Result<OwnedFd> {
    // SAFETY: a NUL-terminated path.
    retry(|| descriptor(unsafe { libc::openat(base, path.as_ptr(), flags, mode) }))
}

/// Opens `path` from the directory of `spec`: beneath it, or wherever the path leads.
fn open_at(spec: &OpenSpec, path: &CStr, flags: i32) -> io::Result<OwnedFd> {
    match &spec.beneath {
        Some(directory) => platform::open_beneath(directory.as_fd(), path, flags, spec.mode),
        None => open_plain(base(spec.at.as_ref()), path, flags, spec.mode),
    }
}

/// Opens the working directory of the calling thread, as the start of relative paths. It need not
/// be readable.
///
/// # Errors
///
/// Those of `open(2)`.
pub fn open_working_directory() -> io::Result<OwnedFd> {
    let flags = platform::SEARCH | libc::O_DIRECTORY | libc::O_CLOEXEC;
    open_plain(libc::AT_FDCWD, c".", flags, 0)
}

/// Returns the descriptor that a system call returned, or its error.
fn descriptor(result: i32) -> io::Result<OwnedFd> {
    check(result)?;
    // SAFETY: a new descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(result) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interrupted_calls_are_retried_but_not_for_ever() {
        let mut calls = 0;
        let made = retry(|| {
            calls += 1;
            if calls < 5 {
                return Err(io::Error::from_raw_os_error(libc::EINTR));
            }
            Ok(calls)
        });
        assert_eq!(made.unwrap(), 5);
        let error = retry::<()>(|| Err(io::Error::from_raw_os_error(libc::EINTR))).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EINTR));
    }
}
