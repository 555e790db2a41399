//! Why the driver should look at a file.

/// Why the driver should look at a file; a set of bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Requests(pub u32);

impl Requests {
    /// No reason.
    pub const NONE: Self = Self(0);
    /// A file that was clean has bytes to flush: its interval begins.
    pub const DIRTY: Self = Self(1);
    /// A page is full or finished.
    pub const SEALED: Self = Self(1 << 1);
    /// A write found no room.
    pub const WANT_ROOM: Self = Self(1 << 2);
    /// A read found nothing.
    pub const WANT_DATA: Self = Self(1 << 3);
    /// A page was read to its end.
    pub const CONSUMED: Self = Self(1 << 4);
    /// A sync was asked for.
    pub const SYNC: Self = Self(1 << 5);
    /// The caller closed the file.
    pub const CLOSE: Self = Self(1 << 6);
    /// The caller closed the file and wants it durable.
    pub const CLOSE_SYNC: Self = Self(1 << 7);

    /// Everything accepted has to be written now.
    pub const FLUSH: Self = Self(1 << 8);
    /// A read found nothing, in a run of which something is on its way.
    pub const WANT_MORE: Self = Self(1 << 9);
    /// A write found no room, for the file has its share of the memory, and one is under way.
    pub const WANT_SHARE: Self = Self(1 << 10);

    /// Both sets together.
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether any bit of `other` is set.
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether there is nothing but what can wait until an op ends.
    pub const fn is_deferrable(self) -> bool {
        let patient = Self::SEALED.0 | Self::CONSUMED.0 | Self::WANT_MORE.0 | Self::WANT_SHARE.0;
        self.0 & !patient == 0
    }
}
