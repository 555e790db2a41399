//! Who is told when a call that found nothing can be repeated: the waiting word of a file.

use super::slot::Slot;
use efio_sync::shim::atomic::Ordering;
use std::task::Waker;

/// What somebody waits for; a set of bits. The word of a slot holds each of them twice: once for
/// event loops, which are owed an event, and once for tasks, which are owed a wake-up.
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
    /// Everything.
    pub const ALL: Self = Self((1 << 5) - 1);

    /// Where the bits of the tasks begin.
    const TASKS: u32 = 8;

    /// The bits of the tasks.
    const fn for_wakers(self) -> Self {
        Self(self.0 << Self::TASKS)
    }

    /// Whether any bit of `other` is set.
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Both sets together.
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// Who is told when a call that found nothing can be repeated.
#[derive(Clone, Copy)]
pub enum Notify<'a> {
    /// An event loop, by an event.
    Event,
    /// A task, by its waker.
    Waker(&'a Waker),
}

/// Somebody said that it waits; see [`Slot::announce`].
#[must_use]
pub struct Registration {
    bit: Interest,
    /// Nobody of the same kind waited for the same before.
    new: bool,
}

/// Who is owed something; see [`Slot::take_waiting`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// An event.
    pub event: bool,
    /// The wake-ups of the tasks in [`Slot::waiters`].
    pub wakers: bool,
}

impl Due {
    /// Whether anybody is owed anything.
    pub fn any(self) -> bool {
        self.event || self.wakers
    }
}

impl Slot {
    /// Says that `asker` waits for `bit`. The caller, who has custody, looks once more afterwards.
    pub fn register(&self, bit: Interest, notify: Notify<'_>) -> Registration {
        let new = match notify {
            Notify::Event => !self.add_interest(bit),
            Notify::Waker(waker) => {
                // In the list before the bit is set: who takes the bit finds it there.
                let new = self.waiters.put(bit, waker);
                self.add_interest(bit.for_wakers());
                new
            }
        };
        Registration { bit, new }
    }

    /// The answer came after all: nothing is owed to this caller any more. What others are owed,
    /// also by an earlier call of the same, stays.
    pub fn deregister(&self, registration: Registration, notify: Notify<'_>) {
        match notify {
            _ if !registration.new => {}
            Notify::Event => _ = self.take(registration.bit),
            Notify::Waker(waker) => self.waiters.remove(waker, registration.bit),
        }
    }

    /// Sets waiting bits; whether any of them was set before.
    pub fn add_interest(&self, bits: Interest) -> bool {
        // AcqRel: with `take_waiting` on the same word. Either that one comes later and finds the
        // bits, or it came earlier and what was published before it is seen by the look that
        // follows.
        self.interest.fetch_or(bits.0, Ordering::AcqRel) & bits.0 != 0
    }

    /// Whether anybody waits for any of `bits`.
    pub fn has_interest(&self, bits: Interest) -> bool {
        // Relaxed: the driver asks again in a later turn; `take_waiting` decides.
        Interest(self.interest.load(Ordering::Relaxed)).intersects(bits.union(bits.for_wakers()))
    }

    /// Takes the waiting bits among `bits`; who is owed something for them.
    pub fn take_interest(&self, bits: Interest) -> Due {
        let taken = self.take(bits.union(bits.for_wakers()));
        Due {
            event: taken.intersects(bits),
            wakers: taken.intersects(bits.for_wakers()),
        }
    }

    fn take(&self, bits: Interest) -> Interest {
        // AcqRel: with `wait_for`, see there.
        Interest(self.interest.fetch_and(!bits.0, Ordering::AcqRel) & bits.0)
    }
}
