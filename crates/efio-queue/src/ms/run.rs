//! A run of nodes whose values were won by one pop, and [`Drain`], which goes from run to run.

use core::fmt;

use efio_sync::shim::atomic::Ordering;

use super::MsQueue;
use super::arena::TAKEN;
use super::link::Link;
use crate::access::Shared;
use crate::drop_rest::drop_rest;

/// How many items a drain reserves at once.
const DRAIN: usize = 128;

/// Items that only we own, in linked nodes. We also own all nodes but the last, which is the
/// queue's dummy.
pub(super) struct Run<'q, T, const FIRST: usize> {
    queue: &'q MsQueue<T, FIRST>,
    /// The node of the next item.
    index: u32,
    left: u32,
}

impl<'q, T, const FIRST: usize> Run<'q, T, FIRST> {
    /// The caller won `count` items, of which the first is in the node `first`.
    #[inline(always)]
    pub(super) fn new(queue: &'q MsQueue<T, FIRST>, first: u32, count: u32) -> Self {
        Self {
            queue,
            index: first,
            left: count,
        }
    }
}

impl<T, const FIRST: usize> Iterator for Run<'_, T, FIRST> {
    type Item = T;

    #[inline(always)]
    fn next(&mut self) -> Option<T> {
        if self.left == 0 {
            return None;
        }
        let (queue, index) = (self.queue, self.index);
        self.left -= 1;
        // SAFETY: won by us (see `new`), and not taken before: we move on. All but the last node
        // were passed by the head when we won, so they are ours to put back.
        unsafe {
            let value = queue.read(index);
            if self.left == 0 {
                queue.finish(index, TAKEN);
            } else {
                // Relaxed: the link was seen before the run was reserved.
                let next = &queue.arena.node(index).next;
                self.index = Link::unpack(next.load(Ordering::Relaxed)).index;
                queue.arena.put::<Shared>(index);
            }
            Some(value)
        }
    }

    #[inline(always)]
    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left as usize, Some(self.left as usize))
    }
}

impl<T, const FIRST: usize> ExactSizeIterator for Run<'_, T, FIRST> {}

impl<T, const FIRST: usize> Drop for Run<'_, T, FIRST> {
    #[inline(always)]
    fn drop(&mut self) {
        if self.left > 0 {
            drop_rest(self);
        }
    }
}

/// An iterator that takes items out of an [`MsQueue`], many at a time; see [`MsQueue::drain`]. Not
/// fused: after a `None` the queue may fill up again.
pub struct Drain<'q, T, const FIRST: usize = 32> {
    queue: &'q MsQueue<T, FIRST>,
    run: Option<Run<'q, T, FIRST>>,
}

impl<'q, T, const FIRST: usize> Drain<'q, T, FIRST> {
    pub(super) fn new(queue: &'q MsQueue<T, FIRST>) -> Self {
        Self { queue, run: None }
    }
}

impl<T, const FIRST: usize> Iterator for Drain<'_, T, FIRST> {
    type Item = T;

    #[inline]
    fn next(&mut self) -> Option<T> {
        if let Some(item) = self.run.as_mut().and_then(Iterator::next) {
            return Some(item);
        }
        self.run = self.queue.reserve(DRAIN);
        self.run.as_mut()?.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.run.as_ref().map_or(0, ExactSizeIterator::len), None)
    }
}

impl<T, const FIRST: usize> fmt::Debug for Drain<'_, T, FIRST> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Drain")
            .field("reserved", &self.size_hint().0)
            .field("queue", self.queue)
            .finish()
    }
}
