//! Open files of the kernel: open, read, write, sync, close.

pub use super::descriptors::DescriptorLease;
use super::descriptors::Descriptors;
use super::name::{Before, Name};
use super::{check, open_at, platform};
use crate::error::Errno;
use crate::io_mode::IoMode;
use crate::op::{CacheMode, FileFacts, Memory, NameSync, OpenSpec, ReadNow};
use crate::page::PageSlice;
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

/// The identity distinguishes our file from the next one that gets the number of a descriptor that
/// somebody else closed (F14).
pub use crate::op::FileId;

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

    /// Reads into the memory, or writes its bytes. Returns how many; a read returns 0 at or after
    /// the end of file.
    ///
    /// # Errors
    ///
    /// Those of `preadv(2)` and `pwritev(2)`.
    pub fn transfer(
        &self,
        lease: DescriptorLease,
        offset: u64,
        memory: &mut Memory,
    ) -> io::Result<usize> {
        let DescriptorLease { fd, flags, .. } = lease;
        let write = |vectors: &[libc::iovec]| {
            self.check_ours(lease)?;
            // SAFETY: the vectors point at bytes of `memory`, which is borrowed for the length of
            // the call, and the kernel only reads through them.
            unsafe { platform::write(fd, flags, self.write_offset(offset), vectors) }
        };
        match memory {
            Memory::Fill(range) => platform::read(fd, flags, offset, range.as_mut_slice()),
            Memory::Block(range) => write(&[io_vector(range.as_slice())]),
            Memory::Slices(slices) => write(&io_vectors(slices)),
        }
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
pub fn io_vectors(slices: &[PageSlice]) -> Vec<libc::iovec> {
    let vector = |slice: &PageSlice| io_vector(slice.as_slice());
    slices.iter().take(MAX_SLICES).map(vector).collect()
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
