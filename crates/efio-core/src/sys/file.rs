//! Open files of the kernel: open, read, write, sync, close.

pub use super::descriptors::DescriptorLease;
use super::descriptors::Descriptors;
use super::name::{Before, Name};
use super::{check, open_at, platform};
use crate::config::IoMode;
use crate::error::Errno;
use crate::op::{CacheMode, FileFacts, NameSync, OpenSpec, ReadNow};
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
    /// Of a new file, until it is durable; an open file is to be small.
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
        let look = platform::file_info(self.descriptors.first()).ok()?;
        Some(look.size)
    }
}

/// By it a descriptor that somebody closed behind our back is told from the next file that got its
/// number (F14).
pub use crate::op::FileId;

/// What kind of file system a file is on, as far as its reads depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileSystem {
    /// The kernel's own, on a disk or in memory: a file ends where its size says.
    Local,
    /// A program of the machine, or of another one (virtiofs). Where it does direct IO without being
    /// asked for it, an asynchronous read of Linux does not move on behind a short one: the ring
    /// repeats the rest at the same offset, and bytes past the end arrive (F87); and it ends at the
    /// size that the program told, which may be 0 (F63). So workers make its reads and writes.
    Fuse,
    /// Any other. Its sizes may be those of some time ago, or say nothing, as on `/proc`.
    Other,
}

/// What the kernel says of a descriptor.
pub struct FileInfo {
    /// `S_IFREG` and the like.
    pub kind: libc::mode_t,
    /// Bytes.
    pub size: u64,
    /// The block of its direct IO, 0 when there is none.
    pub block: u32,
    /// Who it is.
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
    /// Whether [`read_now`](ReadNow::read_now) can do anything on this system.
    pub const READS_NOW: bool = platform::READS_NOW;

