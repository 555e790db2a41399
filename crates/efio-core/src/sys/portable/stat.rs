//! What a descriptor is: fstat(2).

use crate::sys::check;
use crate::sys::file::{Identity, Look};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::RawFd;

/// Who `fd` is.
///
/// # Errors
///
/// What `fstat(2)` says.
pub fn identify(fd: RawFd) -> io::Result<Identity> {
    Ok(look_at(fd)?.identity)
}

/// What `fd` is. There is no direct IO.
///
/// # Errors
///
/// What `fstat(2)` says.
#[allow(clippy::unnecessary_cast, reason = "the types differ between systems")]
pub fn look_at(fd: RawFd) -> io::Result<Look> {
    let mut answer = MaybeUninit::<libc::stat>::uninit();
    // SAFETY: room for the answer; any number may be asked about.
    check(unsafe { libc::fstat(fd, answer.as_mut_ptr()) })?;
    // SAFETY: fstat succeeded and filled it.
    let answer = unsafe { answer.assume_init() };
    Ok(Look {
        kind: answer.st_mode & libc::S_IFMT,
        size: answer.st_size as u64,
        block: 0,
        identity: Identity {
            // A name, not a number: its sign does not matter.
            device: answer.st_dev as u64,
            inode: answer.st_ino as u64,
        },
    })
}
