//! Whom the driver notifies when a call that found nothing can be retried: the interest word of a
//! file.

use super::Slot;
use efio_sync::shim::atomic::Ordering;
use std::task::Waker;

/// What callers wait for: a set of bits. The interest word of a slot has each bit twice: once for
/// event loops, which get an event, and once for tasks, which are woken.
///
/// ```text
///  12        8 7   5 4         0
///  ┌──────────┬─────┬──────────┐
///  │  wakers  │  –  │  events  │      an event loop waits for ROOM, a task for DATA: 0x102
///  └──────────┴─────┴──────────┘
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interest(pub u32);

impl Interest {
    /// Something to read; the event is Readable.
    pub const DATA: Self = Self(1);
    /// Room to write; the event is Writable.
    pub const ROOM: Self = Self(1 << 1);
    /// Everything accepted is written; the event is Writable.
    pub const FLUSHED: Self = Self(1 << 2);
    /// The kernel answered the open. Only tasks wait for it: the event comes in any case.
    pub const OPENED: Self = Self(1 << 3);
    /// A sync ended. Only tasks wait for it.
    pub const SYNCED: Self = Self(1 << 4);
    /// All bits.
    pub const ALL: Self = Self((1 << 5) - 1);

    /// The number of the first bit for tasks.
    const WAKERS: u32 = 8;

    /// Returns the same bits for tasks.
    const fn for_wakers(self) -> Self {
        Self(self.0 << Self::WAKERS)
    }

    /// Whether any bit of `other` is set.
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Returns the union of both sets.
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
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

/// A registered interest; see [`Slot::register`].
#[must_use]
pub struct Registration {
    bit: Interest,
    /// Nobody of the same kind waited for the same before.
    new: bool,
}

/// The notifications that are due; see [`Slot::take_interest`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// An event.
    pub event: bool,
    /// The wake-ups of the tasks in [`Slot::waiters`].
    pub wakers: bool,
}

impl Due {
    /// Whether any notification is due.
    pub fn any(self) -> bool {
        self.event || self.wakers
    }
}

impl Slot {
    /// Registers that `notify` waits for `bit`. The caller, which holds the file's lock, retries
    /// once afterwards.
    pub fn register(&self, bit: Interest, notify: Notify<'_>) -> Registration {
        let new = match notify {
            Notify::Event => !self.add_interest(bit),
            Notify::Waker(waker) => {
                // In the list before the bit is set: the driver that takes the bit finds it there.
                let new = self.waiters.put(bit, waker);
                self.add_interest(bit.for_wakers());
                new
            }
        };
        Registration { bit, new }
    }

    /// Removes a registration whose caller did not have to wait after all. Notifications that are
    /// due to others, or to an earlier call of the same caller, stay due.
    pub fn deregister(&self, registration: Registration, notify: Notify<'_>) {
        match notify {
            _ if !registration.new => {}
            Notify::Event => _ = self.take(registration.bit),
            Notify::Waker(waker) => self.waiters.remove(waker, registration.bit),
        }
    }

    /// Sets interest bits, and returns whether any of them was set before.
    pub fn add_interest(&self, bits: Interest) -> bool {
        // AcqRel: pairs with `take` on the same word. Either `take` comes later and finds the bits,
        // or it came earlier, and the retry that follows sees what was published before it.
        self.interest.fetch_or(bits.0, Ordering::AcqRel) & bits.0 != 0
    }

    /// Whether anybody waits for any of `bits`.
    pub fn has_interest(&self, bits: Interest) -> bool {
        // Relaxed: the driver asks again in a later turn; `take_interest` decides.
        Interest(self.interest.load(Ordering::Relaxed)).intersects(bits.union(bits.for_wakers()))
    }

    /// Takes the interest bits among `bits`, and returns the notifications that are due for them.
    pub fn take_interest(&self, bits: Interest) -> Due {
        let taken = self.take(bits.union(bits.for_wakers()));
        Due {
            event: taken.intersects(bits),
            wakers: taken.intersects(bits.for_wakers()),
        }
    }

    fn take(&self, bits: Interest) -> Interest {
        // AcqRel: pairs with `add_interest`, see there.
        Interest(self.interest.fetch_and(!bits.0, Ordering::AcqRel) & bits.0)
    }
}
