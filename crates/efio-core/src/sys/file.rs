//! Open files of the kernel: open, read, write, sync, close.

pub use super::descriptors::DescriptorLease;
use super::descriptors::Descriptors;
use super::directories::NameSync;
use super::name::{Before, Name};
use super::open_spec::{FileFacts, OpenSpec};
use super::read_now::ReadNow;
use super::stat::{FileId, FileInfo, FileSystem};
use super::{CacheMode, check, open_at, platform};
use crate::error::Errno;
use crate::io_mode::IoMode;
use std::fmt;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::{Mutex, PoisonError};

/// The most slices in one system call (`IOV_MAX`).
pub const MAX_SLICES: usize = 1024;

/// A regular file.
pub struct KernelFile {
    descriptors: Descriptors,
    system: FileSystem,
    /// The name of a new file, until it is durable. Boxed to keep open files small.
    name: Mutex<Option<Box<Name>>>,
}

impl ReadNow for KernelFile {
    fn read_now(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        platform::read_now(self.descriptors.first(), offset, buf)
    }

    fn reports_end(&self) -> bool {
        platform::reports_end()
    }

    fn end(&self) -> Option<u64> {
        if self.system != FileSystem::Local {
            return None;
        }
        let info = platform::file_info(self.descriptors.first()).ok()?;
        Some(info.size)
    }
}

impl fmt::Debug for KernelFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("KernelFile")
            .field(&self.descriptors.first())
            .finish()
    }
}

impl KernelFile {
    /// Whether [`read_now`](ReadNow::read_now) can succeed on this system.
    pub const READS_NOW: bool = platform::READS_NOW;

