//! The interface between the driver and a backend: requests one way, completions the other.
//!
//! ```text
//! driver ── Request { id, op } ──► backend ── Completion { id, outcome, block } ──► driver
//! ```
//!
//! The op owns its memory until its completion, so the kernel never uses bytes that anyone else can
//! change.

use crate::error::Errno;
use crate::io_mode::IoMode;
use crate::page::Block;
use crate::slot_map::Key;
use crate::sys::name::Directories;
use std::ffi::CString;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

mod open_token;
mod transfer;

pub use open_token::OpenToken;
pub use transfer::{BlockRange, Memory, Transfer};

/// Identifies one op in flight; a late or second completion finds no op.
pub type OpId = Key;

/// How an op uses the page cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheMode {
    /// Past the page cache (`O_DIRECT`): offset, length and memory have the file's alignment.
    Direct,
    /// Through the page cache, dropped from it once written (`RWF_DONTCACHE`).
    Uncached,
    /// Through the page cache, where the bytes stay.
    Cached,
}

/// Reads of an open file from the kernel's memory, without waiting for a disk.
pub trait ReadNow: Send + Sync {
    /// Reads into the start of `buf`. Returns the number of bytes, 0 at the end of file.
    ///
    /// # Errors
    ///
    /// `EAGAIN` when the kernel would have to wait. After any other error, too, the caller submits
    /// the read to the driver.
    fn read_now(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize>;

    /// Whether 0 bytes of [`read_now`](Self::read_now) mean the end of file. Linux 5.9 and 5.10
    /// return 0 as well where they would have to wait (F64).
    fn reports_end(&self) -> bool;

    /// Returns where the file ends now; `None` when only a read can find out.
    fn end(&self) -> Option<u64>;
}

/// The identity of a file, which is the same under each of its names: device and inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FileId {
    /// The device of its file system.
    pub device: u64,
    /// Its number there.
    pub inode: u64,
}

/// When an open with `O_TRUNC` truncates the file.
#[derive(Debug, Default)]
pub enum Truncation {
    /// In the open, whichever file it is.
    #[default]
    AtOnce,
    /// In the open, unless it is one of these files, which have pending writes.
    Except(Box<[FileId]>),
    /// Not in the open: the driver submits an [`Op::Empty`] later.
    Later,
}

/// A file to open, as a backend needs it.
#[derive(Debug)]
pub struct OpenSpec {
    /// The path: absolute, or relative to `beneath` or `at`.
    pub path: CString,
    /// The directory where a relative path begins: the working directory of the call.
    pub at: Option<Arc<OwnedFd>>,
    /// Flags for `open(2)`: access mode, O_CREAT, O_EXCL, O_TRUNC, O_APPEND.
    pub flags: i32,
    /// Permissions of a new file, before the umask.
    pub mode: u32,
    /// The directory that the path may not leave.
    pub beneath: Option<Arc<OwnedFd>>,
    /// The io mode asked for.
    pub io_mode: IoMode,
    /// When `O_TRUNC` takes effect.
    pub truncation: Truncation,
    /// The token of an open that can be cancelled. Whoever truncates the file claims it first.
    pub token: Option<Arc<OpenToken>>,
    /// The directories that are kept open for new files.
    pub directories: Arc<Directories>,
}

impl OpenSpec {
    /// Whether the open truncates the file.
    pub fn truncates(&self) -> bool {
        self.flags & libc::O_TRUNC != 0
    }

    /// Whether the open changes what others see: it may create or truncate the file.
    pub fn has_effects(&self) -> bool {
        self.flags & (libc::O_CREAT | libc::O_TRUNC) != 0
    }

