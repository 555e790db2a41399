//! The trait that both queues implement.

use alloc::vec::Vec;

use crate::{MsQueue, PushError, SegQueue};

/// The interface that [`SegQueue`] and [`MsQueue`] share, for code that takes either.
///
/// Each method is documented at the queues themselves, which have them as inherent methods too.
///
/// ```
/// use efio_queue::{MsQueue, Queue, SegQueue};
///
/// fn echo(queue: &impl Queue<u8>) -> Option<u8> {
///     queue.push(7).ok()?;
///     queue.pop()
/// }
/// assert_eq!(echo(&SegQueue::new()), Some(7));
/// assert_eq!(echo(&MsQueue::with_capacity(1)), Some(7));
/// ```
pub trait Queue<T> {
    /// Pushes `value` to the end, or returns it.
    ///
    /// # Errors
    ///
    /// When the queue is full or closed.
    fn push(&self, value: T) -> Result<(), PushError<T>>;
    /// Moves all of `items` to the end, in order.
    ///
    /// # Errors
    ///
    /// When the queue is full or closed; what was not pushed stays in `items`.
    fn push_batch(&self, items: &mut Vec<T>) -> Result<(), PushError<()>>;
    /// Takes the item at the front. `None`: empty.
    fn pop(&self) -> Option<T>;
    /// Moves up to `max` items from the front to the end of `out`. Returns how many.
    fn pop_batch(&self, out: &mut Vec<T>, max: usize) -> usize;
    /// Returns how many items there were at about this time.
    fn len(&self) -> usize;
    /// Returns whether there was no item at about this time.
    fn is_empty(&self) -> bool;
    /// Refuses every later push. Returns whether this call closed the queue.
    fn close(&self) -> bool;
    /// Returns whether the queue was closed.
    fn is_closed(&self) -> bool;
}

/// The methods of the trait, each of them the inherent one.
macro_rules! forward {
    () => {
        #[inline]
        fn push(&self, value: T) -> Result<(), PushError<T>> {
            self.push(value)
        }

        fn push_batch(&self, items: &mut Vec<T>) -> Result<(), PushError<()>> {
            self.push_batch(items)
        }

        #[inline]
        fn pop(&self) -> Option<T> {
            self.pop()
        }

        fn pop_batch(&self, out: &mut Vec<T>, max: usize) -> usize {
            self.pop_batch(out, max)
        }

        #[inline]
        fn len(&self) -> usize {
            self.len()
        }

        #[inline]
        fn is_empty(&self) -> bool {
            self.is_empty()
        }

        fn close(&self) -> bool {
            self.close()
        }

        #[inline]
        fn is_closed(&self) -> bool {
            self.is_closed()
        }
    };
}

impl<T, const SLOTS: usize> Queue<T> for SegQueue<T, SLOTS> {
    forward!();
}

impl<T, const FIRST: usize> Queue<T> for MsQueue<T, FIRST> {
    forward!();
}
