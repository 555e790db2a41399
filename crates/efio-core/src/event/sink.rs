//! What the driver delivers when a turn is over: events for a callback, and wake-ups of tasks.
//!
//! During a turn the driver has borrowed a file, and has changed only some of its plans. After the
//! turn nothing is borrowed and no lock is held. So the callback may call anything of efio (F46),
//! and so may the code of a waker. The driver gets their requests through its inbox, as those of
//! any thread, and checks the inbox again before it sleeps.

use super::{Event, EventQueue};
use crate::catch_panic::catch_panic;
use crate::sys::signals::Mask;
use std::sync::Arc;
use std::task::Waker;

/// What [`Builder::on_event`](crate::Builder::on_event) takes.
pub type Callback = Arc<dyn Fn(Event) + Send + Sync>;

/// The events and wake-ups of a turn. The driver owns it: a callback that owns files is dropped
/// with the driver, and with these files the last references to the engine's memory.
#[derive(Default)]
pub struct Outbox {
    callback: Option<Callback>,
    /// Events of this turn for the callback, oldest first.
    events: Vec<Event>,
    /// The signal mask of the callback, if it has one of its own.
    pub mask: Option<Mask>,
    /// How many events went to the queue.
    pushed: u64,
    /// The tasks to wake at the end of this turn.
    pub wakers: Vec<Waker>,
}

impl Outbox {
    /// Creates an outbox whose events go to `callback`.
    pub fn for_callback(callback: Callback) -> Self {
        Self {
            callback: Some(callback),
            ..Self::default()
        }
    }

    /// Pushes an event into `queue`, or keeps it for the callback if there is one.
    pub fn put(&mut self, event: Event, queue: &EventQueue) {
        if self.callback.is_some() {
            self.events.push(event);
        } else {
            self.pushed += 1;
            queue.put(event);
        }
    }

    /// Returns how many events went to the queue, if there is no callback.
    pub fn queued(&self) -> Option<u64> {
        self.callback.is_none().then_some(self.pushed)
    }

    /// Whether there is nothing to deliver.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty() && self.wakers.is_empty()
    }

    /// Runs the callback for the events of this turn, in order, and wakes the tasks. Returns how
    /// many of these calls panicked. `after` is called after each.
    pub fn flush(&mut self, after: impl Fn()) -> u64 {
        let mut panics = match self.mask {
            Some(mask) if !self.events.is_empty() => mask.run(|| self.run_callback(&after)),
            _ => self.run_callback(&after),
        };
        for waker in self.wakers.drain(..) {
            panics += u64::from(catch_panic(|| waker.wake()).is_err());
            after();
        }
        panics
    }

    fn run_callback(&mut self, after: impl Fn()) -> u64 {
        let mut panics = 0;
        if let Some(callback) = &self.callback {
            for event in self.events.drain(..) {
                panics += u64::from(catch_panic(|| callback(event)).is_err());
                after();
            }
        }
        panics
    }
}
