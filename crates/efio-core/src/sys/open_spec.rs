//! What opens a file, and what is known once it is open.

use super::directories::Directories;
use super::open_token::OpenToken;
use super::stat::FileId;
use crate::io_mode::IoMode;
use std::ffi::CString;
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// When an open with `O_TRUNC` truncates the file.
#[derive(Debug, Default)]
pub enum Truncation {
    /// In the open, whichever file it is.
    #[default]
    AtOnce,
    /// In the open, unless it is one of these files, which have pending writes.
    Except(Box<[FileId]>),
    /// Not in the open: the driver submits an [`Op::Empty`](crate::op::Op::Empty) later.
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
