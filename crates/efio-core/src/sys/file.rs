//! Open files of the kernel: open, read, write, sync, close.

use crate::config::IoMode;
use crate::op::{FileFacts, OpenSpec, ReadNow, Route};
use crate::page::{PageSlice, SLAB_BYTES, UNIT_BYTES};
use std::ffi::{CStr, CString};
use std::fmt;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::sync::{Arc, OnceLock};

/// `RWF_DONTCACHE` of `<linux/fs.h>`, Linux 6.14.
const RWF_DONTCACHE: i32 = 0x80;
/// The most slices in one system call (`IOV_MAX`).
pub const MAX_SLICES: usize = 1024;

/// A regular file, open through the page cache and, once there is direct IO, a second time past it.
pub struct KernelFile {
    buffered: OwnedFd,
    /// Opened by the first op that is direct: most small files never have one.
    direct: OnceLock<Option<OwnedFd>>,
    /// The flags of the open.
    flags: i32,
    name: Name,
    identity: Identity,
}

impl ReadNow for KernelFile {
    fn read_now(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        self.read_flagged(self.buffered.as_raw_fd(), libc::RWF_NOWAIT, offset, buf)
    }
}

/// Device and inode: by them a descriptor that somebody closed behind our back is told from the next
/// file that got its number (F14).
#[derive(Clone, Copy, PartialEq, Eq)]
struct Identity {
    device: (u32, u32),
    inode: u64,
}

/// Where the file was opened, to sync its directory entry.
struct Name {
    path: CString,
    beneath: Option<Arc<OwnedFd>>,
}

impl fmt::Debug for KernelFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("KernelFile").field(&self.buffered).finish()
    }
}

impl KernelFile {
    /// Opens a regular file.
    ///
    /// # Errors
    ///
    /// What `open(2)` or `openat2(2)` says; `EISDIR` for a directory and `ESPIPE` for anything
    /// else that has no offsets (a FIFO, a socket, a device).
    pub fn open(spec: OpenSpec) -> io::Result<(Self, FileFacts)> {
        // Without O_NONBLOCK the open of a FIFO waits for its other end.
        let extra = libc::O_CLOEXEC | libc::O_NOCTTY | libc::O_NONBLOCK;
        let buffered = open_at(&spec, spec.flags | extra)?;
        let (size, block) = regular_file(&buffered)?;
        let identity = Identity::of(buffered.as_raw_fd())?;
        // With O_NONBLOCK an io_uring read gives EAGAIN instead of waiting for the disk.
        set_flags(&buffered, spec.flags & libc::O_APPEND)?;

        let append = spec.flags & libc::O_APPEND != 0;
        let wants_direct = match spec.io_mode {
            IoMode::Direct => true,
            IoMode::Auto => !append,
            IoMode::Uncached | IoMode::Cached => false,
        };
        let block = if wants_direct { block } else { 0 };
        let fell_back = spec.io_mode == IoMode::Direct && block == 0;
        let name = Name {
            path: spec.path,
            beneath: spec.beneath,
        };
        Ok((
            Self {
                buffered,
                direct: OnceLock::new(),
                flags: spec.flags,
                name,
                identity,
            },
            FileFacts {
                size,
                block,
                fell_back,
            },
        ))
    }

    /// Reads into the start of `buf`; the number of bytes, 0 at or behind the end of file.
    ///
    /// # Errors
    ///
    /// What `preadv2(2)` says.
    pub fn read(&self, route: Route, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let (fd, flags) = self.routed(route)?;
        self.read_flagged(fd, flags, offset, buf)
    }

    fn read_flagged(
        &self,
        fd: RawFd,
        flags: i32,
        offset: u64,
        buf: &mut [u8],
    ) -> io::Result<usize> {
        let iov = libc::iovec {
            iov_base: buf.as_mut_ptr().cast(),
            iov_len: buf.len(),
        };
        // SAFETY: one iovec over `buf`, which is borrowed for the length of the call.
        count(unsafe { libc::preadv2(fd, &raw const iov, 1, offset as i64, flags) })
    }

    /// Writes the slices one behind the other; the number of bytes written.
    ///
    /// # Errors
    ///
    /// What `pwritev2(2)` says.
    pub fn write(&self, route: Route, offset: u64, slices: &[PageSlice]) -> io::Result<usize> {
        let iovs = io_vectors(slices);
        let (fd, flags) = self.routed(route)?;
        self.check_ours(fd)?;
        // SAFETY: the iovecs point at published bytes that the slices keep alive for the length of
        // the call, and the kernel only reads through them.
        count(unsafe { libc::pwritev2(fd, iovs.as_ptr(), iovs.len() as i32, offset as i64, flags) })
    }

