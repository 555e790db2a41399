//! Operations without an atomic read-modify-write, because no other thread has the queue:
//! `&mut self`, drop and iteration by value.

use core::fmt;
use core::iter::FusedIterator;
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
        match self.reserve::<Exclusive>(1) {
            Ok(reserved) => {
                // SAFETY: reserved by us for writing just now.
                unsafe {
                    reserved
                        .segment
                        .write(reserved.offset, reserved.position, value)
                };
                if let Some(installed) = reserved.installed {
                    // SAFETY: the reservation makes us the allocator.
                    unsafe { self.allocate_next(installed) };
                }
                Ok(())
            }
            Err(refused) => Err(refused.with(value)),
        }
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

/// The items of a [`SegQueue`], front to back, without synchronization.
pub struct IntoIter<T, const SLOTS: usize = 128> {
    queue: SegQueue<T, SLOTS>,
}

impl<T, const SLOTS: usize> Iterator for IntoIter<T, SLOTS> {
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

impl<T, const SLOTS: usize> ExactSizeIterator for IntoIter<T, SLOTS> {}
impl<T, const SLOTS: usize> FusedIterator for IntoIter<T, SLOTS> {}

impl<T, const SLOTS: usize> fmt::Debug for IntoIter<T, SLOTS> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("IntoIter").field(&self.queue).finish()
    }
}

impl<T, const SLOTS: usize> IntoIterator for SegQueue<T, SLOTS> {
    type Item = T;
    type IntoIter = IntoIter<T, SLOTS>;

    fn into_iter(self) -> IntoIter<T, SLOTS> {
        IntoIter { queue: self }
    }
}

impl<T, const SLOTS: usize> Extend<T> for SegQueue<T, SLOTS> {
    /// # Panics
    ///
    /// If the queue is closed, or no memory is available.
    fn extend<I: IntoIterator<Item = T>>(&mut self, items: I) {
        for item in items {
            if let Err(refused) = self.push_mut(item) {
                panic!("extend: {refused}");
            }
        }
    }
}

impl<T, const SLOTS: usize> FromIterator<T> for SegQueue<T, SLOTS> {
    /// # Panics
    ///
    /// If no memory is available.
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        let mut queue = Self::with_slots();
        queue.extend(items);
        queue
    }
}
