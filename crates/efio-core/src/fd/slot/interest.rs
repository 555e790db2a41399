//! What callers wait for, and whom the driver notifies of it.

use std::task::Waker;

/// What callers wait for: a set of bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Interest(pub u8);

impl Interest {
    /// Something to read; the event is Readable.
    pub const DATA: Self = Self(1);
    /// Room to write; the event is Writable.
    pub const ROOM: Self = Self(1 << 1);
    /// Accepted bytes are written; the event is Writable.
    pub const FLUSHED: Self = Self(1 << 2);
    /// The kernel answered the open. Only tasks wait for it: the event comes in any case.
    pub const OPENED: Self = Self(1 << 3);
    /// A sync ended. Only tasks wait for it.
    pub const SYNCED: Self = Self(1 << 4);
    /// All bits.
    pub const ALL: Self = Self((1 << 5) - 1);

    /// Whether any bit of `other` is set.
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Returns the union of both sets.
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Returns the bits that are not in `other`.
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

/// Whom the driver notifies when a call that found nothing can be retried.
#[derive(Clone, Copy)]
pub enum Notify<'a> {
    /// An event loop, by an event.
    Event,
    /// A task, by its waker.
    Waker(&'a Waker),
}

impl<'a> Notify<'a> {
    /// Returns the waker, if a task is notified.
    pub fn waker(self) -> Option<&'a Waker> {
        match self {
            Self::Event => None,
            Self::Waker(waker) => Some(waker),
        }
    }
}
