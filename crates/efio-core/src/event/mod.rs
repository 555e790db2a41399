//! Events: what became ready, and how the program is notified of it.
//!
//! ```text
//!                 ┌─ queue.rs: pushed at once, for any thread to take; an eventfd is readable
//!  driver ── emit ┤
//!     │           └─ sink.rs: kept until the turn is over, then passed to the callback in order
//!     └───── wake ── sink.rs: wakers of the slot, woken at the end of the turn as well
//! ```

mod queue;
mod sink;

pub use queue::EventQueue;
pub use sink::{Callback, Outbox};

use crate::error::{Errno, Failure};
use crate::fd::Fd;
use crate::page::Buffer;

/// What happened to one file. The fields are public to be read; only the engine makes events.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Event {
    /// The file.
    pub fd: Fd,
    /// The caller's number for the file: [`OpenOptions::user_data`](crate::OpenOptions::user_data),
    /// 0 unless set.
    pub user_data: u64,
    /// What happened.
    pub kind: EventKind,
}

/// What happened.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EventKind {
    /// A [`read_at`](crate::File::read_at) or [`write_at`](crate::File::write_at) is over.
    Completed(Completed),
    /// The length of the file was set to `len`, in its turn among what was accepted.
    Truncated {
        /// The new length.
        len: u64,
    },
    /// The kernel opened the file. Once per file, unless it failed.
    Opened,
    /// A read that said "would block" can be repeated.
    Readable,
    /// A write that said "would block" can be repeated.
    Writable,
    /// A sync that was asked for ended: every byte accepted before the mark `upto` is durable.
    Synced {
        /// The durable mark.
        upto: u64,
    },
    /// The file is closed and its descriptor free. The last event of a file.
    Closed {
        /// The first error of the file, if there was one: an accepted byte may be lost.
        result: Result<(), Errno>,
    },
    /// The open, a write or a sync failed: the file accepts no more bytes. Once per file.
    Failed(Failure),
}

/// A positional read or write that is over. Each comes exactly once.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Completed {
    /// What the caller named it.
    pub token: u64,
    /// The bytes moved: for a read fewer than the buffer's length only at the end of file. After an
    /// error some may have been moved. At the deadline of a [shutdown](crate::Engine::shutdown):
    /// `ECANCELED` for an op that the disk does not have and that will not go on, `ETIMEDOUT` for
    /// one that it has, and that may still happen.
    pub result: Result<usize, Errno>,
    /// The buffer that the op was given. It is empty should the memory have been lost with a worker
    /// that died, and with `ETIMEDOUT`: the disk has it.
    pub buffer: Buffer,
}

/// What calls on a file would find now; see [`File::readiness`](crate::File::readiness).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Readiness {
    /// A read would be answered at once: with bytes, with the end of file, or with an error.
    pub readable: bool,
    /// A write would be answered at once: it would accept at least a byte, or fail.
    pub writable: bool,
}