    /// Writes the bytes; how many were written.
    ///
    /// # Errors
    ///
    /// What `pwritev2(2)` says.
    pub fn write_bytes(&self, route: Route, offset: u64, bytes: &[u8]) -> io::Result<usize> {
        let iov = libc::iovec {
            iov_base: bytes.as_ptr().cast_mut().cast(),
            iov_len: bytes.len(),
        };
        let (fd, flags) = self.routed(route)?;
        self.check_ours(fd)?;
        // SAFETY: one iovec over `bytes`, which the kernel only reads during the call.
        count(unsafe { libc::pwritev2(fd, &raw const iov, 1, offset as i64, flags) })
    }

    /// Sets the length of the file.
    ///
    /// # Errors
    ///
    /// What `ftruncate(2)` says.
    pub fn truncate(&self, len: u64) -> io::Result<()> {
        self.check_ours(self.buffered.as_raw_fd())?;
        // SAFETY: an open descriptor of ours.
        check(unsafe { libc::ftruncate(self.buffered.as_raw_fd(), len as i64) })
    }

    /// Makes the file's data durable, and its directory entry if `name_too`.
    ///
    /// # Errors
    ///
    /// What `fdatasync(2)`, or the open and `fsync(2)` of the directory, say.
    pub fn sync(&self, name_too: bool) -> io::Result<()> {
        self.check_ours(self.buffered.as_raw_fd())?;
        // SAFETY: an open descriptor of ours.
        check(unsafe { libc::fdatasync(self.buffered.as_raw_fd()) })?;
        if name_too { self.name.sync() } else { Ok(()) }
    }

    /// Closes the file.
    ///
    /// # Errors
    ///
    /// The first error of `close(2)`; the descriptors are gone in any case. `EBADF` without closing
    /// what is another file's by now.
    pub fn close(self) -> io::Result<()> {
        let identity = self.identity;
        let close = |fd: OwnedFd| {
            if let Err(error) = identity.check(fd.as_raw_fd()) {
                let _ = fd.into_raw_fd();
                return Err(error);
            }
            // SAFETY: the descriptor was ours and is given up here.
            check(unsafe { libc::close(fd.into_raw_fd()) })
        };
        let direct = self.direct.into_inner().flatten().map_or(Ok(()), close);
        close(self.buffered).and(direct)
    }

    /// Whether the descriptor that writes by `route` still is this file (F14).
    pub fn is_ours(&self, route: Route) -> bool {
        let routed = self.routed(route);
        routed.and_then(|(fd, _)| self.check_ours(fd)).is_ok()
    }

    fn check_ours(&self, fd: RawFd) -> io::Result<()> {
        self.identity.check(fd)
    }

    /// The descriptor and the flags of `preadv2(2)` for a route. The first call for direct IO opens
    /// the file once more, which waits for no disk: the kernel has it in memory.
    ///
    /// # Errors
    ///
    /// `EINVAL`, as for direct IO that is refused, when that open fails.
    pub fn routed(&self, route: Route) -> io::Result<(RawFd, i32)> {
        let buffered = self.buffered.as_raw_fd();
        match route {
            Route::Direct => {
                let open = || open_direct(&self.buffered, self.flags);
                let direct = self.direct.get_or_init(open).as_ref();
                direct
                    .map(|fd| (fd.as_raw_fd(), 0))
                    .ok_or_else(|| io::Error::from_raw_os_error(libc::EINVAL))
            }
            Route::Uncached => Ok((buffered, RWF_DONTCACHE)),
            Route::Cached => Ok((buffered, 0)),
        }
    }
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

impl Identity {
    /// Who `fd` is, from memory: a disk, or a server on the network, is not asked.
    fn of(fd: RawFd) -> io::Result<Self> {
        let mut answer = MaybeUninit::<libc::statx>::uninit();
        let flags = libc::AT_EMPTY_PATH | libc::AT_STATX_DONT_SYNC;
        // SAFETY: an empty path, and room for the answer; any number may be asked about.
        check(unsafe {
            libc::statx(
                fd,
                c"".as_ptr(),
                flags,
                libc::STATX_INO,
                answer.as_mut_ptr(),
            )
        })?;
        // SAFETY: statx succeeded and filled it.
        let answer = unsafe { answer.assume_init() };
        Ok(Self {
            device: (answer.stx_dev_major, answer.stx_dev_minor),
            inode: answer.stx_ino,
        })
    }

