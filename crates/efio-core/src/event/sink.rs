//! What the driver hands out when a turn is over: events for a callback, and wake-ups of tasks.
//!
//! In the middle of a turn a file is taken out of the driver's table and its plans are half way
//! through something. After it nothing is borrowed and no lock is held, so the callback may call
//! anything of efio (F46), and so may the code behind a waker: their calls leave their wishes at
//! the driver's door like those of any thread, and the driver looks there again before it sleeps.

use super::{Event, EventQueue};
use crate::sys::signals::Mask;
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::Waker;

/// What [`Builder::on_event`](crate::Builder::on_event) takes.
pub type Callback = Arc<dyn Fn(Event) + Send + Sync>;

/// Where the driver leaves its events. It belongs to the driver, so that a callback which owns
/// files goes when the driver does, and with it the last that keeps the engine's memory.
#[derive(Default)]
pub struct Outbox {
    callback: Option<Callback>,
    /// Events of this turn for the callback, oldest first.
    events: Vec<Event>,
    /// The signal mask of the callback, if it has one of its own.
    pub mask: Option<Mask>,
    /// How many events went to the queue.
    pushed: u64,
    /// Tasks that waited for what this turn brought.
    pub wakers: Vec<Waker>,
}

impl Outbox {
    /// An outbox whose events go to `callback`.
    pub fn for_callback(callback: Callback) -> Self {
        Self {
            callback: Some(callback),
            ..Self::default()
        }
    }

    /// Takes an event: into `queue` at once, unless there is a callback.
    pub fn put(&mut self, event: Event, queue: &EventQueue) {
        if self.callback.is_some() {
            self.events.push(event);
        } else {
            self.pushed += 1;
            queue.put(event);
        }
    }

    /// How many events went to the queue, if there is no callback.
    pub fn queued(&self) -> Option<u64> {
        self.callback.is_none().then_some(self.pushed)
    }

    /// Whether there is nothing to hand out.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty() && self.wakers.is_empty()
    }

    /// Runs the callback for the events that were collected, in order, and wakes the tasks; how
    /// often something panicked there. `after` is called after each.
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
}

impl Outbox {
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

/// Runs code of somebody else; its panic stays here (F53).
pub fn catch_panic(code: impl FnOnce()) -> Result<(), CaughtPanic> {
    // What the code left half done is its own: nothing of ours is borrowed.
    catch_unwind(AssertUnwindSafe(code)).map_err(CaughtPanic::new)
}

/// A panic was caught.
pub struct CaughtPanic(());

impl CaughtPanic {
    fn new(payload: Box<dyn Any + Send>) -> Self {
        // The payload is somebody else's, too. What its drop throws is not dropped again.
        if let Err(second) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
            std::mem::forget(second);
        }
        Self(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_that_panics_again_is_contained() {
        struct Bomb;
        impl Drop for Bomb {
            fn drop(&mut self) {
                panic!("again");
            }
        }
        assert!(catch_panic(|| std::panic::panic_any(Bomb)).is_err());
        assert!(catch_panic(|| ()).is_ok());
    }
}
