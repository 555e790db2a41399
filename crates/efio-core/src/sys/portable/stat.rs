//! The properties of an open file: fstat(2).

use crate::sys::file::{FileId, FileInfo, FileSystem};
use crate::sys::{check, retry};
use std::ffi::CStr;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::RawFd;

/// Returns the identity of `fd`.
///
/// # Errors
///
/// Those of `fstat(2)`.
pub fn file_id(fd: RawFd) -> io::Result<FileId> {
    Ok(file_info(fd)?.identity)
}

/// Returns the identity of the file `path` in the directory `at`: the target of a symbolic link
/// with `follow`, the link itself without.
///
/// # Errors
///
/// Those of `fstatat(2)`.
pub fn file_id_at(at: RawFd, path: &CStr, follow: bool) -> io::Result<FileId> {
    let flags = if follow { 0 } else { libc::AT_SYMLINK_NOFOLLOW };
    let mut answer = MaybeUninit::<libc::stat>::uninit();
    retry(|| {
        // SAFETY: a NUL-terminated path, and room for the answer; any number may be asked about.
        check(unsafe { libc::fstatat(at, path.as_ptr(), answer.as_mut_ptr(), flags) })
    })?;
    // SAFETY: fstatat succeeded and filled it.
    Ok(to_file_id(unsafe { answer.assume_init_ref() }))
}

/// Returns the identity of this thread's working directory, and 0 for its mount, which is unknown.
///
/// # Errors
///
/// Those of `fstatat(2)`.
pub fn working_directory() -> io::Result<(FileId, u64)> {
    Ok((file_id_at(libc::AT_FDCWD, c".", true)?, 0))
}

/// Returns `Other`: the kind of file system makes no difference here.
pub fn file_system(_fd: RawFd) -> FileSystem {
    FileSystem::Other
}

/// Returns the properties of `fd`. There is no direct IO.
///
/// # Errors
///
/// Those of `fstat(2)`.
pub fn file_info(fd: RawFd) -> io::Result<FileInfo> {
    let mut answer = MaybeUninit::<libc::stat>::uninit();
    // SAFETY: room for the answer; any number may be asked about.
    retry(|| check(unsafe { libc::fstat(fd, answer.as_mut_ptr()) }))?;
    // SAFETY: fstat succeeded and filled it.
    let answer = unsafe { answer.assume_init() };
    Ok(FileInfo {
        kind: answer.st_mode & libc::S_IFMT,
        size: answer.st_size as u64,
        dio_align: 0,
        identity: to_file_id(&answer),
    })
}

#[allow(clippy::unnecessary_cast, reason = "the types differ between systems")]
fn to_file_id(answer: &libc::stat) -> FileId {
    FileId {
        // An identifier, not a number: its sign does not matter.
        device: answer.st_dev as u64,
        inode: answer.st_ino as u64,
    }
}
