//! Reads, writes and syncs.

use crate::sys::refused::{self, Call};
use crate::sys::{CacheMode, check, count, descriptor, retry};
use std::ffi::{CStr, CString};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::OnceLock;

/// `RWF_DONTCACHE` of `<linux/fs.h>`, Linux 6.14.
const RWF_DONTCACHE: i32 = 0x80;

/// The flag of a descriptor for direct IO.
pub const DIRECT: i32 = libc::O_DIRECT;

/// Whether [`read_now`] can succeed.
pub const READS_NOW: bool = true;

/// Returns the flags of `preadv2(2)` for a cache mode. The kernel refuses flags that it does not
/// know.
///
/// # Errors
///
/// None here.
pub fn flags_of(cache_mode: CacheMode) -> io::Result<i32> {
    Ok(match cache_mode {
        CacheMode::Direct | CacheMode::Cached => 0,
        CacheMode::Uncached => RWF_DONTCACHE,
    })
}

/// Reads into the start of `buf`.
///
/// # Errors
///
/// Those of `preadv2(2)`.
pub fn read(fd: RawFd, flags: i32, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
    if flags != 0 {
        return with_flags(read_with(fd, flags, offset, buf));
    }
    // SAFETY: room for as many bytes as are asked for, borrowed for the length of the call.
    let plain =
        count(unsafe { libc::pread64(fd, buf.as_mut_ptr().cast(), buf.len(), offset as i64) });
    refused::or_else(Call::Pread, plain, || read_with(fd, 0, offset, buf))
}

fn read_with(fd: RawFd, flags: i32, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
    let iov = libc::iovec {
        iov_base: buf.as_mut_ptr().cast(),
        iov_len: buf.len(),
    };
    // SAFETY: one iovec over `buf`, which is borrowed for the length of the call.
    count(unsafe { libc::preadv2(fd, &raw const iov, 1, offset as i64, flags) })
}

/// Converts the refusal of a call with flags: the kernel does not know them, so the cache mode is
/// not available.
fn with_flags(result: io::Result<usize>) -> io::Result<usize> {
    match result {
        Err(error) if refused::is_refusal(&error) => {
            Err(io::Error::from_raw_os_error(libc::EOPNOTSUPP))
        }
        result => result,
    }
}

/// Reads into the start of `buf` without waiting for a disk.
///
/// # Errors
///
/// `EAGAIN` if it would have to wait.
pub fn read_now(fd: RawFd, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
    read(fd, libc::RWF_NOWAIT, offset, buf)
}

/// Whether 0 bytes of [`read_now`] mean the end of file: not on a kernel that returns 0 instead of
/// `EAGAIN` (F64).
pub fn reports_end() -> bool {
    static REPORTS: OnceLock<bool> = OnceLock::new();
    *REPORTS.get_or_init(|| {
        let mut names = MaybeUninit::<libc::utsname>::uninit();
        // SAFETY: room for the answer.
        if unsafe { libc::uname(names.as_mut_ptr()) } != 0 {
            return false;
        }
        // SAFETY: uname succeeded and filled it, with strings that end.
        let names = unsafe { names.assume_init() };
        // SAFETY: as above; the array outlives the string.
        let release = unsafe { CStr::from_ptr(names.release.as_ptr()) };
        release_reports_end(release.to_bytes())
    })
}

/// Linux 5.9 rewrote buffered reads without waiting, and 5.11 fixed them.
fn release_reports_end(release: &[u8]) -> bool {
    let is = |version: &[u8]| {
        let rest = release.strip_prefix(version);
        rest.is_some_and(|rest| !rest.first().is_some_and(u8::is_ascii_digit))
    };
    !is(b"5.9") && !is(b"5.10")
}

/// Writes what the vectors point at, at `offset`; without an offset at the end, for a file opened
/// to append.
///
/// # Safety
///
/// The memory of the vectors can be read for the length of the call.
///
/// # Errors
///
/// Those of `pwritev2(2)`.
pub unsafe fn write(
    fd: RawFd,
    flags: i32,
    offset: Option<u64>,
    vectors: &[libc::iovec],
) -> io::Result<usize> {
    // With O_APPEND the kernel ignores the offset.
    let offset = offset.unwrap_or(0) as i64;
    let (first, n) = (vectors.as_ptr(), vectors.len() as i32);
    if flags != 0 {
        // SAFETY: the caller's promise.
        return with_flags(count(unsafe {
            libc::pwritev2(fd, first, n, offset, flags)
        }));
    }
    // SAFETY: the caller's promise.
    let plain = count(unsafe { libc::pwritev64(fd, first, n, offset) });
    refused::or_else(Call::Pwritev, plain, || match vectors.first() {
        // A short write: the rest follows.
        // SAFETY: the caller's promise, for the first vector.
        Some(first) => count(unsafe { libc::pwrite64(fd, first.iov_base, first.iov_len, offset) }),
        None => Ok(0),
    })
}

/// Makes what was written durable.
///
/// # Errors
///
/// Those of `fdatasync(2)`.
pub fn sync_data(fd: RawFd) -> io::Result<()> {
    // SAFETY: no pointers; the kernel checks the number.
    let synced = check(unsafe { libc::fdatasync(fd) });
    // A refused call has not synced or dropped any bytes. A disk that fails causes other errors.
    refused::or_else(Call::Fdatasync, synced, || {
        // SAFETY: as above.
        check(unsafe { libc::fsync(fd) })
    })
}

/// Makes the names in a directory durable.
///
/// # Errors
///
/// Those of `fsync(2)`.
pub fn sync_directory(directory: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: an open descriptor.
    check(unsafe { libc::fsync(directory.as_raw_fd()) })
}

/// Opens the same file once more with other `flags`.
///
/// # Errors
///
/// Those of `open(2)`.
pub fn open_again(fd: RawFd, flags: i32) -> io::Result<OwnedFd> {
    let again = CString::new(format!("/proc/self/fd/{fd}"))?;
    // SAFETY: a NUL-terminated path.
    retry(|| descriptor(unsafe { libc::open(again.as_ptr(), flags | libc::O_CLOEXEC) }))
}

#[cfg(test)]
mod tests {
    use super::release_reports_end;

    /// F64: the kernels whose 0 may mean `EAGAIN`.
    #[test]
    fn two_kernels_do_not_report_the_end() {
        for release in ["5.9.0", "5.9-rc1", "5.10.0-28-amd64", "5.10.209", "5.10"] {
            assert!(!release_reports_end(release.as_bytes()), "{release}");
        }
        for release in [
            "5.8.18",
            "5.11.0",
            "5.90.1",
            "5.100",
            "6.18.44-fc",
            "15.9.1",
            "",
        ] {
            assert!(release_reports_end(release.as_bytes()), "{release}");
        }
    }
}
