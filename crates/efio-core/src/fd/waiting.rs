//! Who is told when a call that found nothing can be repeated: the waiting word of a file.

use super::slot::Slot;
use efio_sync::shim::atomic::Ordering;
use std::task::Waker;

/// What somebody waits for; a set of bits. The word of a slot holds each of them twice: once for
/// event loops, which are owed an event, and once for tasks, which are owed a wake-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiting(pub u32);

impl Waiting {
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
    const fn of_tasks(self) -> Self {
        Self(self.0 << Self::TASKS)
    }

    /// Whether any bit of `other` is set.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Both sets together.
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// Who is told when a call that found nothing can be repeated.
#[derive(Clone, Copy)]
pub enum Asker<'a> {
    /// An event loop, by an event.
    Loop,
    /// A task, by its waker.
    Task(&'a Waker),
}

/// Somebody said that it waits; see [`Slot::announce`].
#[must_use]
pub struct Announced {
    bit: Waiting,
    /// Nobody of the same kind waited for the same before.
    new: bool,
}

/// Who is owed something; see [`Slot::take_waiting`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owed {
    /// An event.
    pub event: bool,
    /// The wake-ups of the tasks in [`Slot::waiters`].
    pub wakeups: bool,
}

impl Owed {
    /// Whether anybody is owed anything.
    pub fn any(self) -> bool {
        self.event || self.wakeups
    }
}

impl Slot {
    /// Says that `asker` waits for `bit`. The caller, who has custody, looks once more afterwards.
    pub fn announce(&self, bit: Waiting, asker: Asker<'_>) -> Announced {
        let new = match asker {
            Asker::Loop => !self.wait_for(bit),
            Asker::Task(waker) => {
                // In the list before the bit is set: who takes the bit finds it there.
                let new = self.waiters.put(bit, waker);
                self.wait_for(bit.of_tasks());
                new
            }
        };
        Announced { bit, new }
    }

    /// The answer came after all: nothing is owed to this caller any more. What others are owed,
    /// also by an earlier call of the same, stays.
    pub fn withdraw(&self, announced: Announced, asker: Asker<'_>) {
        match asker {
            _ if !announced.new => {}
            Asker::Loop => _ = self.take(announced.bit),
            Asker::Task(waker) => self.waiters.forget(waker, announced.bit),
        }
    }

    /// Sets waiting bits; whether any of them was set before.
    pub fn wait_for(&self, bits: Waiting) -> bool {
        // AcqRel: with `take_waiting` on the same word. Either that one comes later and finds the
        // bits, or it came earlier and what was published before it is seen by the look that
        // follows.
        self.waiting.fetch_or(bits.0, Ordering::AcqRel) & bits.0 != 0
    }

    /// Whether anybody waits for any of `bits`.
    pub fn is_waiting(&self, bits: Waiting) -> bool {
        // Relaxed: the driver asks again in a later turn; `take_waiting` decides.
        Waiting(self.waiting.load(Ordering::Relaxed)).has(bits.and(bits.of_tasks()))
    }

    /// Takes the waiting bits among `bits`; who is owed something for them.
    pub fn take_waiting(&self, bits: Waiting) -> Owed {
        let taken = self.take(bits.and(bits.of_tasks()));
        Owed {
            event: taken.has(bits),
            wakeups: taken.has(bits.of_tasks()),
        }
    }

    fn take(&self, bits: Waiting) -> Waiting {
        // AcqRel: with `wait_for`, see there.
        Waiting(self.waiting.fetch_and(!bits.0, Ordering::AcqRel) & bits.0)
    }
}
