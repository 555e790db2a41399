//! What a client does, and what happens to him, as data: so that it can be repeated and cut down.

use efio_core::sim::{Foreign, SimOptions};
use efio_core::{Config, IoMode};

/// The most files open at once.
pub const FILES: u32 = 5;
/// Names of files.
pub const PATHS: u8 = 12;

/// A whole life: of an engine, or of several on one disk.
#[derive(Clone, Debug)]
pub struct Plan {
    pub seed: u64,
    pub config: Config,
    pub trouble: SimOptions,
    pub steps: Vec<Step>,
    /// Events go to a callback, which takes the next of these steps each time (F46); `None`: they
    /// go to the queue.
    pub inside: Option<Vec<Step>>,
    /// When a file fails the client asks at once for what was not written.
    pub saves: bool,
}

/// One thing that happens. `file` is a place at the user's table: the file there is meant, or the
/// next one.
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
    /// The last future that opens a file is dropped.
    Withdraw,
    /// Calls on a descriptor that was closed, and on one that never was.
    UseStale {
        which: u8,
        bits: u64,
    },
    /// Time passes: so many turns of so many milliseconds.
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
    /// The disk has `room` for so many bytes more, if it fills up meanwhile.
    Shutdown {
        ms: u16,
        room: Option<u32>,
    },
    Kill,
    PowerCut,
}

impl Step {
    /// Whether it is a call of the client, and nothing that happens to him.
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
    /// It is the file that was closed last, while the engine is still at that.
    pub reopens: bool,
    /// As a future does it, which may be dropped before it is ready.
    pub is_future: bool,
    /// A durable file of this length and payload is put there first, if there is none.
    pub exists: Option<(u32, u32)>,
}
