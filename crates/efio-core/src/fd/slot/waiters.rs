//! Who waits for a file, and for what: event loops, which get an event, and tasks, which are woken.
//!
//! ```text
//!  caller, with the file's lock               driver
//!  1 put the waiter in the list               1 publish what became ready
//!  2 retry once, else "would block"           2 take the waiters out of the list, notify them
//! ```
//!
//! One lock guards the list, so there are two cases:
//!
//! 1. The driver looks at the list before the caller is in it: it has published before the caller
//!    retries.
//! 2. The driver looks at the list afterwards: it finds the waiter.
//!
//! A waiter leaves the list only to be notified, or by the caller that put it there.

use super::Slot;
use super::interest::{Interest, Notify};
use efio_sync::shim::atomic::Ordering;
use std::task::Waker;

/// The waiters of a file; two words while no task waits.
///
/// No code of the program runs in its methods: the wakers that they return are woken or dropped
/// without the lock.
#[derive(Default)]
#[expect(clippy::box_collection, reason = "one word, and most files have none")]
pub struct Waiters {
    /// What event loops wait for. It takes no memory: a read or write that returns "would block"
    /// does not allocate.
    events: Interest,
    /// The tasks, and the event loops that wait for a mark; `None` while there are none.
    entries: Option<Box<Vec<Entry>>>,
}

struct Entry {
    /// A single bit.
    bit: Interest,
    /// The waiter is notified once this many bytes are written.
    mark: u64,
    /// The waker of a task; `None` for event loops.
    waker: Option<Waker>,
}

impl Entry {
    /// Whether `waker` is its waker, or both are event loops.
    fn is_of(&self, waker: Option<&Waker>) -> bool {
        match (&self.waker, waker) {
            (Some(mine), Some(waker)) => mine.will_wake(waker),
            (mine, waker) => mine.is_none() && waker.is_none(),
        }
    }
}

impl Waiters {
    /// Adds a waiter for `bit`, notified once `mark` bytes are written, and takes its waker. Returns
    /// `false` if the waiter is in the list already; the lower mark holds then.
    fn add(&mut self, bit: Interest, mark: u64, waker: &mut Option<Waker>) -> bool {
        if waker.is_none() && self.events.intersects(bit) {
            return false;
        }
        let mut entries = self.entries.as_deref_mut().into_iter().flatten();
        if let Some(entry) = entries.find(|entry| entry.bit == bit && entry.is_of(waker.as_ref())) {
            entry.mark = entry.mark.min(mark);
            return false;
        }
        if waker.is_none() && mark == 0 {
            self.events = self.events.union(bit);
        } else {
            let waker = waker.take();
            let entries = self.entries.get_or_insert_default();
            entries.push(Entry { bit, mark, waker });
        }
        true
    }

    /// Removes the waiters for any of `bits` and for at most `written` bytes. Puts the wakers of the
    /// tasks into `wakers`, and returns whether there was an event loop.
    fn take(&mut self, bits: Interest, written: u64, wakers: &mut Vec<Waker>) -> bool {
        self.extract(bits, true, |entry| entry.mark <= written, wakers)
    }

    /// Removes the waiter `notify` for any of `bits`. Puts its wakers into `wakers`.
    fn remove(&mut self, bits: Interest, notify: Notify<'_>, wakers: &mut Vec<Waker>) {
        let waker = notify.waker();
        self.extract(bits, waker.is_none(), |entry| entry.is_of(waker), wakers);
    }

    fn extract(
        &mut self,
        bits: Interest,
        events: bool,
        wanted: impl Fn(&Entry) -> bool,
        wakers: &mut Vec<Waker>,
    ) -> bool {
        let mut has_event = events && self.events.intersects(bits);
        if has_event {
            self.events = self.events.without(bits);
        }
        let Some(entries) = &mut self.entries else {
            return has_event;
        };
        entries.retain_mut(|entry| {
            let is_kept = !bits.intersects(entry.bit) || !wanted(entry);
            match entry.waker.take_if(|_| !is_kept) {
                Some(waker) => wakers.push(waker),
                None => has_event |= !is_kept,
            }
            is_kept
        });
        // A file that nobody waits for gets small again.
        self.entries.take_if(|entries| entries.is_empty());
        has_event
    }

    /// Returns all that is waited for.
    pub fn interest(&self) -> Interest {
        let entries = self.entries.as_deref().into_iter().flatten();
        entries.fold(self.events, |all, entry| all.union(entry.bit))
    }
}

/// A registered waiter; see [`Slot::register`].
#[must_use]
pub struct Registration<'a> {
    bit: Interest,
    notify: Notify<'a>,
    /// The waiter was not in the list before.
    new: bool,
}

