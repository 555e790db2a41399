//! Bytes in, bytes out, and to the disk; all of it through the page cache.

use crate::op::CacheMode;
use crate::sys::{check, count};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};

/// There is no direct IO, and no flag for it.
pub const DIRECT: i32 = 0;

/// Whether 0 bytes of [`read_now`] are the end of file.
pub fn tells_the_end() -> bool {
    true
}

/// Whether [`read_now`] is more than a refusal.
pub const READS_NOW: bool = false;

/// Nothing but the page cache: the other routes are refused as a kernel refuses them that does not
/// know them.
///
/// # Errors
///
/// `EINVAL` for direct IO, `EOPNOTSUPP` for IO that leaves nothing in the cache.
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
/// What `pread(2)` says.
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

/// Every read may have to wait.
///
/// # Errors
///
/// `EAGAIN`.
pub fn read_now(_fd: RawFd, _offset: u64, _buf: &mut [u8]) -> io::Result<usize> {
    Err(io::Error::from_raw_os_error(libc::EAGAIN))
}

/// Writes what the vectors point at; behind the end of the file, wherever that is, without an
/// offset, for a file opened to append. Whether a write with an offset goes there all the same in
/// such a file, or to the end, is not the same everywhere.
///
/// # Safety
///
/// The memory of the vectors can be read for the length of the call.
///
/// # Errors
///
/// What `pwritev(2)` and `writev(2)` say.
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
        /// What `F_FULLFSYNC` of `fcntl(2)` says, or `fsync(2)` where that is unknown.
        pub fn sync_data(fd: RawFd) -> io::Result<()> {
            if flush_disk(fd)? {
                return Ok(());
            }
            // SAFETY: no pointers; the kernel looks at the number.
            check(unsafe { libc::fsync(fd) })
        }

        /// There fsync(2) leaves what it wrote in the disk's own cache. Whether the file system has
        /// the call that does not; where it has not, fsync is all that there is.
        fn flush_disk(fd: RawFd) -> io::Result<bool> {
            // SAFETY: no pointers; the kernel looks at the number.
            match check(unsafe { libc::fcntl(fd, libc::F_FULLFSYNC) }) {
                Ok(()) => Ok(true),
                Err(error) => match error.raw_os_error() {
                    Some(libc::ENOTSUP | libc::EOPNOTSUPP | libc::EINVAL | libc::ENOTTY) => Ok(false),
                    _ => Err(error),
                },
            }
        }
    } else {
        /// Makes what was written durable.
        ///
        /// # Errors
        ///
        /// What `fdatasync(2)` says.
        pub fn sync_data(fd: RawFd) -> io::Result<()> {
            // SAFETY: no pointers; the kernel looks at the number.
            check(unsafe { libc::fdatasync(fd) })
        }

        /// Here fsync(2) is enough.
        fn flush_disk(_fd: RawFd) -> io::Result<bool> {
            Ok(false)
        }
    }
}

/// There is only one kind of descriptor.
///
/// # Errors
///
/// `EINVAL`.
pub fn open_again(_fd: RawFd, _flags: i32) -> io::Result<OwnedFd> {
    Err(io::Error::from_raw_os_error(libc::EINVAL))
}
