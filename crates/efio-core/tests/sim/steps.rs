//! The calls of a client, and the events around it, as data: so a plan can be replayed and shrunk.

use efio_core::IoMode;
use efio_core::sim::{Config, Foreign, SimOptions};
use std::io::SeekFrom;

/// The most files open at once.
pub const FILES: u32 = 5;
/// The number of paths.
pub const PATHS: u8 = 12;

/// A whole run of an engine, or of several on one disk.
#[derive(Clone, Debug)]
pub struct Plan {
    pub seed: u64,
    pub config: Config,
    pub faults: SimOptions,
    pub steps: Vec<Step>,
    /// Events go to a callback, which makes the next of these steps each time (F46); with `None`
    /// they go to the queue.
    pub inside: Option<Vec<Step>>,
    /// When a file fails the client takes the unwritten bytes at once.
    pub takes_unwritten: bool,
}

/// One step. `file` is an index into the client's table: it means the file there, or the next one.
#[derive(Clone, Debug)]
pub enum Step {
    Open(Opening),
    Write {
        file: u8,
        len: u32,
        payload: u32,
    },
    Read {
        file: u8,
        len: u32,
    },
    Seek {
        file: u8,
        to: u32,
    },
    ReadAt {
        file: u8,
        at: u32,
        len: u32,
    },
    WriteAt {
        file: u8,
        at: u32,
        len: u32,
        payload: u32,
    },
    Truncate {
        file: u8,
        len: u32,
    },
    TakeUnwritten {
        file: u8,
    },
    Sync {
        file: u8,
    },
    Flush {
        file: u8,
    },
    Close {
        file: u8,
        how: Closing,
    },
    /// The client drops the last future that opens a file.
    CancelOpen,
    /// The task of the file drops its pending future, and polls another one.
    Poll {
        file: u8,
        what: Polled,
    },
    /// The task of the file polls its pending future again.
    PollAgain {
        file: u8,
    },
    /// Calls on a descriptor that was closed, and on one that never was.
    UseStale {
        which: u8,
        bits: u64,
    },
    /// Time passes: `count` turns of `ms` milliseconds.
    Turns {
        count: u8,
        ms: u16,
    },
    /// Another process changes the file.
    Interfere {
        file: u8,
        change: Foreign,
        payload: u32,
    },
    /// The engine shuts down within `ms`. With `room` the disk has space for only so many more
    /// bytes.
    Shutdown {
        ms: u16,
        room: Option<u32>,
    },
    Kill,
    PowerCut,
}

impl Step {
    /// Whether the client makes it as a call.
    pub fn is_call(&self) -> bool {
        !matches!(
            self,
            Self::Turns { .. }
                | Self::Interfere { .. }
                | Self::Shutdown { .. }
                | Self::Kill
                | Self::PowerCut
        )
    }
}

#[derive(Clone, Copy, Debug)]
pub enum Closing {
    Drop,
    Close,
    CloseSync,
    /// The future of a close, dropped after its first poll.
    Future,
}

/// The future of a call on an open file.
#[derive(Clone, Copy, Debug)]
pub enum Polled {
    Opened,
    Read {
        len: u32,
    },
    /// Waits until a read returns at once, and reads as an event loop does.
    Readable {
        len: u32,
    },
    /// Shows a page, and consumes so many bytes of it at most.
    Show {
        len: u32,
    },
    Write {
        len: u32,
        payload: u32,
    },
    Flush,
    Sync,
    Len,
    TakeUnwritten,
    /// Of tokio, or of futures.
    Seek {
        to: SeekFrom,
        of_tokio: bool,
    },
}

/// The options of an open.
#[derive(Clone, Debug)]
pub struct Opening {
    pub path: u8,
    pub read: bool,
    pub write: bool,
    pub append: bool,
    pub create: bool,
    pub create_new: bool,
    pub truncate: bool,
    pub prefetch: bool,
    pub io_mode: Option<IoMode>,
    /// It opens the path that was closed last, while that close is in progress.
    pub reopens: bool,
    /// A future opens it, which may be dropped before it is ready.
    pub is_future: bool,
    /// A durable file of this length and payload is created first, if there is none.
    pub exists: Option<(u32, u32)>,
}
