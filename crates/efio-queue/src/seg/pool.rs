//! Recycles consumed segments.
//!
//! ```text
//!   consumer of a last slot ─► retired ─(all values taken)─► free ─► spare ─► producer's next
//!                              any consumer                  any     only the allocator
//! ```
//!
//! `retired` and `free` are stacks on which one pushes, and from which one takes everything: with
//! no pop of a single element there is no ABA. `spare` needs no atomics, because at any time at
//! most one thread is the allocator (see `SegQueue::allocate_next`).

use core::ptr::{self, NonNull};

use efio_sync::shim::atomic::{AtomicPtr, Ordering};
use efio_sync::shim::cell::UnsafeCell;

use super::segment::Segment;

/// Segments between two uses; see the module.
pub(super) struct Pool<T, const SLOTS: usize> {
    /// All values reserved, some perhaps not taken yet.
    retired: Stack<T, SLOTS>,
    /// Segments without an owner.
    free: Stack<T, SLOTS>,
    /// Only the allocator's: a list through `link`.
    spare: UnsafeCell<*mut Segment<T, SLOTS>>,
}

impl<T, const SLOTS: usize> Pool<T, SLOTS> {
    efio_sync::const_unless_loom! {
        /// Empty.
        pub(super) const fn new() -> Self {
            Self { retired: Stack::new(), free: Stack::new(), spare: UnsafeCell::new(ptr::null_mut()) }
        }
    }

    /// Takes a segment whose values are all reserved. Recycles it and the other retired segments
    /// whose values are all taken. Never waits for a slow consumer.
    ///
    /// # Safety
    ///
    /// `segment` belongs to this queue and is retired once in its life.
    pub(super) unsafe fn retire(&self, segment: NonNull<Segment<T, SLOTS>>) {
        let mut waiting = self.retired.take_all();
        let mut next = Some(segment);
        while let Some(segment) = next {
            // SAFETY: ours: just retired by the caller, or taken off the stack by us alone.
            let stack = match unsafe { segment.as_ref() }.is_consumed() {
                true => &self.free,
                false => &self.retired,
            };
            // SAFETY: as above; the link of what we took is read before it is pushed elsewhere.
            unsafe {
                next = NonNull::new(waiting);
                if let Some(next) = next {
                    waiting = next.as_ref().link.load(Ordering::Relaxed);
                }
                stack.push(segment);
            }
        }
    }

    /// Returns a segment with the number `seq`, recycled or fresh. `None`: no memory.
    ///
    /// # Safety
    ///
    /// The caller is the allocator.
    pub(super) unsafe fn acquire(&self, seq: u64) -> Option<NonNull<Segment<T, SLOTS>>> {
        let recycled = self.spare.with_mut(|spare| {
            // SAFETY: only the allocator touches `spare`.
            let spare = unsafe { &mut *spare };
            if spare.is_null() {
                *spare = self.free.take_all();
            }
            let segment = NonNull::new(*spare)?;
            // SAFETY: segments live as long as the queue, and this one is the allocator's.
            *spare = unsafe { segment.as_ref() }.link.load(Ordering::Relaxed);
            Some(segment)
        });
        match recycled {
            Some(segment) => {
                // SAFETY: as above.
                unsafe { segment.as_ref() }.renew(seq);
                Some(segment)
            }
            None => Segment::allocate(seq),
        }
    }

    /// Frees every segment in the pool.
    pub(super) fn clear(&mut self) {
        let spare = self.spare.with_mut(|spare| {
            // SAFETY: `&mut self`.
            unsafe { ptr::replace(spare, ptr::null_mut()) }
        });
        for mut list in [self.retired.take_all(), self.free.take_all(), spare] {
            while let Some(segment) = NonNull::new(list) {
                // SAFETY: with `&mut self` no other thread reads a segment of the pool, and each is
                // in one list.
                unsafe {
                    list = segment.as_ref().link.load(Ordering::Relaxed);
                    Segment::free(segment);
                }
            }
        }
    }
}

/// A stack of segments: push one, take all.
struct Stack<T, const SLOTS: usize> {
    top: AtomicPtr<Segment<T, SLOTS>>,
}

impl<T, const SLOTS: usize> Stack<T, SLOTS> {
    efio_sync::const_unless_loom! {
        const fn new() -> Self {
            Self { top: AtomicPtr::new(ptr::null_mut()) }
        }
    }

    /// # Safety
    ///
    /// The caller owns `segment`, and gives it up.
    unsafe fn push(&self, segment: NonNull<Segment<T, SLOTS>>) {
        let mut top = self.top.load(Ordering::Relaxed);
        loop {
            // SAFETY: the caller owns it.
            unsafe { segment.as_ref() }
                .link
                .store(top, Ordering::Relaxed);
            // Release pairs with the Acquire in `take_all`: the link, and all that was done with
            // the segment, comes along.
            match self.top.compare_exchange_weak(
                top,
                segment.as_ptr(),
                Ordering::Release,
                Ordering::Relaxed,
            ) {
                Ok(_) => return,
                Err(now) => top = now,
            }
        }
    }

    /// The caller owns what it gets: a list through `link`.
    fn take_all(&self) -> *mut Segment<T, SLOTS> {
        if self.top.load(Ordering::Relaxed).is_null() {
            return ptr::null_mut();
        }
        // Acquire pairs with the Release in `push`. A push continues the release sequence of those
        // below it, so all of them are seen.
        self.top.swap(ptr::null_mut(), Ordering::Acquire)
    }
}
