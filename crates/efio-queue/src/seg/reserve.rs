//! How positions of a [`SegQueue`] are claimed, for writing at its tail and for reading at its head, and
//! who provides the segment after the last.

use core::ptr::{self, NonNull};

use efio_sync::Backoff;
use efio_sync::shim::atomic::Ordering;

use super::run::Run;
use super::segment::{Segment, no_memory};
use super::{CLOSED, SegQueue};
use crate::PushError;
use crate::access::Access;

/// Positions that the caller claimed for writing, all in one segment.
pub(super) struct Reservation<'q, T, const SLOTS: usize> {
    pub segment: &'q Segment<T, SLOTS>,
    pub position: u64,
    pub offset: usize,
    pub count: usize,
    /// The claim includes the segment's last slot: this one was installed behind it, and the
    /// claimer is the provider of what comes after.
    pub installed: Option<&'q Segment<T, SLOTS>>,
}

impl<T, const SLOTS: usize> SegQueue<T, SLOTS> {
    /// Claims up to `want` positions for writing, all in one segment.
    #[inline(always)]
    pub(super) fn reserve<A: Access>(
        &self,
        want: usize,
    ) -> Result<Reservation<'_, T, SLOTS>, PushError<()>> {
        let backoff = Backoff::new();
        loop {
            // Acquire pairs with the Release half of the advance below: the segment that we load next is
            // then not older than the one for which this position was claimed.
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
                // `position` is old, or the one who claimed the last slot has not installed yet.
                backoff.snooze();
                continue;
            }
            let count = want.min(SLOTS - offset);
            let mut installed = None;
            if offset + count == SLOTS {
                installed = self.provided(segment)?;
                if installed.is_none() {
                    backoff.snooze();
                    continue;
                }
            }
            // SeqCst: see the check for an empty queue in `claim_written`.
            let behind = position + count as u64;
            if A::advance(&self.tail.position, position, behind, Ordering::SeqCst) {
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

    /// Claims for reading up to `want` neighbouring positions whose values are written.
    #[inline(always)]
    pub(super) fn reserve_written<A: Access>(&self, want: usize) -> Option<Run<'_, T, SLOTS>> {
        let backoff = Backoff::new();
        loop {
            // Acquire pairs with the Release of the advance below, as in `claim`.
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
                    let behind = position + count as u64;
                    if A::advance(&self.head.position, position, behind, Ordering::Release) {
                        let is_last = offset + count == SLOTS;
                        if is_last {
                            // There is one: it was provided before the last slot was claimed for
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
            // SeqCst pairs with that of `claim`: of two threads that push to one queue and then
            // find the other empty, one is told the truth, as it is if they agree on an order.
            if self.tail.position.load(Ordering::SeqCst) & !CLOSED == position {
                return None;
            }
            backoff.snooze();
        }
    }

    /// The segment after `segment`. `Ok(None)`: its provider is still at it.
    #[inline]
    fn provided(
        &self,
        segment: &Segment<T, SLOTS>,
    ) -> Result<Option<NonNull<Segment<T, SLOTS>>>, PushError<()>> {
        // Acquire pairs with the Release in `provide`: we see the provider's work, and may be the
        // next one to hold that role.
        let next = segment.next.load(Ordering::Acquire);
        if next == no_memory() {
            return self.provide_again(segment);
        }
        Ok(NonNull::new(next))
    }

    /// The allocator failed the provider before: one of those who come later takes its role.
    #[cold]
    fn provide_again(
        &self,
        segment: &Segment<T, SLOTS>,
    ) -> Result<Option<NonNull<Segment<T, SLOTS>>>, PushError<()>> {
        // Acquire pairs with the Release in `provide`, which handed the role on.
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
        // SAFETY: of those who saw the mark, we took it away. While `next` is null nobody passes
        // this segment, so it is the same one even if it was recycled since we looked.
        match unsafe { self.provide(segment) } {
            true => Ok(None),
            false => Err(PushError::Full(())),
        }
    }

    /// Puts a segment behind `segment`, ahead of the need.
    ///
    /// The role of the provider goes round: it belongs to the one who claimed the last slot of the
    /// segment before, and is handed to the next one by the store to `next`, because a last slot
    /// cannot be claimed before.
    ///
    /// # Safety
    ///
    /// The caller is the provider: it claimed the last slot before `segment`, or started the queue
    /// with it, or took the mark [`no_memory`] away from its `next`.
    pub(super) unsafe fn provide(&self, segment: &Segment<T, SLOTS>) -> bool {
        let seq = segment.seq.load(Ordering::Relaxed) + 1;
        // SAFETY: the caller is the provider.
        let next = unsafe { self.pool.acquire(seq) };
        let pointer = next.map_or_else(no_memory, NonNull::as_ptr);
        // Release pairs with the Acquire in `provided`.
        segment.next.store(pointer, Ordering::Release);
        next.is_some()
    }

    /// The first push brings the first segment.
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
            // SAFETY: we put in the first segment, which lives as long as the queue is shared.
            unsafe { self.provide(first.as_ref()) };
        } else {
            // SAFETY: nobody else saw it.
            unsafe { Segment::free(first) };
        }
        Ok(())
    }
}

/// The stretch of a position and its offset there.
#[inline(always)]
const fn locate<const SLOTS: usize>(position: u64) -> (u64, usize) {
    (position / SLOTS as u64, (position % SLOTS as u64) as usize)
}