    /// Opens a regular file.
    ///
    /// # Errors
    ///
    /// - Those of `open(2)` or `openat2(2)`. After `EAGAIN` and `EINTR` the open may be retried: it
    ///   had no effect.
    /// - `EISDIR` for a directory, and `ESPIPE` for anything else without offsets (a FIFO, a
    ///   socket, a device).
    /// - `ECANCELED` for an open that was cancelled.
    pub fn open(spec: &OpenSpec) -> io::Result<(Self, FileFacts)> {
        if spec.is_cancelled() {
            return Err(io::Error::from_raw_os_error(libc::ECANCELED));
        }
        let append = spec.flags & libc::O_APPEND != 0;
        let wants_direct = match spec.io_mode {
            IoMode::Direct => true,
            IoMode::Auto => !append,
            IoMode::Uncached | IoMode::Cached => false,
        };
        // A file that is only read begins with direct reads. A file that is written often ends with
        // its first write, which is small and goes to the page cache.
        let reads = spec.flags & libc::O_ACCMODE == libc::O_RDONLY;
        let before = Before::find(spec);
        let wants = wants_direct && reads;
        let (first, direct) = open_first(spec, wants).or_else(|error| {
            // Closing the directories that are kept open may free a descriptor.
            let full = matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE));
            if full && spec.directories.give_up() {
                return open_first(spec, wants);
            }
            Err(error)
        })?;
        Self::of(first, spec, before, wants_direct, direct).map_err(|error| {
            // The file may be new, so the open must not be retried.
            let errno = Errno::from(error);
            Errno(if errno.is_transient() {
                libc::EIO
            } else {
                errno.0
            })
            .into()
        })
    }

    /// Wraps `first`, which was opened for `spec`, and for direct IO if `direct`.
    fn of(
        first: OwnedFd,
        spec: &OpenSpec,
        before: Before,
        wants_direct: bool,
        direct: bool,
    ) -> io::Result<(Self, FileFacts)> {
        let info = platform::file_info(first.as_raw_fd())?;
        check_regular(&info)?;
        let truncation_due = spec.truncates() && spec.flags_at_once() != spec.flags;
        let truncated = truncation_due && info.size > 0 && spec.truncates_now(info.identity);
        if truncated {
            truncate(first.as_raw_fd(), 0)?;
        }
        let dio_align = if wants_direct { info.dio_align } else { 0 };
        let system = platform::file_system(first.as_raw_fd());
        let direct = direct && dio_align > 0;
        let descriptors = Descriptors::new(first, spec.flags, direct, info.identity)?;
        let name = before.name(spec, info.identity);
        let is_new = name.is_some();
        let file = Self {
            descriptors,
            system,
            name: Mutex::new(name),
        };
        let fell_back = spec.io_mode == IoMode::Direct && dio_align == 0;
        let facts = FileFacts {
            size: if truncated { 0 } else { info.size },
            dio_align,
            fell_back,
            truncation_due: truncation_due && !truncated,
            is_new,
            on_workers: system == FileSystem::Fuse,
        };
        Ok((file, facts))
    }

    /// Returns the identity of the file.
    pub fn id(&self) -> FileId {
        self.descriptors.id()
    }

    /// Acquires a descriptor for a read or write in `cache_mode`, until [`release`](Self::release).
    ///
    /// # Errors
    ///
    /// Those of [`Descriptors::acquire`].
    pub fn acquire(&self, cache_mode: CacheMode) -> io::Result<DescriptorLease> {
        self.descriptors.acquire(cache_mode)
    }

    /// Releases the lease of an op that the kernel has completed.
    pub fn release(&self, lease: DescriptorLease) {
        self.descriptors.release(lease);
    }

    /// Reads into `buf`. Returns how many bytes; 0 at or after the end of file.
    ///
    /// # Errors
    ///
    /// Those of `preadv(2)`.
    pub fn read(&self, lease: DescriptorLease, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        platform::read(lease.fd, lease.flags, offset, buf)
    }

    /// Writes `bytes`. Returns how many.
    ///
    /// # Errors
    ///
    /// Those of `pwritev(2)`.
    pub fn write(&self, lease: DescriptorLease, offset: u64, bytes: &[u8]) -> io::Result<usize> {
        // SAFETY: the bytes are borrowed for the length of the call.
        unsafe { self.write_vectors(lease, offset, &[io_vector(bytes)]) }
    }

    /// Writes `slices`, one after the other, as many as fit in one system call. Returns how many
    /// bytes.
    ///
    /// # Errors
    ///
    /// Those of `pwritev(2)`.
    pub fn write_slices<'a>(
        &self,
        lease: DescriptorLease,
        offset: u64,
        slices: impl Iterator<Item = &'a [u8]>,
    ) -> io::Result<usize> {
        // SAFETY: the slices are borrowed for the length of the call.
        unsafe { self.write_vectors(lease, offset, &io_vectors(slices)) }
    }

    /// # Safety
    ///
    /// The vectors point at bytes that are borrowed for the length of the call.
    unsafe fn write_vectors(
        &self,
        lease: DescriptorLease,
        offset: u64,
        vectors: &[libc::iovec],
    ) -> io::Result<usize> {
        self.check_ours(lease)?;
        // SAFETY: as the caller promises; the kernel only reads through them.
        unsafe { platform::write(lease.fd, lease.flags, self.write_offset(offset), vectors) }
    }

    /// Returns the offset of a write; `None` in append mode, where writes go to the end.
    fn write_offset(&self, offset: u64) -> Option<u64> {
        (!self.descriptors.append()).then_some(offset)
    }

    /// Sets the length of the file.
    ///
    /// # Errors
    ///
    /// Those of `ftruncate(2)`.
    pub fn truncate(&self, len: u64) -> io::Result<()> {
        truncate(self.checked()?, len)
    }

    /// Returns the size of the file.
    ///
    /// # Errors
    ///
    /// Those of `statx(2)` or `fstat(2)`.
    pub fn size(&self) -> io::Result<usize> {
        let size = platform::file_info(self.checked()?)?.size;
        usize::try_from(size).map_err(|_| io::Error::from_raw_os_error(libc::EOVERFLOW))
    }

    /// Whether a ring may perform its reads and writes.
    #[allow(dead_code, reason = "unused where there is no ring")]
    pub fn may_use_ring(&self) -> bool {
        self.system != FileSystem::Fuse
    }

    /// Makes the file's data durable, and the name of a new file if `name_too`. Returns the result
    /// for the name.
    ///
    /// # Errors
    ///
    /// Those of `fdatasync(2)`. The data does not depend on the name.
    pub fn sync(&self, name_too: bool) -> io::Result<Option<NameSync>> {
        platform::sync_data(self.checked()?)?;
        let name = || self.name.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = if name_too { name().take() } else { None };
        let Some(pending) = taken else {
            return Ok(None);
        };
        let synced = pending.sync();
        if synced == NameSync::NotYet {
            *name() = Some(pending);
        }
        Ok(Some(synced))
    }

    /// Closes the file.
    ///
    /// # Errors
    ///
    /// The first error of `close(2)`; the descriptors are closed in any case. `EBADF`, without
    /// closing it, for a descriptor that belongs to another file by now.
    pub fn close(self) -> io::Result<()> {
        self.descriptors.close()
    }

    /// Returns the descriptor for all but reads and writes, which still is this file.
    fn checked(&self) -> io::Result<RawFd> {
        let fd = self.descriptors.first();
        self.descriptors.check(fd)?;
        Ok(fd)
    }

    /// Checks that the descriptor of `lease` still is this file (F14).
    ///
    /// # Errors
    ///
    /// `EBADF` if it is not.
    pub fn check_ours(&self, lease: DescriptorLease) -> io::Result<()> {
        self.descriptors.check(lease.fd)
    }
}

