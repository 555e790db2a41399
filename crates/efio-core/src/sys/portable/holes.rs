//! Holes are not supported here: files are copied whole.

use std::io;
use std::ops::Range;
use std::os::fd::BorrowedFd;

/// Fails as where a file system does not support it.
///
/// # Errors
///
/// `Unsupported`.
pub fn data_from(_fd: BorrowedFd<'_>, _from: u64) -> io::Result<Option<Range<u64>>> {
    Err(io::ErrorKind::Unsupported.into())
}
