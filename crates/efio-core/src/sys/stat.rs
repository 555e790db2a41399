//! The properties of files, and how fstat(2) finds them: on systems without statx(2), and where it
//! is refused.

use super::{check, retry};
use std::ffi::CStr;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::RawFd;

/// The identity of a file, which is the same under each of its names: device and inode. It
/// distinguishes our file from the next one that gets the number of a descriptor that somebody else
/// closed (F14).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FileId {
    /// The device of its file system.
    pub device: u64,
    /// Its number there.
    pub inode: u64,
}

/// The kind of a file system, as far as reads depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileSystem {
    /// The kernel's own, on a disk or in memory: a file ends at its size.
    Local,
    /// A program, of this machine or of another one (virtiofs). Workers perform its reads and
    /// writes for two reasons:
    ///
    /// 1. Where it does direct IO without being asked for it, an asynchronous read of Linux does
    ///    not advance after a short read: the ring repeats the rest at the same offset, and bytes
    ///    past the end arrive (F87).
    /// 2. Such a read ends at the size that the program reports, which may be 0 (F63).
    Fuse,
    /// Any other. Its sizes may be outdated, or meaningless, as on `/proc`.
    Other,
}

/// The properties of an open file, from the kernel.
pub struct FileInfo {
    /// `S_IFREG` and the like.
    pub kind: libc::mode_t,
    /// The size in bytes.
    pub size: u64,
    /// The alignment of direct IO in bytes, 0 when there is none.
    pub dio_align: u32,
    /// The identity of the file.
    pub identity: FileId,
}

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
    // SAFETY: a NUL-terminated path, and room for the answer; any number may be asked about.
    let answer = stat(|answer| unsafe { libc::fstatat(at, path.as_ptr(), answer, flags) })?;
    Ok(to_file_id(&answer))
}

/// Returns the properties of `fd`. The alignment of direct IO is unknown: only statx reports it.
///
/// # Errors
///
/// Those of `fstat(2)`.
pub fn file_info(fd: RawFd) -> io::Result<FileInfo> {
    // SAFETY: room for the answer; any number may be asked about.
    let answer = stat(|answer| unsafe { libc::fstat(fd, answer) })?;
    Ok(FileInfo {
        kind: answer.st_mode & libc::S_IFMT,
        size: answer.st_size as u64,
        dio_align: 0,
        identity: to_file_id(&answer),
    })
}

/// Makes `call`, which fills the answer when it succeeds.
fn stat(mut call: impl FnMut(*mut libc::stat) -> i32) -> io::Result<libc::stat> {
    let mut answer = MaybeUninit::uninit();
    retry(|| check(call(answer.as_mut_ptr())))?;
    // SAFETY: the call succeeded and filled it.
    Ok(unsafe { answer.assume_init() })
}

#[allow(clippy::unnecessary_cast, reason = "the types differ between systems")]
fn to_file_id(answer: &libc::stat) -> FileId {
    FileId {
        // An identifier, not a number: its sign does not matter.
        device: answer.st_dev as u64,
        inode: answer.st_ino as u64,
    }
}
