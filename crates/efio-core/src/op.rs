//! What travels between the driver and a backend: requests one way, completions the other.
//!
//! ```text
//! Driver ── Request { id, op } ──► Backend ── Completion { id, outcome, block } ──► Driver
//! ```
//!
//! Memory moves into the op and stays there until its completion, so the kernel never holds bytes
//! that anyone else can change.

use crate::config::IoMode;
use crate::error::Errno;
use crate::page::{Block, PageSlice};
use crate::sys::name::Directories;
use std::ffi::CString;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

mod open_token;

pub use open_token::OpenToken;

/// Names one op in flight; a number is never given twice, so that a late or second completion
/// finds no op.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OpId(pub u64);

/// How bytes go between memory and disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheMode {
    /// O_DIRECT: offset, length and memory aligned to the file's block.
    Direct,
    /// Through the page cache, dropped from it once written (`RWF_DONTCACHE`).
    Uncached,
    /// Through the page cache, to stay there.
    Cached,
}

/// What the kernel says of an open file from memory, without waiting for a disk.
pub trait ReadNow: Send + Sync {
    /// Reads into the start of `buf`; the number of bytes, 0 at the end of file.
    ///
    /// # Errors
    ///
    /// `EAGAIN` when the kernel would have to wait; anything else is no answer either.
    fn read_now(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize>;

    /// Whether 0 bytes of [`read_now`](Self::read_now) are the end of file. Linux 5.9 and 5.10 say
    /// so as well where they would have to wait (F64).
    fn reports_end(&self) -> bool;

    /// Where the file ends now; `None` when only a read can tell.
    fn end(&self) -> Option<u64>;
}

/// Who a file is, whatever its names: device and inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FileId {
    /// The device of its file system.
    pub device: u64,
    /// Its number there.
    pub inode: u64,
}

/// When an open with `O_TRUNC` cuts the file off.
#[derive(Debug, Default)]
pub enum Truncation {
    /// In the op, whichever file it is.
    #[default]
    AtOnce,
    /// In the op, unless it is one of these: something of them is still to be written before.
    Except(Box<[FileId]>),
    /// Not in the op: the driver says when.
    Later,
}

/// A file to open, as a backend needs it.
#[derive(Debug)]
pub struct OpenSpec {
    /// The path: absolute, or relative to `beneath` or `at`.
    pub path: CString,
    /// The directory that a relative path begins at: the working directory of the call.
    pub at: Option<Arc<OwnedFd>>,
    /// Flags for `open(2)`: access mode, O_CREAT, O_EXCL, O_TRUNC, O_APPEND.
    pub flags: i32,
    /// Permissions of a new file, before the umask.
    pub mode: u32,
    /// The directory that the path may not leave.
    pub beneath: Option<Arc<OwnedFd>>,
    /// The io mode asked for.
    pub io_mode: IoMode,
    /// What becomes of `O_TRUNC`.
    pub truncation: Truncation,
    /// Whether somebody still wants the file, if that can end before it is open. Who cuts it off
    /// claims that first.
    pub token: Option<Arc<OpenToken>>,
    /// The directories that are held for new files.
    pub directories: Arc<Directories>,
}

impl OpenSpec {
    /// Whether the file is to be cut off.
    pub fn truncates(&self) -> bool {
        self.flags & libc::O_TRUNC != 0
    }

    /// Whether the open changes what others see: it may make the file, or cut it off.
    pub fn has_effects(&self) -> bool {
        self.flags & (libc::O_CREAT | libc::O_TRUNC) != 0
    }

    /// Whether nobody wants the file any more.
    pub fn is_cancelled(&self) -> bool {
        self.token.as_ref().is_some_and(|open| open.is_cancelled())
    }

    /// The flags for the system call. Where `O_TRUNC` depends on which file it is, or on whether it
    /// is wanted by then, it is left to [`truncates_now`](Self::truncates_now).
    pub fn flags_at_once(&self) -> i32 {
        match self.truncation {
            Truncation::AtOnce if self.token.is_none() => self.flags,
            _ => self.flags & !libc::O_TRUNC,
        }
    }