    /// Whether the open was cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.token.as_ref().is_some_and(|open| open.is_cancelled())
    }

    /// Returns the flags for the system call. Where `O_TRUNC` depends on which file it is, or on
    /// whether the open is cancelled by then, [`truncates_now`](Self::truncates_now) decides it.
    pub fn flags_at_once(&self) -> i32 {
        match self.truncation {
            Truncation::AtOnce if self.token.is_none() => self.flags,
            _ => self.flags & !libc::O_TRUNC,
        }
    }

    /// Whether the op, which has opened file `id` with [`flags_at_once`](Self::flags_at_once), has
    /// to truncate it now. If so, the token is claimed.
    pub fn truncates_now(&self, id: FileId) -> bool {
        let may = match &self.truncation {
            Truncation::AtOnce => true,
            Truncation::Except(busy) => !busy.contains(&id),
            Truncation::Later => false,
        };
        let is_open = self.truncates() && self.flags_at_once() != self.flags;
        let claim = |open: &Arc<OpenToken>| open.claim();
        may && is_open && self.token.as_ref().is_none_or(claim)
    }
}

/// The properties of a file that has been opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FileFacts {
    /// Its size at the open: a hint for read-ahead, never the end of file.
    pub size: u64,
    /// The alignment of direct IO in bytes; 0 when there is no direct IO.
    pub dio_align: u32,
    /// Whether the mode asked for is not available.
    pub fell_back: bool,
    /// Whether it has still to be truncated.
    pub truncation_due: bool,
    /// Whether the open created it.
    pub is_new: bool,
    /// Whether workers perform its reads and writes, with io_uring too, as for files of FUSE.
    pub on_workers: bool,
}

/// The result of making the name of a new file durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameSync {
    /// The name survives a power cut.
    Durable,
    /// Not synced for lack of descriptors or memory: the next sync retries.
    NotYet,
    /// Its directory cannot be synced, or is not known.
    Unknown(Errno),
}

/// One operation of a backend whose open files are of type `F`.
#[derive(Debug)]
pub enum Op<F> {
    /// Opens a regular file.
    Open(Box<OpenSpec>),
    /// Reads or writes.
    Transfer(Transfer<F>),
    /// Sets the length of the file.
    Truncate {
        /// The file.
        file: Arc<F>,
        /// The new length.
        len: u64,
    },
    /// Truncates the file to nothing, in the place of its open.
    Empty {
        /// The file.
        file: Arc<F>,
    },
    /// Finds the length of the file, which is the number of its [`Outcome::Done`].
    Size {
        /// The file.
        file: Arc<F>,
    },
    /// Makes what was written durable.
    Sync {
        /// The file.
        file: Arc<F>,
        /// Whether the directory entry has to be made durable too: once, for a new file.
        name_too: bool,
    },
    /// Closes the file, which has no other users.
    Close(F),
}

impl<F> Op<F> {
    /// Returns the block that it owns.
    pub fn into_block(self) -> Option<Block> {
        match self {
            Self::Transfer(transfer) => transfer.memory.into_block(),
            _ => None,
        }
    }
}

/// An op and its id.
#[derive(Debug)]
pub struct Request<F> {
    /// Its id.
    pub id: OpId,
    /// The op.
    pub op: Op<F>,
}

/// The result of an op.
#[derive(Debug)]
pub enum Outcome<F> {
    /// An open succeeded.
    Opened(F, FileFacts),
    /// A read or write moved this many bytes, possibly fewer than asked; 0 for the other ops.
    Done(usize),
    /// A sync with `name_too` succeeded, and the result for the name.
    Synced(NameSync),
    /// The kernel refused it.
    Failed(Errno),
    /// An open failed with `EAGAIN` or `EINTR`, and has to be submitted again.
    NotYet(Box<OpenSpec>),
}

impl<F> Outcome<F> {
    /// Returns how many bytes an op moved that neither opens nor syncs a file.
    pub fn transferred(&self) -> Result<usize, Errno> {
        match self {
            Self::Done(n) => Ok(*n),
            Self::Failed(errno) => Err(*errno),
            Self::Opened(..) | Self::Synced(_) | Self::NotYet(_) => {
                unreachable!("a read or a write opens nothing")
            }
        }
    }
}

/// The completion of an op.
#[derive(Debug)]
pub struct Completion<F> {
    /// The op's id.
    pub id: OpId,
    /// Its result.
    pub outcome: Outcome<F>,
    /// The memory of a read or of a block written.
    pub block: Option<Block>,
}
