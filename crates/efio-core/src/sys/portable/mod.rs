//! The system calls of every Unix system.

mod data;

pub(super) use super::fork::mark_by_handler as fork_mark;
pub use crate::sys::beneath::walk as open_beneath;
pub use crate::sys::stat::{file_id, file_id_at, file_info};
pub use data::{
    DIRECT, READS_NOW, flags_of, open_again, read, read_now, reports_end, sync_data,
    sync_directory, write,
};

use super::stat::{FileId, FileSystem};
use std::io;
use std::ops::Range;
use std::os::fd::{BorrowedFd, RawFd};
use std::ptr::NonNull;

/// The flag to open a directory that a path only passes through.
pub const SEARCH: i32 = libc::O_RDONLY;

/// Flags for a private mapping.
pub const MAP_FLAGS: i32 = libc::MAP_PRIVATE | libc::MAP_ANON;

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

/// Fails as where a file system does not support holes: files are copied whole.
///
/// # Errors
///
/// `Unsupported`.
pub fn data_from(_fd: BorrowedFd<'_>, _from: u64) -> io::Result<Option<Range<u64>>> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Does nothing: systems with huge pages use them by themselves.
pub fn prefer_huge_pages(_base: NonNull<u8>, _len: usize) {}

/// Does nothing: without a ring the driver writes nothing itself, so no signal is pending.
pub fn drop_pending(_signal: libc::c_int) {}

/// Does nothing: the scheduler decides which thread a waking thread preempts.
pub fn wake_without_preempting() {}