    /// Whether the op, which has opened file `id` with [`flags_at_once`](Self::flags_at_once), has to
    /// cut it off now. It is claimed with that.
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

/// What is known of a file once it is open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FileFacts {
    /// Its size at that moment: a hint for read-ahead, never the end of file.
    pub size: u64,
    /// The block to which direct IO has to be aligned; 0 when there is no direct IO.
    pub dio_align: u32,
    /// Whether the mode asked for could not be had.
    pub fell_back: bool,
    /// Whether it was to be cut off and is not yet.
    pub truncation_due: bool,
    /// Whether the open made it.
    pub is_new: bool,
    /// Whether workers make its reads and writes, on a ring too, as for files of FUSE.
    pub on_workers: bool,
}

/// What became of the name of a new file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameSync {
    /// It survives a power cut.
    Durable,
    /// Nothing for want of descriptors or memory: the next sync tries again.
    NotYet,
    /// Its directory cannot be synced, or is not known.
    Unknown(Errno),
}

/// One operation of a backend whose open files are of type `F`.
#[derive(Debug)]
pub enum Op<F> {
    /// Opens a regular file.
    Open(Box<OpenSpec>),
    /// Reads `len` bytes from `offset` on into `block`, from its byte `start` on.
    Read {
        /// The file.
        file: Arc<F>,
        /// How.
        cache_mode: CacheMode,
        /// Where in the file.
        offset: u64,
        /// The memory, owned by the op until its completion.
        block: Block,
        /// Where in the block.
        start: usize,
        /// How many bytes; they end inside the block.
        len: usize,
    },
    /// Writes the slices one behind the other from `offset` on; at the end of file for a file
    /// opened with O_APPEND, whatever the offset says.
    Write {
        /// The file.
        file: Arc<F>,
        /// How.
        cache_mode: CacheMode,
        /// Where in the file.
        offset: u64,
        /// The bytes.
        slices: Vec<PageSlice>,
    },
    /// Writes `len` bytes of `block`, from its byte `start` on, at `offset`.
    WriteBlock {
        /// The file.
        file: Arc<F>,
        /// How.
        cache_mode: CacheMode,
        /// Where in the file.
        offset: u64,
        /// The memory, owned by the op until its completion.
        block: Block,
        /// Where in the block.
        start: usize,
        /// How many bytes; they end inside the block.
        len: usize,
    },
    /// Sets the length of the file.
    Truncate {
        /// The file.
        file: Arc<F>,
        /// The new length.
        len: u64,
    },
    /// Cuts the file off, as its open was to do.
    Empty {
        /// The file.
        file: Arc<F>,
    },
    /// Asks how long the file is; done with that many bytes.
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
    /// Closes the file; there is no other user left.
    Close(F),
}

impl<F> Op<F> {
    /// The memory that it owns.
    pub fn into_block(self) -> Option<Block> {
        match self {
            Self::Read { block, .. } | Self::WriteBlock { block, .. } => Some(block),
            _ => None,
        }
    }

    /// How many bytes it is to move.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Read { len, .. } | Self::WriteBlock { len, .. } => *len,
            Self::Write { slices, .. } => slices.iter().map(PageSlice::len).sum(),
            _ => 0,
        }
    }
}

/// An op and its name.
#[derive(Debug)]
pub struct Request<F> {
    /// Its name.
    pub id: OpId,
    /// What to do.
    pub op: Op<F>,
}

/// How an op ended.
#[derive(Debug)]
pub enum Outcome<F> {
    /// An open succeeded.
    Opened(F, FileFacts),
    /// A read or write moved this many bytes, possibly fewer than asked; 0 for the other ops.
    Done(usize),
    /// A sync succeeded, and what became of the name that it was to cover.
    Synced(NameSync),
    /// The kernel said no.
    Failed(Errno),
    /// The kernel does not answer this open for now (`EAGAIN`, `EINTR`): it has to be submitted
    /// again.
    NotYet(Box<OpenSpec>),
}

/// The end of an op.
#[derive(Debug)]
pub struct Completion<F> {
    /// The op's name.
    pub id: OpId,
    /// How it ended.
    pub outcome: Outcome<F>,
    /// The memory of a read or of a block written.
    pub block: Option<Block>,
}
