//! Events as C sees them.

use efio_core::{Buffer, Completed, EventKind};
use std::ffi::c_int;

/// The operation codes of the callback. Those of the original.
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

/// What happened: the kinds of ef_next_event. The first three are the operation codes.
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

/// News of a file.
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
}

/// An event on its way to C.
pub struct QueuedEvent {
    /// What C gets.
    pub event: Event,
    /// Bytes that C gets with it.
    pub delivery: Option<Delivery>,
}

/// Bytes of an `ef_read_at` and where they go: copied when C takes the event, on its own thread.
pub struct Delivery {
    to: Place,
    len: usize,
    buffer: Buffer,
}

/// Memory of C that `ef_read_at` was given.
#[derive(Clone, Copy)]
pub struct Place(pub *mut u8);

// SAFETY: only whoever takes the event writes there, and C keeps the memory until it has it.
unsafe impl Send for Place {}

/// A positional read or write under way.
pub struct Pending {
    /// How C named it.
    pub token: u64,
    /// Where the bytes of a read go.
    pub to: Option<Place>,
}

impl Delivery {
    /// Copies the bytes.
    pub fn deliver(self) {
        let bytes = &self.buffer[..self.len];
        // SAFETY: `ef_read_at` was promised so much memory until its event is taken, which is now,
        // and no more than it asked for was read.
        unsafe {
            self.to
                .0
                .copy_from_nonoverlapping(bytes.as_ptr(), bytes.len())
        };
    }
}

/// What C is told of `kind`, which happened to `number`. `pending` finds what a token of the
/// engine stands for.
pub fn queued_event(
    number: c_int,
    kind: EventKind,
    pending: impl FnOnce(u64) -> Option<Pending>,
) -> QueuedEvent {
    let mut event = Event {
        fd: number,
        kind: 0,
        error: 0,
        value: 0,
        token: 0,
    };
    let mut delivery = None;
    event.kind = match kind {
        EventKind::Opened => Kind::Opened,
        EventKind::Readable => Kind::Readable,
        EventKind::Closed { error } => {
            event.error = error.map_or(0, |errno| errno.0);
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
        // Writable, and kinds of a later engine, of which C can only know that something changed.
        _ => Kind::Writable,
    } as c_int;
    QueuedEvent { event, delivery }
}

/// Fills in how it ended; what there is to copy.
fn completion(event: &mut Event, completed: Completed, to: Option<Place>) -> Option<Delivery> {
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
