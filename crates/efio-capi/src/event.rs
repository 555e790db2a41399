//! Events as C sees them.

use efio_core::{Completed, Errno, EventKind};
use std::ffi::c_int;

/// The operation codes of the callback, as in the original.
#[derive(Clone, Copy)]
#[repr(C)]
pub enum Operation {
    /// The open has ended: ef_open_status says how.
    Open = 0,
    /// A read that gave EAGAIN can be repeated.
    Read = 1,
    /// The close has ended: ef_close_status says how.
    Close = 2,
}

/// The kinds of events of ef_next_event. The first three are the operation codes.
#[derive(Clone, Copy)]
#[repr(C)]
pub enum Kind {
    /// The kernel opened the file.
    Opened = 0,
    /// A read that gave EAGAIN can be repeated.
    Readable = 1,
    /// The file is closed; `error` is its first error, or 0.
    Closed = 2,
    /// There is room again after a write that gave 0.
    Writable = 3,
    /// A sync has ended: the bytes before the mark `value` are durable.
    Synced = 4,
    /// The open, a write or a sync failed with `error`; bytes from offset `value` on may be lost.
    Failed = 5,
    /// An ef_read_at or ef_write_at with `token` has ended: `value` bytes were moved, or `error`.
    Completed = 6,
    /// An ef_truncate has ended: the file has `value` bytes.
    Truncated = 7,
}

/// An event of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Event {
    /// The descriptor.
    pub fd: c_int,
    /// One of ef_kind.
    pub kind: c_int,
    /// An errno, or 0.
    pub error: c_int,
    /// See ef_kind.
    pub value: u64,
    /// See ef_kind.
    pub token: u64,
    /// The number that ef_open_user_data was given for the file, or 0.
    pub user_data: u64,
}

/// The memory of C that an `ef_read_at` fills.
#[derive(Clone, Copy)]
pub struct Destination(pub *mut u8);

// SAFETY: only the thread that takes the event writes there, and C keeps the memory until then.
unsafe impl Send for Destination {}

/// A positional read or write in flight.
pub struct Pending {
    /// C's token.
    pub token: u64,
    /// The destination of a read.
    pub to: Option<Destination>,
}

impl Event {
    /// Makes what C gets for an event of the file `number`. Copies the bytes of an `ef_read_at`:
    /// this is the program's thread. `pending` takes the op that a token of the engine stands for.
    pub fn new(
        number: c_int,
        event: efio_core::Event,
        pending: impl FnOnce(u64) -> Option<Pending>,
    ) -> Self {
        let of_errno = |result: Result<(), Errno>| result.err().map_or(0, |errno| errno.0);
        let (kind, error, value, token) = match event.kind {
            EventKind::Opened => (Kind::Opened, 0, 0, 0),
            EventKind::Readable => (Kind::Readable, 0, 0, 0),
            EventKind::Closed { result } => (Kind::Closed, of_errno(result), 0, 0),
            EventKind::Synced { upto } => (Kind::Synced, 0, upto, 0),
            EventKind::Failed(failure) => (Kind::Failed, failure.errno.0, failure.offset, 0),
            EventKind::Truncated { len } => (Kind::Truncated, 0, len, 0),
            EventKind::Completed(completed) => {
                let pending = pending(completed.token);
                let token = pending.as_ref().map_or(0, |pending| pending.token);
                if let Some(to) = pending.and_then(|pending| pending.to) {
                    to.fill(&completed);
                }
                let len = completed.result.unwrap_or(0);
                let errno = of_errno(completed.result.map(drop));
                (Kind::Completed, errno, len as u64, token)
            }
            // Writable, and kinds of a later engine: C tries its calls again.
            _ => (Kind::Writable, 0, 0, 0),
        };
        Self {
            fd: number,
            kind: kind as c_int,
            error,
            value,
            token,
            user_data: event.user_data,
        }
    }
}

impl Destination {
    /// Copies the bytes of a read.
    fn fill(self, completed: &Completed) {
        let bytes = &completed.buffer[..completed.result.unwrap_or(0)];
        // SAFETY: C promised `ef_read_at` that memory until its event is taken, which is now, and
        // the length is at most what it asked for.
        unsafe { self.0.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
    }
}
