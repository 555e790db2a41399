//! Finds where a file has data, and where holes, which read as zeros and take no space.

use std::io;
use std::ops::Range;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Returns the first range of data at `from` or after it; `None` when only a hole follows, or the
/// end.
///
/// # Errors
///
/// Those of `lseek(2)`: `EINVAL` where the file system does not support it.
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
    // SAFETY: changes the position of an open descriptor, and no memory.
    let at = unsafe { libc::lseek(fd.as_raw_fd(), from, whence) };
    u64::try_from(at).map_err(|_| io::Error::last_os_error())
}
