//! How one end notifies the other that it can go on.
//!
//! The stream notifies on edges only: an end that found nothing to do *arms*
//! ([`ChunkReader::arm`](crate::ChunkReader::arm), [`ChunkWriter::arm`](crate::ChunkWriter::arm)),
//! and the next change calls the other end's hook once. Until then
//! notifications cost one read-modify-write per publication instead of a store, only with a hook.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use efio_sync::{Alarm, Doorbell};

/// Called when the other end of a stream can go on.
///
/// Implemented for closures, for [`TaskWaker`] and for [`Doorbell`], on which a thread can sleep.
///
/// `notify` runs on the thread that made the change, inside `append`, `push`, `consume`, `close`
/// and the like: keep it short, do not block and do not panic. A notification must not be lost when
/// it comes before the wait: a hook is a flag, a semaphore, a doorbell or a queue entry, not a bare
/// condition variable.
pub trait Notify: Send + Sync {
    /// Wakes the end that armed.
    fn notify(&self);
}

impl<F: Fn() + Send + Sync> Notify for F {
    fn notify(&self) {
        self();
    }
}

/// A hook for a task: holds the [`Waker`] of the last poll.
///
/// Register first, then arm; when `arm` says that there is something to do, poll again.
#[derive(Debug, Default)]
pub struct TaskWaker(Mutex<Option<Waker>>);

impl TaskWaker {
    /// Returns a hook without a waker.
    pub const fn new() -> Self {
        Self(Mutex::new(None))
    }

    /// Sets the waker for the next notification, in place of the one before.
    pub fn register(&self, waker: &Waker) {
        if self
            .lock()
            .as_ref()
            .is_some_and(|held| held.will_wake(waker))
        {
            return;
        }
        // Cloning and dropping a waker runs foreign code, so not under the lock: the last one of a
        // task may drop the task, and with it the other end of the stream, which notifies us.
        let new = waker.clone();
        let old = self.lock().replace(new);
        drop(old);
    }

    fn lock(&self) -> MutexGuard<'_, Option<Waker>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Notify for TaskWaker {
    fn notify(&self) {
        let waker = self.lock().take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl<A: Alarm + Send + Sync> Notify for Doorbell<A> {
    fn notify(&self) {
        Self::notify(self);
    }
}