impl Slot {
    /// Registers that `notify` waits for `bit`. The caller, which holds the file's lock, retries
    /// once afterwards.
    pub fn register<'a>(&self, bit: Interest, notify: Notify<'a>) -> Registration<'a> {
        self.register_until(bit, 0, notify)
    }

    /// The same for a caller that waits until `mark` bytes are written.
    pub fn register_until<'a>(
        &self,
        bit: Interest,
        mark: u64,
        notify: Notify<'a>,
    ) -> Registration<'a> {
        // Cloned, and dropped if it is in the list already, without the lock.
        let mut waker = notify.waker().cloned();
        let new = self.with_waiters(|waiters| waiters.add(bit, mark, &mut waker));
        Registration { bit, notify, new }
    }

    /// Removes a registration whose caller did not have to wait after all. Notifications that are
    /// due to others, or to an earlier call of the same caller, stay due.
    pub fn deregister(&self, registration: Registration<'_>) {
        if registration.new {
            self.remove_waiter(registration.bit, registration.notify);
        }
    }

    /// Removes the waiter of `notify` for any of `bits`.
    pub fn remove_waiter(&self, bits: Interest, notify: Notify<'_>) {
        let mut removed = Vec::new();
        self.with_waiters(|waiters| waiters.remove(bits, notify, &mut removed));
    }

    /// Takes the waiters for any of `bits` and for at most `written` bytes: the wakers of the tasks,
    /// for the caller to wake, and whether an event is due.
    pub fn take_waiters(&self, bits: Interest, written: u64, wakers: &mut Vec<Waker>) -> bool {
        self.with_waiters(|waiters| waiters.take(bits, written, wakers))
    }

    /// Whether anybody waits for any of `bits`.
    pub fn has_interest(&self, bits: Interest) -> bool {
        // Relaxed: a hint. A caller that is about to wait sets a request bit, so the driver asks
        // again.
        Interest(self.interest.load(Ordering::Relaxed)).intersects(bits)
    }
}

#[cfg(all(test, not(loom)))]
pub(super) mod tests {
    use super::*;
    use std::sync::Arc;
    use std::task::Wake;

    struct NoopWake;

    impl Wake for NoopWake {
        fn wake(self: Arc<Self>) {}
    }

    /// Returns the waker of a task of its own.
    pub fn waker() -> Waker {
        Waker::from(Arc::new(NoopWake))
    }

    #[test]
    fn each_waiter_is_listed_once_per_bit() {
        let [first, second] = [(); 2].map(|()| waker());
        let mut waiters = Waiters::default();
        let mut out = Vec::new();
        for (bit, waker) in [
            (Interest::DATA, Some(&first)),
            (Interest::ROOM, Some(&first)),
            (Interest::DATA, Some(&second)),
            (Interest::DATA, None),
        ] {
            assert!(waiters.add(bit, 0, &mut waker.cloned()));
            assert!(!waiters.add(bit, 0, &mut waker.cloned()));
        }
        assert!(!waiters.take(Interest::FLUSHED, u64::MAX, &mut out) && out.is_empty());
        assert!(waiters.take(Interest::DATA, 0, &mut out), "an event is due");
        assert_eq!((out.len(), waiters.interest()), (2, Interest::ROOM));
        waiters.remove(Interest::ALL, Notify::Waker(&second), &mut out);
        waiters.remove(Interest::ALL, Notify::Event, &mut out);
        assert_eq!(out.len(), 2, "neither is listed");
        waiters.remove(Interest::ALL, Notify::Waker(&first), &mut out);
        assert!(out.len() == 3 && waiters.entries.is_none());
    }

    /// F88.
    #[test]
    fn a_waiter_for_a_mark_is_due_once_that_is_written() {
        let [first, second] = [(); 2].map(|()| Some(waker()));
        let mut waiters = Waiters::default();
        let mut out = Vec::new();
        let mut add =
            |mark, waker: &Option<Waker>| waiters.add(Interest::FLUSHED, mark, &mut waker.clone());
        assert!(add(10, &first) && add(20, &second) && !add(15, &second) && add(12, &None));
        let mut due = |written| {
            let event = waiters.take(Interest::ALL, written, &mut out);
            (event, out.len())
        };
        assert_eq!(
            [9, 11, 14].map(&mut due),
            [(false, 0), (false, 1), (true, 1)]
        );
        assert_eq!(due(15), (false, 2), "the lower mark holds");
        assert!(waiters.entries.is_none());
    }

    /// The share of an idle file in 512 bytes.
    #[test]
    fn a_file_that_no_task_waits_for_pays_two_words() {
        assert!(size_of::<Waiters>() <= 16);
    }
}
