//! The queue of `ef_next_event`, with a descriptor that an event loop can watch.
//!
//! The descriptor serves waits for its level and for its edges: it is readable while events are
//! available, until a [`next`](EventQueue::next) has found none; and a push after that one writes
//! to it anew.
//!
//! A lock orders pushes and empty looks. Of an empty look and a push at the same time:
//!
//! 1. The push locks first: its event is in the queue by then, and the look, which repeats the pop
//!    under the lock, takes it.
//! 2. The look locks first: it clears the descriptor, and the push then writes to it.
//!
//! A pop that finds an event takes no lock.

use efio_queue::SegQueue;
use efio_sync::{Alarm, EventFd};
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// The pause before a push without memory is tried again.
const RETRY_AFTER: Duration = Duration::from_millis(1);

/// See the module.
pub struct EventQueue<T> {
    events: SegQueue<T>,
    signal: EventFd,
    /// Whether `signal` is readable. It changes under this lock only.
    is_up: Mutex<bool>,
}

impl<T> EventQueue<T> {
    /// An empty queue.
    ///
    /// # Errors
    ///
    /// Those of eventfd(2).
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            events: SegQueue::new(),
            signal: EventFd::new()?,
            is_up: Mutex::new(false),
        })
    }

    fn is_up(&self) -> MutexGuard<'_, bool> {
        self.is_up.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an event and makes the descriptor readable. Without memory it waits for some: no event
    /// is lost.
    pub fn push(&self, mut event: T) {
        while let Err(refused) = self.events.push(event) {
            event = refused.into_inner();
            thread::sleep(RETRY_AFTER);
        }
        let mut is_up = self.is_up();
        if !*is_up {
            *is_up = true;
            self.signal.wake();
        }
    }

    /// Takes the oldest event. When there is none, the descriptor is not readable any more.
    pub fn next(&self) -> Option<T> {
        if let Some(event) = self.events.pop() {
            return Some(event);
        }
        let mut is_up = self.is_up();
        let event = self.events.pop();
        if event.is_none() && *is_up {
            *is_up = false;
            self.signal.clear();
        }
        event
    }

    /// The descriptor.
    pub fn descriptor(&self) -> RawFd {
        self.signal.as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl<T> EventQueue<T> {
        fn is_readable(&self) -> bool {
            self.signal.wait(Some(Duration::ZERO))
        }
    }

    #[test]
    fn it_is_readable_from_a_push_to_an_empty_look() {
        let queue = EventQueue::new().unwrap();
        assert!(queue.next().is_none() && !queue.is_readable());
        for round in 0..3 {
            queue.push(round);
            queue.push(round + 1);
            assert_eq!(queue.next(), Some(round));
            assert!(queue.is_readable(), "an event is left");
            assert_eq!(queue.next(), Some(round + 1));
            assert!(queue.is_readable(), "nobody looked at the empty queue");
            assert!(queue.next().is_none() && !queue.is_readable());
        }
    }

    #[test]
    fn each_wait_for_events_of_other_threads_ends() {
        const EVENTS: u32 = 20_000;
        let queue = EventQueue::new().unwrap();
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| (0..EVENTS).for_each(|number| queue.push(number)));
            }
            let mut taken = 0;
            while taken < 2 * EVENTS {
                let woke = queue.signal.wait(Some(Duration::from_secs(20)));
                assert!(woke, "{taken} of {} events", 2 * EVENTS);
                while queue.next().is_some() {
                    taken += 1;
                }
            }
        });
        assert!(queue.next().is_none() && !queue.is_readable());
    }
}
