//! Where a file has bytes, and where it has holes, which read as zeros and take no room.

use std::io;
use std::ops::Range;
use std::os::fd::{AsRawFd, BorrowedFd};

/// The first bytes of the file at `from` or behind it; `None` when only a hole follows, or the end.
///
/// # Errors
///
/// What `lseek(2)` says: `EINVAL` where the file system does not tell.
pub fn data_from(fd: BorrowedFd<'_>, from: u64) -> io::Result<Option<Range<u64>>> {
    let start = match seek(fd, from, libc::SEEK_DATA) {
        Err(error) if error.raw_os_error() == Some(libc::ENXIO) => return Ok(None),
        result => result?,
    };
    Ok(Some(start..seek(fd, start, libc::SEEK_HOLE)?))
}

fn seek(fd: BorrowedFd<'_>, from: u64, whence: libc::c_int) -> io::Result<u64> {
    let from =
        libc::off_t::try_from(from).map_err(|_| io::Error::from_raw_os_error(libc::EOVERFLOW))?;
    // SAFETY: moves the position of an open descriptor, and no memory.
    let at = unsafe { libc::lseek(fd.as_raw_fd(), from, whence) };
    u64::try_from(at).map_err(|_| io::Error::last_os_error())
}
