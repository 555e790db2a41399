//! A run of adjacent slots reserved for reading, and [`Drain`], which goes from run to run.

use alloc::vec::Vec;
use core::fmt;
use core::ptr::NonNull;

use super::SegQueue;
use super::pool::Pool;
use super::segment::Segment;
use crate::access::Shared;
use crate::drop_rest::drop_rest;

/// Written slots of one segment that only we own. Each value is moved out when asked for;
/// the segment cannot be recycled before the last.
pub(super) struct Run<'q, T, const SLOTS: usize> {
    pool: &'q Pool<T, SLOTS>,
    /// Not a reference: the pool may free a segment through what it is given, and through a pointer
    /// that was made from a shared reference it must not.
    segment: NonNull<Segment<T, SLOTS>>,
    offset: usize,
    end: usize,
    /// The run ends with the segment: the segment is ours to retire.
    is_last: bool,
}

impl<'q, T, const SLOTS: usize> Run<'q, T, SLOTS> {
    /// The caller saw the slots written and reserved them; `is_last` says that they reach the end.
    #[inline(always)]
    pub(super) fn new(
        pool: &'q Pool<T, SLOTS>,
        segment: NonNull<Segment<T, SLOTS>>,
        offset: usize,
        count: usize,
        is_last: bool,
    ) -> Self {
        Self {
            pool,
            segment,
            offset,
            end: offset + count,
            is_last,
        }
    }

    #[inline(always)]
    fn segment(&self) -> &Segment<T, SLOTS> {
        // SAFETY: segments live as long as the queue is shared, and the run borrows its pool.
        unsafe { self.segment.as_ref() }
    }

    /// Moves all values to the end of `out`.
    #[inline(always)]
    pub(super) fn append_to(mut self, out: &mut Vec<T>) {
        let count = self.len();
        out.reserve(count);
        // SAFETY: room for `count` was reserved, and as many are written before the length says so.
        // The slots were seen written and reserved (see `new`), and are not taken again.
        unsafe {
            let target = out.as_mut_ptr().add(out.len());
            self.segment().take_batch(self.offset, target, count);
            out.set_len(out.len() + count);
        }
        self.offset = self.end;
        self.retire_if_done();
    }

    #[inline(always)]
    fn retire_if_done(&self) {
        if self.is_last && self.offset == self.end {
            // SAFETY: only the reservation that includes the last slot retires it, once: when it
            // reaches its end.
            unsafe { self.pool.retire(self.segment) };
        }
    }
}

impl<T, const SLOTS: usize> Iterator for Run<'_, T, SLOTS> {
    type Item = T;

    #[inline(always)]
    fn next(&mut self) -> Option<T> {
        if self.offset == self.end {
            return None;
        }
        // SAFETY: seen written and reserved (see `new`), and not taken before: `offset` moves on.
        let value = unsafe { self.segment().take(self.offset) };
        self.offset += 1;
        self.retire_if_done();
        Some(value)
    }

    #[inline(always)]
    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.end - self.offset;
        (left, Some(left))
    }
}

impl<T, const SLOTS: usize> ExactSizeIterator for Run<'_, T, SLOTS> {}

impl<T, const SLOTS: usize> Drop for Run<'_, T, SLOTS> {
    #[inline(always)]
    fn drop(&mut self) {
        if self.offset < self.end {
            drop_rest(self);
        }
    }
}

/// An iterator that takes items out of a [`SegQueue`], many slots at a time; see
/// [`SegQueue::drain`]. Not fused: after a `None` the queue may fill up again.
pub struct Drain<'q, T, const SLOTS: usize = 128> {
    queue: &'q SegQueue<T, SLOTS>,
    run: Option<Run<'q, T, SLOTS>>,
}

impl<'q, T, const SLOTS: usize> Drain<'q, T, SLOTS> {
    pub(super) fn new(queue: &'q SegQueue<T, SLOTS>) -> Self {
        Self { queue, run: None }
    }
}

// SAFETY: owns values of `T` and hands them out; the queue behind it is `Sync` for `T: Send`.
unsafe impl<T: Send, const SLOTS: usize> Send for Drain<'_, T, SLOTS> {}
// SAFETY: `&Drain` gives no access to a value.
unsafe impl<T: Send, const SLOTS: usize> Sync for Drain<'_, T, SLOTS> {}

impl<T, const SLOTS: usize> Iterator for Drain<'_, T, SLOTS> {
    type Item = T;

    #[inline]
    fn next(&mut self) -> Option<T> {
        if let Some(item) = self.run.as_mut().and_then(Iterator::next) {
            return Some(item);
        }
        self.run = self.queue.reserve_written::<Shared>(SLOTS);
        self.run.as_mut()?.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.run.as_ref().map_or(0, ExactSizeIterator::len), None)
    }
}

impl<T, const SLOTS: usize> fmt::Debug for Drain<'_, T, SLOTS> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Drain")
            .field("reserved", &self.size_hint().0)
            .field("queue", self.queue)
            .finish()
    }
}
