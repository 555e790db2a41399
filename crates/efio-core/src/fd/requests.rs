//! The requests of callers to the driver for a file.

/// The requests for a file: a set of bits. While IO is in flight, deferrable requests do not wake
/// the driver; see [`Inbox`](crate::inbox::Inbox).
///
/// | request | deferrable |
/// |---|---|
/// | `SEALED`, `CONSUMED`, `WANT_MORE`, `WANT_SHARE` | yes: the driver takes them when an op completes |
/// | `DIRTY`, `WANT_ROOM`, `WANT_DATA`, `SYNC`, `CLOSE`, `CLOSE_SYNC`, `FLUSH`, `POSITIONAL` | no |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Requests(pub u32);

impl Requests {
    /// No request.
    pub const NONE: Self = Self(0);
    /// A file that was clean has bytes to flush: its flush interval begins.
    pub const DIRTY: Self = Self(1);
    /// A page is full or sealed.
    pub const SEALED: Self = Self(1 << 1);
    /// A write found no room.
    pub const WANT_ROOM: Self = Self(1 << 2);
    /// A read found nothing.
    pub const WANT_DATA: Self = Self(1 << 3);
    /// A page was read to its end.
    pub const CONSUMED: Self = Self(1 << 4);
    /// A sync was requested.
    pub const SYNC: Self = Self(1 << 5);
    /// The caller closed the file.
    pub const CLOSE: Self = Self(1 << 6);
    /// The caller closed the file and wants it durable.
    pub const CLOSE_SYNC: Self = Self(1 << 7);

    /// All accepted bytes have to be written now.
    pub const FLUSH: Self = Self(1 << 8);
    /// A read found nothing, in a run with reads in flight.
    pub const WANT_MORE: Self = Self(1 << 9);
    /// A write found no room because the file has its share of the memory, and a write is in
    /// flight.
    pub const WANT_SHARE: Self = Self(1 << 10);
    /// There are positional ops in the slot.
    pub const POSITIONAL: Self = Self(1 << 11);

    /// Returns the union of both sets.
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether any bit of `other` is set.
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether all requests can wait until an op completes. True for no requests at all.
    pub const fn is_deferrable(self) -> bool {
        let deferrable = Self::SEALED.0 | Self::CONSUMED.0 | Self::WANT_MORE.0 | Self::WANT_SHARE.0;
        self.0 & !deferrable == 0
    }
}
