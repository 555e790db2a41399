//! Events as C sees them.

use efio_core::{Buffer, Completed, EventKind};
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

/// An event in the queue of `ef_next_event`.
pub struct QueuedEvent {
    /// The event as C gets it.
    pub event: Event,
    /// Bytes that are copied when C takes it.
    pub delivery: Option<Delivery>,
}

/// Bytes of an `ef_read_at` and their destination. `ef_next_event` copies them, on the program's
/// thread.
pub struct Delivery {
    to: Destination,
    len: usize,
    buffer: Buffer,
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

impl Delivery {
    /// Copies the bytes.
    pub fn deliver(self) {
        let bytes = &self.buffer[..self.len];
        // SAFETY: C promised `ef_read_at` that memory until its event is taken, which is now, and
        // `len` is at most what it asked for.
        unsafe {
            self.to
                .0
                .copy_from_nonoverlapping(bytes.as_ptr(), bytes.len())
        };
    }
}

/// Makes the event that C gets for `kind` of the file `number` with C's `user_data`. `pending` takes
/// the op out that a token of the engine stands for.
pub fn queued_event(
    number: c_int,
    user_data: u64,
    kind: EventKind,
    pending: impl FnOnce(u64) -> Option<Pending>,
) -> QueuedEvent {
    let mut event = Event {
        fd: number,
        kind: 0,
        error: 0,
        value: 0,
        token: 0,
        user_data,
    };
    let mut delivery = None;
    event.kind = match kind {
        EventKind::Opened => Kind::Opened,
        EventKind::Readable => Kind::Readable,
        EventKind::Closed { result } => {
            event.error = result.err().map_or(0, |errno| errno.0);
            Kind::Closed
        }
        EventKind::Synced { upto } => {
            event.value = upto;
            Kind::Synced
        }
        EventKind::Failed(failure) => {
            event.error = failure.errno.0;
            event.value = failure.offset;
            Kind::Failed
        }
        EventKind::Completed(completed) => {
            if let Some(pending) = pending(completed.token) {
                event.token = pending.token;
                delivery = completion(&mut event, completed, pending.to);
            }
            Kind::Completed
        }
        EventKind::Truncated { len } => {
            event.value = len;
            Kind::Truncated
        }
        // Writable, and kinds of a later engine: C tries its calls again.
        _ => Kind::Writable,
    } as c_int;
    QueuedEvent { event, delivery }
}

/// Fills in the result of an op; returns the bytes that are to be copied.
fn completion(
    event: &mut Event,
    completed: Completed,
    to: Option<Destination>,
) -> Option<Delivery> {
    match completed.result {
        Ok(len) => {
            event.value = len as u64;
            to.map(|to| Delivery {
                to,
                len,
                buffer: completed.buffer,
            })
        }
        Err(errno) => {
            event.error = errno.0;
            None
        }
    }
}
