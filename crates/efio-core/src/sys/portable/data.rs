//! Reads, writes and syncs, all of them through the page cache.

use crate::sys::{CacheMode, check, count};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};

/// The flag of a descriptor for direct IO: none, for there is no direct IO.
pub const DIRECT: i32 = 0;

/// Whether 0 bytes of [`read_now`] mean the end of file.
pub fn reports_end() -> bool {
    true
}

/// Whether [`read_now`] can succeed.
pub const READS_NOW: bool = false;

/// Returns the flags for a cache mode: only the page cache is available. The other modes are
/// refused as by a kernel that does not know them.
///
/// # Errors
///
/// `EINVAL` for direct IO, `EOPNOTSUPP` for uncached IO.
pub fn flags_of(cache_mode: CacheMode) -> io::Result<i32> {
    match cache_mode {
        CacheMode::Direct => Err(io::Error::from_raw_os_error(libc::EINVAL)),
        CacheMode::Uncached => Err(io::Error::from_raw_os_error(libc::EOPNOTSUPP)),
        CacheMode::Cached => Ok(0),
    }
}

/// Reads into the start of `buf`; there are no flags.
///
/// # Errors
///
/// Those of `pread(2)`.
pub fn read(fd: RawFd, _flags: i32, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
    // SAFETY: room for as many bytes as are asked for, borrowed for the length of the call.
    count(unsafe {
        libc::pread(
            fd,
            buf.as_mut_ptr().cast(),
            buf.len(),
            offset as libc::off_t,
        )
    })
}

/// Fails, because every read may have to wait.
///
/// # Errors
///
/// `EAGAIN`.
pub fn read_now(_fd: RawFd, _offset: u64, _buf: &mut [u8]) -> io::Result<usize> {
    Err(io::Error::from_raw_os_error(libc::EAGAIN))
}

/// Writes what the vectors point at, at `offset`; without an offset at the end, for a file opened
/// to append. In such a file a write with an offset goes to the offset on some systems, and to the
/// end on others.
///
/// # Safety
///
/// The memory of the vectors can be read for the length of the call.
///
/// # Errors
///
/// Those of `pwritev(2)` and `writev(2)`.
pub unsafe fn write(
    fd: RawFd,
    _flags: i32,
    offset: Option<u64>,
    vectors: &[libc::iovec],
) -> io::Result<usize> {
    let (first, n) = (vectors.as_ptr(), vectors.len() as i32);
    // SAFETY: the caller's promise.
    count(unsafe {
        match offset {
            Some(offset) => libc::pwritev(fd, first, n, offset as libc::off_t),
            None => libc::writev(fd, first, n),
        }
    })
}

/// Makes the names in a directory durable.
///
/// # Errors
///
/// As for [`sync_data`].
pub fn sync_directory(directory: BorrowedFd<'_>) -> io::Result<()> {
    let fd = directory.as_raw_fd();
    if flush_disk(fd)? {
        return Ok(());
    }
    // SAFETY: an open descriptor.
    check(unsafe { libc::fsync(fd) })
}

cfg_if::cfg_if! {
    if #[cfg(target_vendor = "apple")] {
        /// Makes what was written durable.
        ///
        /// # Errors
        ///
        /// Those of `F_FULLFSYNC` of `fcntl(2)`, or of `fsync(2)` where that is unknown.
        pub fn sync_data(fd: RawFd) -> io::Result<()> {
            if flush_disk(fd)? {
                return Ok(());
            }
            // SAFETY: no pointers; the kernel checks the number.
            check(unsafe { libc::fsync(fd) })
        }

        /// Flushes the disk's own cache, in which fsync(2) leaves what it writes on these systems.
        /// Returns whether the file system supports it; where it does not, only fsync is available.
        fn flush_disk(fd: RawFd) -> io::Result<bool> {
            // SAFETY: no pointers; the kernel checks the number.
            match check(unsafe { libc::fcntl(fd, libc::F_FULLFSYNC) }) {
                Ok(()) => Ok(true),
                Err(error) => match error.raw_os_error() {
                    Some(
                        libc::ENOTSUP | libc::EOPNOTSUPP | libc::EINVAL | libc::ENOTTY,
                    ) => Ok(false),
                    _ => Err(error),
                },
            }
        }
    } else {
        /// Makes what was written durable.
        ///
        /// # Errors
        ///
        /// Those of `fdatasync(2)`.
        pub fn sync_data(fd: RawFd) -> io::Result<()> {
            // SAFETY: no pointers; the kernel checks the number.
            check(unsafe { libc::fdatasync(fd) })
        }

        /// Does nothing: fsync(2) is enough on these systems.
        fn flush_disk(_fd: RawFd) -> io::Result<bool> {
            Ok(false)
        }
    }
}

/// Fails, because there is only one kind of descriptor.
///
/// # Errors
///
/// `EINVAL`.
pub fn open_again(_fd: RawFd, _flags: i32) -> io::Result<OwnedFd> {
    Err(io::Error::from_raw_os_error(libc::EINVAL))
}