/// Sets the length of an open file.
fn truncate(fd: RawFd, len: u64) -> io::Result<()> {
    // SAFETY: the call changes a file, and no memory; the kernel checks the number.
    check(unsafe { libc::ftruncate(fd, len as libc::off_t) })
}

/// Opens the file, for direct IO if `direct` and it has any. Returns whether it is for direct IO.
///
/// The open has O_NONBLOCK, because without it the open of a FIFO waits for its other end. The flag
/// is cleared afterwards: with it an io_uring read would fail with EAGAIN instead of waiting for
/// the disk.
fn open_first(spec: &OpenSpec, direct: bool) -> io::Result<(OwnedFd, bool)> {
    let flags = spec.flags_at_once() | libc::O_CLOEXEC | libc::O_NOCTTY | libc::O_NONBLOCK;
    if direct {
        match open_at(spec, &spec.path, flags | platform::DIRECT) {
            // A directory, say, or a file system that does not know it.
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {}
            result => return Ok((result?, true)),
        }
    }
    Ok((open_at(spec, &spec.path, flags)?, false))
}

/// Returns the vectors of the slices, as many as fit in one system call.
pub fn io_vectors<'a>(slices: impl Iterator<Item = &'a [u8]>) -> Vec<libc::iovec> {
    slices.take(MAX_SLICES).map(io_vector).collect()
}

fn io_vector(bytes: &[u8]) -> libc::iovec {
    libc::iovec {
        iov_base: bytes.as_ptr().cast_mut().cast(),
        iov_len: bytes.len(),
    }
}

impl FileId {
    /// Checks that `fd` still is this file. Two cases are not detected: a descriptor that is closed
    /// between this check and its use, and one whose file system fails to answer; then the call
    /// itself fails.
    ///
    /// # Errors
    ///
    /// `EBADF` if it is not.
    pub fn check(self, fd: RawFd) -> io::Result<()> {
        let is_other = match platform::file_id(fd) {
            Ok(now) => now != self,
            Err(error) => error.raw_os_error() == Some(libc::EBADF),
        };
        if is_other {
            return Err(io::Error::from_raw_os_error(libc::EBADF));
        }
        Ok(())
    }
}

/// Fails unless it is a regular file.
fn check_regular(info: &FileInfo) -> io::Result<()> {
    match info.kind {
        libc::S_IFREG => Ok(()),
        libc::S_IFDIR => Err(io::Error::from_raw_os_error(libc::EISDIR)),
        _ => Err(io::Error::from_raw_os_error(libc::ESPIPE)),
    }
}
