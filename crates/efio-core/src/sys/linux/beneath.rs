//! Opens a path that may not leave its directory: openat2(2).

use crate::sys::beneath::walk;
use crate::sys::refused::{self, Call};
use crate::sys::{descriptor, retry};
use std::ffi::CStr;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

/// How often the kernel is asked before we walk the path ourselves. A rename anywhere on the
/// machine at the wrong moment makes the kernel give up a path with `..` in it (`EAGAIN`, F60).
const TRIES: u32 = 16;

/// Opens `path` beneath `directory`.
///
/// # Errors
///
/// Those of `openat2(2)`: `EXDEV` for a path that leads out. `EAGAIN` only if another process has a
/// lease on the file.
pub fn open_beneath(
    directory: BorrowedFd<'_>,
    path: &CStr,
    flags: i32,
    mode: u32,
) -> io::Result<OwnedFd> {
    let mut is_refused = false;
    for _ in 0..TRIES {
        match openat2(directory, path, flags, mode) {
            // Unknown to the kernel (before 5.6), or refused by a filter that cannot see what it
            // would open. If the error concerns the file, the walk fails with it, too.
            Err(error) if refused::is_refusal(&error) => {
                is_refused = true;
                break;
            }
            Err(error) if error.raw_os_error() == Some(libc::EAGAIN) => {}
            found => return found,
        }
    }
    let found = walk(directory, path, flags, mode)?;
    if is_refused {
        refused::note(Call::Openat2);
    }
    Ok(found)
}

fn openat2(directory: BorrowedFd<'_>, path: &CStr, flags: i32, mode: u32) -> io::Result<OwnedFd> {
    // SAFETY: `open_how` is plain integers, for which zero is valid.
    let mut how: libc::open_how = unsafe { MaybeUninit::zeroed().assume_init() };
    how.flags = flags as u64;
    // openat2 refuses a mode without O_CREAT, where open ignores it.
    how.mode = if flags & libc::O_CREAT != 0 {
        u64::from(mode)
    } else {
        0
    };
    how.resolve = libc::RESOLVE_BENEATH | libc::RESOLVE_NO_MAGICLINKS;
    retry(|| {
        // SAFETY: a NUL-terminated path and a structure of the size that is passed along.
        let fd = unsafe {
            libc::syscall(
                libc::SYS_openat2,
                directory.as_raw_fd(),
                path.as_ptr(),
                &raw const how,
                size_of_val(&how),
            )
        };
        descriptor(fd as i32)
    })
}
