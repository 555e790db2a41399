//! A receiver that is a task.

use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};

use efio_sync::{Alarm, SpinLock};

use super::{Next, Receiver};
use crate::Queue;

/// The [`Alarm`] of a task: holds the waker of the task that waits.
///
/// A spin lock guards the waker. It is held while the waker is moved in or out, and only when the
/// receiver waits or is woken. No foreign code (a waker's clone or drop) runs under it.
#[derive(Default)]
pub struct WakerSlot {
    waker: SpinLock<Option<Waker>>,
}

impl WakerSlot {
    /// Returns a slot without a waker.
    pub fn new() -> Self {
        Self {
            waker: SpinLock::new(None),
        }
    }

    fn set(&self, waker: &Waker) {
        let is_set =
            |slot: &mut Option<Waker>| slot.as_ref().is_some_and(|old| old.will_wake(waker));
        if self.waker.with(is_set) {
            return;
        }
        // Foreign code runs before and after the lock, not under it.
        let new = waker.clone();
        drop(self.waker.with(|slot| slot.replace(new)));
    }
}

impl Alarm for WakerSlot {
    fn wake(&self) {
        let waker = self.waker.with(Option::take);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl fmt::Debug for WakerSlot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WakerSlot").finish_non_exhaustive()
    }
}

impl<T, Q: Queue<T>> Receiver<T, Q, WakerSlot> {
    /// Takes the item at the front, or registers the task to be woken when there is one.
    /// `Ready(None)`: closed and empty. Has the signature of a stream's `poll_next`.
    pub fn poll_recv(&mut self, context: &mut Context<'_>) -> Poll<Option<T>> {
        // Awake, woken or not: from here on a ring counts.
        self.shared.bell.disarm();
        loop {
            match self.try_next() {
                Next::Item(item) => return Poll::Ready(Some(item)),
                Next::Closed => return Poll::Ready(None),
                Next::Empty => {}
            }
            // The waker before the doorbell: a sender that finds us asleep finds the waker.
            self.shared.bell.alarm().set(context.waker());
            if self.shared.bell.arm() {
                return Poll::Pending;
            }
        }
    }

    /// Takes the item at the front; waits until there is one. Resolves to `None` when the inbox is
    /// closed and empty. Cancel safe: dropping the future loses no item.
    pub fn recv_async(&mut self) -> Recv<'_, T, Q> {
        Recv { receiver: self }
    }
}

/// The future of [`Receiver::recv_async`].
#[must_use = "a future does nothing unless it is polled"]
pub struct Recv<'r, T, Q: Queue<T>> {
    receiver: &'r mut Receiver<T, Q, WakerSlot>,
}

impl<T, Q: Queue<T>> Future for Recv<'_, T, Q> {
    type Output = Option<T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        self.receiver.poll_recv(context)
    }
}

impl<T, Q: Queue<T>> fmt::Debug for Recv<'_, T, Q> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recv").finish_non_exhaustive()
    }
}
