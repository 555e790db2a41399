//! A queue with a doorbell: many senders, and one receiver that can wait.
//!
//! ```text
//!   Sender ─push─► queue ─pop─► Receiver
//!      └──ring──► doorbell ─────────┘ a thread that sleeps (Parker, EventFd), or a task (WakerSlot)
//! ```
//!
//! A ring costs one atomic swap, and a system call or a wake-up only when the receiver sleeps.
//! Plain queues pay nothing for it.
//!
//! ```
//! use efio_queue::{SegQueue, inbox};
//! use efio_sync::Parker;
//!
//! let (sender, mut receiver) = inbox::new(SegQueue::new(), Parker::new());
//! std::thread::spawn(move || {
//!     sender.send("hello").unwrap();
//!     // The last sender is dropped here, which closes the inbox.
//! });
//! assert_eq!(receiver.recv(), Some("hello"));
//! assert_eq!(receiver.recv(), None);
//! ```

#[cfg(feature = "std")]
mod sleep;
mod waker;

use alloc::vec::Vec;
use core::fmt;
use core::marker::PhantomData;

use efio_sync::shim::Arc;
use efio_sync::shim::atomic::{AtomicUsize, Ordering};
use efio_sync::{Alarm, Doorbell};

use crate::drop_rest::drop_rest;
use crate::{PushError, Queue};
#[cfg(feature = "std")]
pub use sleep::RecvTimeoutError;
pub use waker::{Recv, WakerSlot};

/// Returns the two ends of an inbox on `queue`, whose receiver is woken by `alarm`.
///
/// `alarm` is a `Parker` of efio-sync for a receiver that is a thread of its own, an `EventFd` for
/// one that waits in an event loop, or a [`WakerSlot`] for one that is a task.
pub fn new<T, Q: Queue<T>, A: Alarm>(queue: Q, alarm: A) -> (Sender<T, Q, A>, Receiver<T, Q, A>) {
    let shared = Arc::new(Shared {
        queue,
        bell: Doorbell::new(alarm),
        senders: AtomicUsize::new(1),
    });
    let sender = Sender {
        shared: shared.clone(),
        items: PhantomData,
    };
    (
        sender,
        Receiver {
            shared,
            items: PhantomData,
        },
    )
}

struct Shared<Q, A> {
    queue: Q,
    bell: Doorbell<A>,
    senders: AtomicUsize,
}

/// The sending end. The last one to be dropped closes the inbox.
pub struct Sender<T, Q: Queue<T>, A: Alarm> {
    shared: Arc<Shared<Q, A>>,
    items: PhantomData<fn(T)>,
}

impl<T, Q: Queue<T>, A: Alarm> Sender<T, Q, A> {
    /// Pushes `value` and wakes the receiver if it sleeps.
    ///
    /// # Errors
    ///
    /// As the queue's `push`; closed also when the receiver was dropped.
    pub fn send(&self, value: T) -> Result<(), PushError<T>> {
        self.shared.queue.push(value)?;
        self.shared.bell.notify();
        Ok(())
    }

    /// Pushes all of `items` and rings once.
    ///
    /// # Errors
    ///
    /// As the queue's `push_batch`: what was not pushed stays in `items`.
    pub fn send_batch(&self, items: &mut Vec<T>) -> Result<(), PushError<()>> {
        let before = items.len();
        let outcome = self.shared.queue.push_batch(items);
        if items.len() < before {
            self.shared.bell.notify();
        }
        outcome
    }

    /// Refuses every later send. Returns whether this call closed the inbox. The
    /// receiver still gets what was sent before.
    pub fn close(&self) -> bool {
        let closed = self.shared.queue.close();
        self.shared.bell.notify();
        closed
    }

    /// Returns the queue itself. A push to it does not wake the receiver.
    pub fn queue(&self) -> &Q {
        &self.shared.queue
    }
}

impl<T, Q: Queue<T>, A: Alarm> Clone for Sender<T, Q, A> {
    fn clone(&self) -> Self {
        // Relaxed: the count cannot reach zero while this sender lives. Nor does it wrap, however
        // many are leaked: the `Arc` counts them too, and ends the process long before.
        self.shared.senders.fetch_add(1, Ordering::Relaxed);
        Self {
            shared: self.shared.clone(),
            items: PhantomData,
        }
    }
}

impl<T, Q: Queue<T>, A: Alarm> Drop for Sender<T, Q, A> {
    fn drop(&mut self) {
        // AcqRel pairs with itself: the sends of all senders come before the close, so that none of
        // them is refused by it.
        if self.shared.senders.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.close();
        }
    }
}

/// The receiving end. Dropping it closes the inbox and drops the messages in it: a message may own
/// something that another thread waits for, such as the sender of a reply.
///
/// There is one: it is not `Clone`, and receiving takes `&mut self`.
pub struct Receiver<T, Q: Queue<T>, A: Alarm> {
    shared: Arc<Shared<Q, A>>,
    items: PhantomData<fn() -> T>,
}

impl<T, Q: Queue<T>, A: Alarm> Receiver<T, Q, A> {
    /// Takes the item at the front, if there is one. Never waits for a send.
    pub fn try_recv(&mut self) -> Option<T> {
        self.shared.queue.pop()
    }

    /// Moves up to `max` items to the end of `out`. Returns how many. Never waits for a send.
    pub fn try_recv_batch(&mut self, out: &mut Vec<T>, max: usize) -> usize {
        self.shared.queue.pop_batch(out, max)
    }

    /// Returns the doorbell, for a receiver that sleeps by itself: [arm](Doorbell::arm) it, check
    /// the inbox again, sleep until the alarm wakes it, [disarm](Doorbell::disarm) it.
    pub fn bell(&self) -> &Doorbell<A> {
        &self.shared.bell
    }

    /// Returns the queue itself. A push to it does not wake this receiver.
    pub fn queue(&self) -> &Q {
        &self.shared.queue
    }

    /// Takes an item, or returns the reason why there is none.
    fn try_next(&mut self) -> Next<T> {
        // Checked before the pop: an empty queue that was closed stays empty.
        let closed = self.shared.queue.is_closed();
        match self.shared.queue.pop() {
            Some(item) => Next::Item(item),
            None if closed => Next::Closed,
            None => Next::Empty,
        }
    }
}

/// What the receiver found.
enum Next<T> {
    Item(T),
    Empty,
    Closed,
}

impl<T, Q: Queue<T>, A: Alarm> Drop for Receiver<T, Q, A> {
    fn drop(&mut self) {
        self.shared.queue.close();
        // No push succeeds any more, and `pop` waits for one that has begun.
        drop_rest(&mut core::iter::from_fn(|| self.shared.queue.pop()));
    }
}

impl<T, Q: Queue<T> + fmt::Debug, A: Alarm + fmt::Debug> fmt::Debug for Sender<T, Q, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Sender").field(&self.shared.queue).finish()
    }
}

impl<T, Q: Queue<T> + fmt::Debug, A: Alarm + fmt::Debug> fmt::Debug for Receiver<T, Q, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Receiver")
            .field(&self.shared.queue)
            .field(&self.shared.bell)
            .finish()
    }
}
