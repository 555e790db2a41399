//! The tasks that wait for a file: their wakers, and what each waits for.
//!
//! ```text
//!  caller, with the file's lock               driver
//!  1 put the waker in the list                1 publish what became ready
//!  2 set the interest bit                     2 take the interest bits
//!  3 retry once, else Pending                 3 a bit was set: take the wakers out, wake them
//! ```
//!
//! Steps 2 are read-modify-writes of one word, so there are two cases:
//!
//! 1. The driver takes the bit before the caller sets it: it has published before the caller
//!    retries.
//! 2. The driver takes the bit after the caller set it: it finds the waker in the list.
//!
//! A waker leaves the list only to be woken, or by the caller that put it there. So a bit without a
//! waker is harmless, and a waker without a bit belongs to a caller that has not retried yet.

use super::interest::Interest;
use efio_sync::SpinLock;
use std::task::Waker;

/// The wakers of a file; two words while no task waits.
///
/// Nothing of a waker that may run foreign code happens under the lock.
#[derive(Default)]
pub struct Waiters {
    list: SpinLock<Option<Box<List>>>,
}

#[derive(Default)]
struct List {
    entries: Vec<Entry>,
}

struct Entry {
    /// A single bit.
    bit: Interest,
    waker: Waker,
}

impl Waiters {
    /// Adds `waker`, which waits for `bit`. Returns `false` if the list has it already.
    pub fn put(&self, bit: Interest, waker: &Waker) -> bool {
        if self.find(bit, waker) {
            return false;
        }
        let entry = Entry {
            bit,
            waker: waker.clone(),
        };
        let mut list = self.list.lock();
        list.get_or_insert_default().entries.push(entry);
        true
    }

    fn find(&self, bit: Interest, waker: &Waker) -> bool {
        let list = self.list.lock();
        let mut entries = list.iter().flat_map(|list| &list.entries);
        entries.any(|entry| entry.bit == bit && entry.waker.will_wake(waker))
    }

    /// Removes `waker` for these bits.
    pub fn remove(&self, waker: &Waker, bits: Interest) {
        let mut removed = Vec::new();
        self.extract(&mut removed, |entry| {
            bits.intersects(entry.bit) && entry.waker.will_wake(waker)
        });
    }

    /// Moves the wakers that wait for any of `bits` to `out`, for the caller to wake.
    pub fn take(&self, bits: Interest, out: &mut Vec<Waker>) {
        self.extract(out, |entry| bits.intersects(entry.bit));
    }

    fn extract(&self, out: &mut Vec<Waker>, wanted: impl Fn(&Entry) -> bool) {
        let mut guard = self.list.lock();
        let Some(list) = &mut *guard else { return };
        let mut at = 0;
        while at < list.entries.len() {
            if wanted(&list.entries[at]) {
                out.push(list.entries.swap_remove(at).waker);
            } else {
                at += 1;
            }
        }
        // A file that nobody waits for gets small again.
        let empty = guard.take_if(|list| list.entries.is_empty());
        drop((guard, empty));
    }

    /// Moves all wakers to `out`, and frees the list of a closed file.
    pub fn clear(&self, out: &mut Vec<Waker>) {
        let list = self.list.lock().take();
        out.extend(
            list.into_iter()
                .flat_map(|list| list.entries)
                .map(|entry| entry.waker),
        );
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
    fn each_waker_is_listed_once_per_bit() {
        let wakers: Vec<Waker> = (0..2).map(|_| waker()).collect();
        let waiters = Waiters::default();
        assert!(waiters.put(Interest::DATA, &wakers[0]));
        assert!(!waiters.put(Interest::DATA, &wakers[0].clone()));
        assert!(waiters.put(Interest::ROOM, &wakers[0]));
        assert!(waiters.put(Interest::DATA, &wakers[1]));
        let mut out = Vec::new();
        waiters.take(Interest::FLUSHED, &mut out);
        assert!(out.is_empty());
        waiters.take(Interest::DATA, &mut out);
        assert_eq!(out.len(), 2);
        waiters.remove(&wakers[1], Interest::ALL);
        waiters.clear(&mut out);
        assert_eq!(
            out.len(),
            3,
            "the one that waited for room was still listed"
        );
        assert!(waiters.put(Interest::DATA, &wakers[1]));
        waiters.remove(&wakers[1], Interest::ALL);
        waiters.clear(&mut out);
        assert_eq!(out.len(), 3);
    }

    /// The share of an idle file in 512 bytes.
    #[test]
    fn a_file_that_no_task_waits_for_pays_two_words() {
        assert!(size_of::<Waiters>() <= 16);
    }
}
