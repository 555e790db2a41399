//! Reserves positions of a [`SegQueue`], for writing at its tail and for reading at its head, and
//! allocates the segment after the last.

use core::ptr::{self, NonNull};

use efio_sync::Backoff;
use efio_sync::shim::atomic::Ordering;

use super::run::Run;
use super::segment::{Segment, no_memory};
use super::{CLOSED, SegQueue};
use crate::PushError;
use crate::access::Access;

/// Positions that the caller reserved for writing, all in one segment.
pub(super) struct Reservation<'q, T, const SLOTS: usize> {
    pub segment: &'q Segment<T, SLOTS>,
    pub position: u64,
    pub offset: usize,
    pub count: usize,
    /// The segment that was installed after this one, if the reservation includes the last slot:
    /// its owner is then the allocator of the segment after that.
    pub installed: Option<&'q Segment<T, SLOTS>>,
}

impl<T, const SLOTS: usize> SegQueue<T, SLOTS> {
    /// Reserves up to `want` positions for writing, all in one segment.
    #[inline(always)]
    pub(super) fn reserve<A: Access>(
        &self,
        want: usize,
    ) -> Result<Reservation<'_, T, SLOTS>, PushError<()>> {
        let backoff = Backoff::new();
        loop {
            // Acquire pairs with the Release half of the advance below: the segment that we load
            // next is then not older than the one for which this position was reserved.
            let position = self.tail.position.load(Ordering::Acquire);
            if position & CLOSED != 0 {
                return Err(PushError::Closed(()));
            }
            let (seq, offset) = locate::<SLOTS>(position);
            // Acquire pairs with the Release in `install` and `start`.
            let segment = self.tail.segment.load(Ordering::Acquire);
            // SAFETY: segments live as long as the queue is shared.
            let Some(segment) = (unsafe { segment.as_ref() }) else {
                self.start()?;
                continue;
            };
            // Acquire pairs with the Release in `Segment::renew`.
            if segment.seq.load(Ordering::Acquire) != seq {
                // `position` is old, or the thread that reserved the last slot has not installed
                // yet.
                backoff.snooze();
                continue;
            }
            let count = want.min(SLOTS - offset);
            let mut installed = None;
            if offset + count == SLOTS {
                installed = self.next_segment(segment)?;
                if installed.is_none() {
                    backoff.snooze();
                    continue;
                }
            }
            // SeqCst: see the check for an empty queue in `reserve_written`.
            let end = position + count as u64;
            if A::advance(&self.tail.position, position, end, Ordering::SeqCst) {
                if let Some(next) = installed {
                    // Release: the segment's fields are seen by whoever loads the pointer.
                    self.tail.segment.store(next.as_ptr(), Ordering::Release);
                }
                return Ok(Reservation {
                    segment,
                    position,
                    offset,
                    count,
                    // SAFETY: segments live as long as the queue is shared.
                    installed: installed.map(|next| unsafe { next.as_ref() }),
                });
            }
            backoff.spin();
        }
    }

    /// Reserves for reading up to `want` adjacent positions whose values are written.
    #[inline(always)]
    pub(super) fn reserve_written<A: Access>(&self, want: usize) -> Option<Run<'_, T, SLOTS>> {
        let backoff = Backoff::new();
        loop {
            // Acquire pairs with the Release of the advance below, as in `reserve`.
            let position = self.head.position.load(Ordering::Acquire);
            let (_, offset) = locate::<SLOTS>(position);
            // Acquire pairs with the Release below and in `start`.
            let segment = self.head.segment.load(Ordering::Acquire);
            if let Some(pointer) = NonNull::new(segment) {
                // SAFETY: segments live as long as the queue is shared.
                let segment = unsafe { pointer.as_ref() };
                let limit = want.min(SLOTS - offset);
                let count = segment.written(offset, position, limit);
                if count > 0 {
                    // Release pairs with the Acquire above, in the next one's pop.
                    let end = position + count as u64;
                    if A::advance(&self.head.position, position, end, Ordering::Release) {
                        let is_last = offset + count == SLOTS;
                        if is_last {
                            // There is one: it was allocated before the last slot was reserved for
                            // writing, and the stamp of that slot carries it to us.
                            let next = segment.next.load(Ordering::Relaxed);
                            // Release: the segment's fields are seen by whoever loads the pointer.
                            self.head.segment.store(next, Ordering::Release);
                        }
                        return Some(Run::new(&self.pool, pointer, offset, count, is_last));
                    }
                    backoff.spin();
                    continue;
                }
            }
            // SeqCst pairs with that of `reserve`: of two threads that push to one queue and then
            // find the other empty, at least one is right, since both see the same order.
            if self.tail.position.load(Ordering::SeqCst) & !CLOSED == position {
                return None;
            }
            backoff.snooze();
        }
    }

    /// Returns the segment after `segment`. `Ok(None)`: its allocator is not done yet.
    #[inline]
    fn next_segment(
        &self,
        segment: &Segment<T, SLOTS>,
    ) -> Result<Option<NonNull<Segment<T, SLOTS>>>, PushError<()>> {
        // Acquire pairs with the Release in `allocate_next`: we see the allocator's work, and
        // may have that role next.
        let next = segment.next.load(Ordering::Acquire);
        if next == no_memory() {
            return self.retry_allocate_next(segment);
        }
        Ok(NonNull::new(next))
    }

    /// Takes the role of the allocator, for which there was no memory, and tries again.
    #[cold]
    fn retry_allocate_next(
        &self,
        segment: &Segment<T, SLOTS>,
    ) -> Result<Option<NonNull<Segment<T, SLOTS>>>, PushError<()>> {
        // Acquire pairs with the Release in `allocate_next`, which passed the role on.
        if segment
            .next
            .compare_exchange(
                no_memory(),
                ptr::null_mut(),
                Ordering::Acquire,
                Ordering::Relaxed,
            )
            .is_err()
        {
            return Ok(None);
        }
        // SAFETY: of the threads that saw the mark, we removed it. While `next` is null no thread
        // passes this segment, so it is the same one even if it was recycled since we looked.
        match unsafe { self.allocate_next(segment) } {
            true => Ok(None),
            false => Err(PushError::Full(())),
        }
    }

    /// Allocates the segment after `segment`, before it is needed. `false`: no memory.
    ///
    /// The *allocator* is the thread that reserved the last slot of the segment before. The store
    /// to `next` passes the role on, because no thread can reserve the last slot of `segment`
    /// before it.
    ///
    /// # Safety
    ///
    /// The caller is the allocator: it reserved the last slot before `segment`, or started the
    /// queue with it, or took the mark [`no_memory`] away from its `next`.
    pub(super) unsafe fn allocate_next(&self, segment: &Segment<T, SLOTS>) -> bool {
        let seq = segment.seq.load(Ordering::Relaxed) + 1;
        // SAFETY: the caller is the allocator.
        let next = unsafe { self.pool.acquire(seq) };
        let pointer = next.map_or_else(no_memory, NonNull::as_ptr);
        // Release pairs with the Acquire in `next_segment`.
        segment.next.store(pointer, Ordering::Release);
        next.is_some()
    }

    /// Allocates the first segment, at the first push.
    #[cold]
    fn start(&self) -> Result<(), PushError<()>> {
        let first = Segment::allocate(0).ok_or(PushError::Full(()))?;
        // Release: the segment's fields are seen by whoever loads the pointer.
        let won = self
            .tail
            .segment
            .compare_exchange(
                ptr::null_mut(),
                first.as_ptr(),
                Ordering::Release,
                Ordering::Relaxed,
            )
            .is_ok();
        if won {
            self.head.segment.store(first.as_ptr(), Ordering::Release);
            // SAFETY: we installed the first segment, which lives as long as the queue is shared.
            unsafe { self.allocate_next(first.as_ref()) };
        } else {
            // SAFETY: no other thread saw it.
            unsafe { Segment::free(first) };
        }
        Ok(())
    }
}

/// Returns the number of a position's segment, and its offset there.
#[inline(always)]
const fn locate<const SLOTS: usize>(position: u64) -> (u64, usize) {
    (position / SLOTS as u64, (position % SLOTS as u64) as usize)
}
