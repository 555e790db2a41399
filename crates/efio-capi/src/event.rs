//! Events as C sees them.

use efio_core::EventKind;
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
pub struct Letter {
    /// What C gets.
    pub event: Event,
}

/// What C is told of `kind`, which happened to `number`.
pub fn letter(number: c_int, kind: EventKind) -> Letter {
    let mut event = Event {
        fd: number,
        kind: 0,
        error: 0,
        value: 0,
        token: 0,
    };
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
        // Writable, and kinds of a later engine, of which C can only know that something changed.
        _ => Kind::Writable,
    } as c_int;
    Letter { event }
}
