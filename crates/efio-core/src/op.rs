//! The interface between the driver and a backend: requests one way, completions the other.
//!
//! ```text
//! driver ── Request { id, op } ──► backend ── Completion { id, outcome, block } ──► driver
//! ```
//!
//! The op owns its memory until its completion, so the kernel never uses bytes that anyone else can
//! change.

use crate::error::Errno;
use crate::page::Block;
use crate::slot_map::Key;
use std::sync::Arc;

mod transfer;

pub use crate::sys::CacheMode;
pub use crate::sys::directories::NameSync;
pub use crate::sys::open_spec::{FileFacts, OpenSpec, Truncation};
pub use crate::sys::open_token::OpenToken;
pub use crate::sys::read_now::ReadNow;
pub use crate::sys::stat::FileId;
pub use transfer::{BlockRange, Memory, Transfer};

/// Identifies one op in flight; a late or second completion finds no op.
pub type OpId = Key;

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
