//! A queue with a level-triggered signal: the signal is up while items wait.
//!
//! ```text
//!  push: queue ── raised: false → true? ──► signal up
//!  next: queue empty? ── signal down ── raised: true → false ── look once more
//! ```
//!
//! The signal is an eventfd in an engine, so the flag in front of it spares a push the system call
//! while the signal is up anyway, and a look at an empty queue the one that takes it down.

use efio_queue::SegQueue;
use efio_sync::shim::atomic::{AtomicBool, Ordering};
use efio_sync::{Alarm, EventFd};

/// A signal that stays up until it is taken down.
pub trait Signal: Alarm {
    /// Takes it down.
    fn clear(&self);
}

impl Signal for EventFd {
    fn clear(&self) {
        EventFd::clear(self);
    }
}

/// Items for any number of takers, with a signal that somebody else can watch.
#[derive(Debug)]
pub struct SignalledQueue<T, S> {
    queue: SegQueue<T>,
    signal: S,
    /// Whether `signal` is up, or is about to be.
    raised: AtomicBool,
}

impl<T, S: Signal> SignalledQueue<T, S> {
    /// An empty queue with a signal that is down.
    pub fn new(signal: S) -> Self {
        Self {
            queue: SegQueue::new(),
            signal,
            raised: AtomicBool::new(false),
        }
    }

    /// What is up while items wait.
    pub fn signal(&self) -> &S {
        &self.signal
    }

    /// Adds an item.
    pub fn push(&self, item: T) {
        if self.queue.push(item).is_err() {
            unreachable!("the queue is never closed");
        }
        self.raise();
    }

    /// Takes the oldest item. Only a call that finds none takes the signal down.
    pub fn next(&self) -> Option<T> {
        if let Some(item) = self.queue.pop() {
            return Some(item);
        }
        // Relaxed: the swap below synchronises; this only spares an idle look the system call.
        if !self.raised.load(Ordering::Relaxed) {
            return None;
        }
        self.signal.clear();
        // AcqRel: with the swap in `raise`. A push that found the flag still set comes before
        // this, so its item is seen below; one that comes later raises the signal again.
        self.raised.swap(false, Ordering::AcqRel);
        let item = self.queue.pop()?;
        // Others may be waiting behind this one.
        self.raise();
        Some(item)
    }

    fn raise(&self) {
        // AcqRel: with the swap in `next`, see there.
        if !self.raised.swap(true, Ordering::AcqRel) {
            self.signal.wake();
        }
    }
}
