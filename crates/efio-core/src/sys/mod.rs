//! System calls, and nothing else: no policy.
//!
//! The modules here are the same everywhere. What differs between systems is in one of two
//! directories with the same functions, and nowhere else:
//!
//! | | `linux` | `portable`: other Unix systems |
//! |---|---|---|
//! | reads, writes | preadv2(2), pwritev2(2), with flags | preadv(2), pwritev(2), writev(2) |
//! | past the page cache | `O_DIRECT`, `STATX_DIOALIGN`, `RWF_DONTCACHE` | refused: [`IoMode::Cached`] is what there is |
//! | read what is in memory | `RWF_NOWAIT` | – |
//! | beneath a directory | openat2(2), else as beside | one component after the other |
//! | durable | fdatasync(2) | the same; `F_FULLFSYNC` on Apple's systems |
//! | who a descriptor is | statx(2), from memory | fstat(2) |
//! | forked | a page that is wiped | a handler of pthread_atfork(3) |
//! | huge pages | madvise(2) | – |
//! | wake without preempting | `SCHED_BATCH` | – |
//! | drop a pending signal | sigtimedwait(2) | – |
//!
//! `--cfg efio_portable` selects `portable` on Linux as well, so that it can be tested there.
//!
//! [`IoMode::Cached`]: crate::IoMode::Cached

mod beneath;
// Where `off_t` has 32 bits, as in the C libraries of i686 and armv7, a file beyond 2 GiB would be
// cut; and lengths of memory become file offsets and the other way round.
#[cfg(not(target_pointer_width = "64"))]
compile_error!(
    "efio-core is for 64-bit systems: off_t and usize must have 64 bits, which i686 and armv7 have not"
);

mod descriptors;
pub mod file;
pub mod fork;
pub mod memory;
pub mod name;
pub mod refused;
pub mod signals;
pub mod socket;

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

use crate::op::OpenSpec;
use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::Arc;

/// How often a call that was interrupted is made again before its caller hears of it. Our threads
/// block all signals, but a debugger, a freezer or a file system in user space interrupts as well.
const MAX_INTERRUPTIONS: u32 = 100;

/// Makes a call, and makes it again when it was interrupted.
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

/// The error of a system call that gave -1.
fn check(result: i32) -> io::Result<()> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// The count of bytes that a system call gave, or its error.
fn count(result: isize) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}

/// Where relative paths begin: at `directory`, or at the working directory.
fn base(directory: Option<&Arc<OwnedFd>>) -> RawFd {
    directory.map_or(libc::AT_FDCWD, |fd| fd.as_raw_fd())
}

/// Opens `path`, which begins at `base`.
fn open_plain(base: RawFd, path: &CStr, flags: i32, mode: u32) -> io::Result<OwnedFd> {
    // SAFETY: a NUL-terminated path.
    retry(|| descriptor(unsafe { libc::openat(base, path.as_ptr(), flags, mode) }))
}

/// Opens `path` as `spec` says where: beneath its directory, or wherever it leads.
fn open_at(spec: &OpenSpec, path: &CStr, flags: i32) -> io::Result<OwnedFd> {
    match &spec.beneath {
        Some(directory) => platform::open_beneath(directory.as_fd(), path, flags, spec.mode),
        None => open_plain(base(spec.at.as_ref()), path, flags, spec.mode),
    }
}

/// The working directory of the calling thread, to begin relative paths at. It need not be readable.
///
/// # Errors
///
/// What `open(2)` says.
pub fn open_working_directory() -> io::Result<OwnedFd> {
    let flags = platform::SEARCH | libc::O_DIRECTORY | libc::O_CLOEXEC;
    open_plain(libc::AT_FDCWD, c".", flags, 0)
}

/// The descriptor that a system call gave, or its error.
fn descriptor(result: i32) -> io::Result<OwnedFd> {
    check(result)?;
    // SAFETY: a new descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(result) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_interrupted_is_made_again_but_not_for_ever() {
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