    /// `EBADF` if `fd` is not the one of before. What is closed between this and its use is beyond what
    /// a process can see; and a file system that is broken and says nothing says so to the call itself.
    fn check(self, fd: RawFd) -> io::Result<()> {
        let gone = match Self::of(fd) {
            Ok(now) => now != self,
            Err(error) => error.raw_os_error() == Some(libc::EBADF),
        };
        if gone {
            return Err(io::Error::from_raw_os_error(libc::EBADF));
        }
        Ok(())
    }
}

impl Name {
    fn sync(&self) -> io::Result<()> {
        let path = self.path.as_bytes();
        let parent = match path.iter().rposition(|&byte| byte == b'/') {
            Some(0) => &b"/"[..],
            Some(slash) => &path[..slash],
            None => &b"."[..],
        };
        let spec = OpenSpec {
            path: CString::new(parent)?,
            flags: 0,
            mode: 0,
            beneath: self.beneath.clone(),
            io_mode: IoMode::Cached,
        };
        let flags = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_CLOEXEC;
        let directory = open_at(&spec, flags)?;
        // SAFETY: an open descriptor of ours.
        check(unsafe { libc::fsync(directory.as_raw_fd()) })
    }
}

/// Opens the path, beneath its directory if it has one.
fn open_at(spec: &OpenSpec, flags: i32) -> io::Result<OwnedFd> {
    let fd = match &spec.beneath {
        // SAFETY: a NUL-terminated path.
        None => unsafe { libc::open(spec.path.as_ptr(), flags, spec.mode) },
        Some(directory) => open_beneath(directory.as_raw_fd(), &spec.path, flags, spec.mode),
    };
    check(fd)?;
    // SAFETY: a new descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn open_beneath(directory: RawFd, path: &CStr, flags: i32, mode: u32) -> RawFd {
    // SAFETY: `open_how` is plain integers, for which zero is valid.
    let mut how: libc::open_how = unsafe { MaybeUninit::zeroed().assume_init() };
    how.flags = flags as u64;
    // openat2 refuses a mode without O_CREAT, where open ignores it.
    how.mode = if flags & libc::O_CREAT != 0 {
        u64::from(mode)
    } else {
        0
    };
    how.resolve = libc::RESOLVE_BENEATH | libc::RESOLVE_NO_MAGICLINKS;
    // SAFETY: a NUL-terminated path and a structure of the size that is passed along.
    let fd = unsafe {
        libc::syscall(
            libc::SYS_openat2,
            directory,
            path.as_ptr(),
            &raw const how,
            size_of_val(&how),
        )
    };
    fd as RawFd
}

/// The size of a regular file and the block of its direct IO, 0 when there is none; an error for
/// anything else.
fn regular_file(fd: &OwnedFd) -> io::Result<(u64, u32)> {
    let mut answer = MaybeUninit::<libc::statx>::uninit();
    // SAFETY: an open descriptor with an empty path, and room for the answer.
    check(unsafe {
        libc::statx(
            fd.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH,
            libc::STATX_TYPE | libc::STATX_SIZE | libc::STATX_DIOALIGN,
            answer.as_mut_ptr(),
        )
    })?;
    // SAFETY: statx succeeded and filled it.
    let answer = unsafe { answer.assume_init() };
    match u32::from(answer.stx_mode) & libc::S_IFMT {
        libc::S_IFREG => Ok((answer.stx_size, direct_block(&answer))),
        libc::S_IFDIR => Err(io::Error::from_raw_os_error(libc::EISDIR)),
        _ => Err(io::Error::from_raw_os_error(libc::ESPIPE)),
    }
}

/// The block for direct IO: what the file system wants, at least the 4 KiB of a cache page, so that
/// a direct and a buffered write never meet in one; 0 when it has none that fits our pages.
fn direct_block(answer: &libc::statx) -> u32 {
    let told = answer.stx_mask & libc::STATX_DIOALIGN != 0;
    let fits = (1..=SLAB_BYTES as u32).contains(&answer.stx_dio_offset_align)
        && answer.stx_dio_mem_align as usize <= UNIT_BYTES;
    if told && fits {
        answer.stx_dio_offset_align.max(UNIT_BYTES as u32)
    } else {
        0
    }
}

/// Replaces the status flags that `fcntl(2)` can change.
fn set_flags(fd: &OwnedFd, flags: i32) -> io::Result<()> {
    // SAFETY: an open descriptor of ours.
    check(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFL, flags) })
}

/// Opens the same file once more with O_DIRECT.
fn open_direct(buffered: &OwnedFd, flags: i32) -> Option<OwnedFd> {
    let again = CString::new(format!("/proc/self/fd/{}", buffered.as_raw_fd())).ok()?;
    let keep = flags & (libc::O_ACCMODE | libc::O_APPEND);
    // SAFETY: a NUL-terminated path.
    let fd = unsafe { libc::open(again.as_ptr(), keep | libc::O_DIRECT | libc::O_CLOEXEC) };
    // SAFETY: a new descriptor that nobody else owns.
    (fd >= 0).then(|| unsafe { OwnedFd::from_raw_fd(fd) })
}

fn check(result: i32) -> io::Result<()> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

fn count(result: isize) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}
