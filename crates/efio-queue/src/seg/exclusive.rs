//! Operations without an atomic read-modify-write, because no other thread has the queue:
//! `&mut self`, drop and iteration by value.

use core::ptr::{self, NonNull};

use efio_sync::shim::atomic::Ordering;

use super::segment::{Segment, no_memory};
use super::{CLOSED, SegQueue};
use crate::PushError;
use crate::access::Exclusive;
use crate::drop_rest::drop_rest;

impl<T, const SLOTS: usize> SegQueue<T, SLOTS> {
    /// [`push`](Self::push) without synchronization.
    ///
    /// # Errors
    ///
    /// As for `push`.
    #[inline]
    pub fn push_mut(&mut self, value: T) -> Result<(), PushError<T>> {
        self.push_as::<Exclusive>(value)
    }

    /// [`pop`](Self::pop) without synchronization.
    #[inline]
    pub fn pop_mut(&mut self) -> Option<T> {
        self.reserve_written::<Exclusive>(1)?.next()
    }

    /// Gives all recycled segments back to the allocator, and those that hold no item.
    pub fn shrink_to_fit(&mut self) {
        self.pool.clear();
        if self.is_empty() {
            self.free_list();
            // A fresh start with fresh segments: no old stamp is left.
            let closed = self.tail.position.load(Ordering::Relaxed) & CLOSED;
            self.head.position.store(0, Ordering::Relaxed);
            self.tail.position.store(closed, Ordering::Relaxed);
        }
    }

    /// Frees the segments of the list. Values in them are not dropped.
    fn free_list(&mut self) {
        let mut list = self.head.segment.load(Ordering::Relaxed);
        self.head.segment.store(ptr::null_mut(), Ordering::Relaxed);
        self.tail.segment.store(ptr::null_mut(), Ordering::Relaxed);
        while list != no_memory() {
            let Some(segment) = NonNull::new(list) else {
                break;
            };
            // SAFETY: with `&mut self` no other thread reads a segment of the list, and none of the
            // list is in the pool.
            unsafe {
                list = segment.as_ref().next.load(Ordering::Relaxed);
                Segment::free(segment);
            }
        }
    }
}

impl<T, const SLOTS: usize> Drop for SegQueue<T, SLOTS> {
    fn drop(&mut self) {
        /// Frees the memory also when the drop of an item panics.
        struct Memory<'q, T, const SLOTS: usize>(&'q mut SegQueue<T, SLOTS>);

        impl<T, const SLOTS: usize> Drop for Memory<'_, T, SLOTS> {
            fn drop(&mut self) {
                self.0.free_list();
                self.0.pool.clear();
            }
        }

        let memory = Memory(self);
        drop_rest(&mut core::iter::from_fn(|| memory.0.pop_mut()));
    }
}

impl_by_value!(SegQueue, SLOTS = 128, with_slots);
