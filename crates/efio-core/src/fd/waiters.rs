//! The tasks that wait for a file: their wakers, and what each waits for.
//!
//! ```text
//!  caller, with custody                       driver
//!  1 put the waker in the list                1 publish what became ready
//!  2 set the waiting bit                      2 take the waiting bits
//!  3 look once more, else Pending             3 a bit was set: take the wakers out, wake them
//! ```
//!
//! Steps 2 are read-modify-writes of one word. A driver that takes the bit before the caller sets
//! it has published before the caller looks once more; one that takes it later finds the waker in
//! the list. A waker leaves the list only to be woken, or by the hand that put it there. So a bit
//! without a waker is harmless, and a waker without a bit belongs to somebody who still looks.

use super::interest::Interest;
use efio_sync::SpinLock;
use std::task::Waker;

/// Wakers of a file; as good as nothing while no task waits.
///
/// Nothing of a waker that may run somebody else's code happens under the lock.
#[derive(Default)]
pub struct Waiters {
    list: SpinLock<Option<Box<List>>>,
}

#[derive(Default)]
struct List {
    entries: Vec<Entry>,
}

struct Entry {
    /// One thing to wait for.
    bit: Interest,
    waker: Waker,
}

impl Waiters {
    /// Adds `waker`, which waits for `bit`; `false` when it stands there already.
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

    /// Takes `waker` out again.
    pub fn remove(&self, waker: &Waker, bits: Interest) {
        let mut gone = Vec::new();
        self.extract(&mut gone, |entry| {
            bits.intersects(entry.bit) && entry.waker.will_wake(waker)
        });
    }

    /// Takes out those that wait for any of `bits`, for the caller to wake.
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
        // A file that nobody waits for is to be small again.
        let empty = guard.take_if(|list| list.entries.is_empty());
        drop((guard, empty));
    }

    /// Takes out all, and their memory: the file is closed.
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
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::task::Wake;

    struct Nobody;

    impl Wake for Nobody {
        fn wake(self: Arc<Self>) {}
    }

    #[test]
    fn each_waker_stands_once_per_thing_and_leaves_with_it() {
        let wakers: Vec<Waker> = (0..2).map(|_| Waker::from(Arc::new(Nobody))).collect();
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
        assert_eq!(out.len(), 3, "what waited for room was still there");
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
