//! Operations without an atomic read-modify-write, because no other thread has the queue:
//! `&mut self`, drop and iteration by value.

use core::fmt;
use core::iter::FusedIterator;

use efio_sync::shim::atomic::Ordering;

use super::MsQueue;
use super::arena::TAKEN;
use super::link::Link;
use crate::PushError;
use crate::access::Exclusive;
use crate::drop_rest::drop_rest;

impl<T, const FIRST: usize> MsQueue<T, FIRST> {
    /// [`push`](Self::push) without synchronization.
    ///
    /// # Errors
    ///
    /// As for `push`.
    pub fn push_mut(&mut self, value: T) -> Result<(), PushError<T>> {
        if self.is_closed() {
            return Err(PushError::Closed(value));
        }
        let Some(index) = self.prepare::<Exclusive>(&value) else {
            return Err(PushError::Full(value));
        };
        core::mem::forget(value);
        let (tail, end) = self.last();
        // SAFETY: a tail is a node in use.
        let next = unsafe { &self.arena.node(tail.index).next };
        next.store(end.then(index, 1).pack(), Ordering::Relaxed);
        self.tail
            .store(tail.then(index, 1).pack(), Ordering::Relaxed);
        Ok(())
    }

    /// [`pop`](Self::pop) without synchronization.
    pub fn pop_mut(&mut self) -> Option<T> {
        if !self.arena.is_started() {
            return None;
        }
        let (tail, _) = self.last();
        let head = Link::unpack(self.head.load(Ordering::Relaxed));
        if head.index == tail.index {
            return None;
        }
        // SAFETY: a head is a node in use. The value after it is won by us, because no other
        // thread has the queue. Of the two flags of the old dummy, TAKEN is in place (unless the
        // one to set it was forgotten, in which case the node is lost until the queue is dropped).
        unsafe {
            let dummy = self.arena.node(head.index);
            let first = Link::unpack(dummy.next.load(Ordering::Relaxed)).index;
            self.head
                .store(head.then(first, 1).pack(), Ordering::Relaxed);
            if dummy.state.load(Ordering::Relaxed) == TAKEN {
                self.arena.put::<Exclusive>(head.index);
            }
            let value = self.read(first);
            self.arena.node(first).state.store(TAKEN, Ordering::Relaxed);
            Some(value)
        }
    }
}

impl<T, const FIRST: usize> Drop for MsQueue<T, FIRST> {
    fn drop(&mut self) {
        drop_rest(&mut core::iter::from_fn(|| self.pop_mut()));
    }
}

/// The items of an [`MsQueue`], front to back, without synchronization.
pub struct IntoIter<T, const FIRST: usize = 32> {
    queue: MsQueue<T, FIRST>,
}

impl<T, const FIRST: usize> Iterator for IntoIter<T, FIRST> {
    type Item = T;

    #[inline]
    fn next(&mut self) -> Option<T> {
        self.queue.pop_mut()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.queue.len();
        (left, Some(left))
    }
}

impl<T, const FIRST: usize> ExactSizeIterator for IntoIter<T, FIRST> {}
impl<T, const FIRST: usize> FusedIterator for IntoIter<T, FIRST> {}

impl<T, const FIRST: usize> fmt::Debug for IntoIter<T, FIRST> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("IntoIter").field(&self.queue).finish()
    }
}

impl<T, const FIRST: usize> IntoIterator for MsQueue<T, FIRST> {
    type Item = T;
    type IntoIter = IntoIter<T, FIRST>;

    fn into_iter(self) -> IntoIter<T, FIRST> {
        IntoIter { queue: self }
    }
}

impl<T, const FIRST: usize> Extend<T> for MsQueue<T, FIRST> {
    /// # Panics
    ///
    /// If the queue is full or closed.
    fn extend<I: IntoIterator<Item = T>>(&mut self, items: I) {
        for item in items {
            if let Err(refused) = self.push_mut(item) {
                panic!("extend: {refused}");
            }
        }
    }
}

impl<T, const FIRST: usize> FromIterator<T> for MsQueue<T, FIRST> {
    /// Returns an unbounded queue.
    ///
    /// # Panics
    ///
    /// If no memory is available.
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        let mut queue = Self::with_first();
        queue.extend(items);
        queue
    }
}