    /// Opens a regular file.
    ///
    /// # Errors
    ///
    /// What `open(2)` or `openat2(2)` says; `EISDIR` for a directory and `ESPIPE` for anything
    /// else that has no offsets (a FIFO, a socket, a device). `EAGAIN` and `EINTR` come from the
    /// open itself, which may be tried again: it has done nothing.
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
        // What is only read begins with direct reads; what is written often ends with its first write,
        // which is small and goes to the page cache.
        let reads = spec.flags & libc::O_ACCMODE == libc::O_RDONLY;
        let before = Before::look(spec);
        let wants = wants_direct && reads;
        let (first, direct) = open_first(spec, wants).or_else(|error| {
            // The directories that are held may be what is missing.
            let full = matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE));
            if full && spec.directories.give_up() {
                return open_first(spec, wants);
            }
            Err(error)
        })?;
        Self::of(first, spec, before, wants_direct, direct).map_err(|error| {
            // The file may be new, so that the open cannot be tried again.
            let errno = Errno::from(error);
            Errno(if errno.is_transient() {
                libc::EIO
            } else {
                errno.0
            })
            .into()
        })
    }

    /// The file that `first` is, which was opened as `spec` says, and for direct IO if `direct`.
    fn of(
        first: OwnedFd,
        spec: &OpenSpec,
        before: Before,
        wants_direct: bool,
        direct: bool,
    ) -> io::Result<(Self, FileFacts)> {
        let look = platform::file_info(first.as_raw_fd())?;
        regular(&look)?;
        let owes = spec.truncates() && spec.flags_at_once() != spec.flags;
        let cut = owes && look.size > 0 && spec.truncates_now(look.identity);
        if cut {
            truncate(first.as_raw_fd(), 0)?;
        }
        let block = if wants_direct { look.block } else { 0 };
        let system = platform::file_system(first.as_raw_fd());
        let descriptors = Descriptors::new(first, spec.flags, direct && block > 0, look.identity)?;
        let name = before.name(spec, look.identity);
        let is_new = name.is_some();
        let file = Self {
            descriptors,
            system,
            name: Mutex::new(name),
        };
        let fell_back = spec.io_mode == IoMode::Direct && block == 0;
        let facts = FileFacts {
            size: if cut { 0 } else { look.size },
            dio_align: block,
            fell_back,
            truncation_due: owes && !cut,
            is_new,
            on_workers: system == FileSystem::Fuse,
        };
        Ok((file, facts))
    }

    /// Who it is.
    pub fn id(&self) -> FileId {
        self.descriptors.id()
    }

    /// The way of an op that reads or writes by `route`, until its [`end`](Self::end).
    ///
    /// # Errors
    ///
    /// What [`Ways::begin`] says.
    pub fn acquire(&self, cache_mode: CacheMode) -> io::Result<DescriptorLease> {
        self.descriptors.acquire(cache_mode)
    }

    /// The op of this way has left the kernel.
    pub fn release(&self, lease: DescriptorLease) {
        self.descriptors.release(lease);
    }

    /// Reads into the start of `buf`; the number of bytes, 0 at or behind the end of file.
    ///
    /// # Errors
    ///
    /// What `preadv(2)` says.
    pub fn read(&self, lease: DescriptorLease, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        platform::read(lease.fd, lease.flags, offset, buf)
    }

    /// Writes the slices one behind the other; the number of bytes written.
    ///
    /// # Errors
    ///
    /// What `pwritev(2)` says.
    pub fn write(
        &self,
        lease: DescriptorLease,
        offset: u64,
        slices: &[PageSlice],
    ) -> io::Result<usize> {
        let iovs = io_vectors(slices);
        self.check_ours(lease)?;
        let DescriptorLease { fd, flags, .. } = lease;
        // SAFETY: the iovecs point at published bytes that the slices keep alive for the length of
        // the call, and the kernel only reads through them.
        unsafe { platform::write(fd, flags, self.place(offset), &iovs) }
    }

    /// Writes the bytes; how many were written.
    ///
    /// # Errors
    ///
    /// What `pwritev(2)` says.
    pub fn write_bytes(
        &self,
        lease: DescriptorLease,
        offset: u64,
        bytes: &[u8],
    ) -> io::Result<usize> {
        let iov = libc::iovec {
            iov_base: bytes.as_ptr().cast_mut().cast(),
            iov_len: bytes.len(),
        };
        self.check_ours(lease)?;
        let DescriptorLease { fd, flags, .. } = lease;
        // SAFETY: one iovec over `bytes`, which the kernel only reads during the call.
        unsafe { platform::write(fd, flags, self.place(offset), &[iov]) }
    }

    /// Where a write goes: no matter where in append mode, whose place is the end.
    fn place(&self, offset: u64) -> Option<u64> {
        (!self.descriptors.append()).then_some(offset)
    }

    /// Sets the length of the file.
    ///
    /// # Errors
    ///
    /// What `ftruncate(2)` says.
    pub fn truncate(&self, len: u64) -> io::Result<()> {
        self.descriptors.check(self.descriptors.first())?;
        truncate(self.descriptors.first(), len)
    }

    /// How long the file is.
    ///
    /// # Errors
    ///
    /// What `statx(2)` or `fstat(2)` says.
    pub fn size(&self) -> io::Result<usize> {
        self.descriptors.check(self.descriptors.first())?;
        let size = platform::file_info(self.descriptors.first())?.size;
        usize::try_from(size).map_err(|_| io::Error::from_raw_os_error(libc::EOVERFLOW))
    }

    /// Whether a ring may have its reads and writes.
    #[allow(dead_code, reason = "nobody asks where there is no ring")]
    pub fn may_use_ring(&self) -> bool {
        self.system != FileSystem::Fuse
    }

    /// Makes the file's data durable, and the name of a new file if `name_too`; what became of
    /// that.
    ///
    /// # Errors
    ///
    /// What `fdatasync(2)` says. The data does not depend on the name.
    pub fn sync(&self, name_too: bool) -> io::Result<Option<NameSync>> {
        self.descriptors.check(self.descriptors.first())?;
        platform::sync_data(self.descriptors.first())?;
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
    /// The first error of `close(2)`; the descriptors are gone in any case. `EBADF` without closing
    /// what is another file's by now.
    pub fn close(self) -> io::Result<()> {
        self.descriptors.close()
    }

    /// Whether the descriptor of `way` still is this file (F14).
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
    // SAFETY: it changes a file, and no memory; the kernel looks at the number.
    check(unsafe { libc::ftruncate(fd, len as libc::off_t) })
}

/// Opens the file, for direct IO if that is wanted and there is any; whether it is. Without O_NONBLOCK
/// the open of a FIFO waits for its other end; with it, later, an io_uring read would give EAGAIN
/// instead of waiting for the disk.
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

/// The slices as the kernel takes them, as many as go in one system call.
pub fn io_vectors(slices: &[PageSlice]) -> Vec<libc::iovec> {
    let vector = |slice: &PageSlice| {
        let bytes = slice.as_slice();
        libc::iovec {
            iov_base: bytes.as_ptr().cast_mut().cast(),
            iov_len: bytes.len(),
        }
    };
    slices.iter().take(MAX_SLICES).map(vector).collect()
}

impl FileId {
    /// `EBADF` if `fd` is not the one of before. What is closed between this and its use is beyond what
    /// a process can see; and a file system that is broken and says nothing says so to the call itself.
    ///
    /// # Errors
    ///
    /// That one.
    pub fn check(self, fd: RawFd) -> io::Result<()> {
        let gone = match platform::file_id(fd) {
            Ok(now) => now != self,
            Err(error) => error.raw_os_error() == Some(libc::EBADF),
        };
        if gone {
            return Err(io::Error::from_raw_os_error(libc::EBADF));
        }
        Ok(())
    }
}

/// An error unless it is a regular file.
fn regular(look: &FileInfo) -> io::Result<()> {
    match look.kind {
        libc::S_IFREG => Ok(()),
        libc::S_IFDIR => Err(io::Error::from_raw_os_error(libc::EISDIR)),
        _ => Err(io::Error::from_raw_os_error(libc::ESPIPE)),
    }
}
