//! Operations without an atomic read-modify-write, because no other thread has the queue:
//! `&mut self`, drop and iteration by value.

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

impl_by_value!(MsQueue, FIRST = 32, with_first);
