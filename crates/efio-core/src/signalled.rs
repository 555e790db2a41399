//! A queue with a level-triggered signal: the signal is up while items wait.
//!
//! ```text
//!            push                 its signal is up
//!   DOWN ───────────► RAISING ─────────────────────► UP ─┐
//!     ▲                                                  │ next found the queue empty
//!     └──────────────── LOWERING ◄───────────────────────┘
//!   look once more      takes the signal down
//! ```
//!
//! The signal is an eventfd in an engine, so the state in front of it spares a push the system call
//! while the signal is up anyway, and a look at an empty queue the one that takes it down. One
//! thread at a time changes the signal: the one that left DOWN or UP. So the signal is down in DOWN
//! and up in UP, and a signal that was raised late cannot stay up over an empty queue for ever.

use efio_queue::SegQueue;
use efio_sync::shim::atomic::{AtomicU32, Ordering};
use efio_sync::shim::yield_now;
use efio_sync::{Alarm, EventFd};

/// The signal is down.
const DOWN: u32 = 0;
/// Set in each state but DOWN: a push has nothing to do. Alone: a push is raising the signal.
const RAISING: u32 = 1;
const UP_BIT: u32 = 1 << 1;
/// The signal is up.
const UP: u32 = RAISING | UP_BIT;
/// A look at the empty queue is taking the signal down, and looks again afterwards.
const LOWERING: u32 = RAISING | 1 << 2;

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
    /// DOWN, RAISING, UP or LOWERING.
    state: AtomicU32,
}

impl<T, S: Signal> SignalledQueue<T, S> {
    /// An empty queue with a signal that is down.
    pub fn new(signal: S) -> Self {
        Self {
            queue: SegQueue::new(),
            signal,
            state: AtomicU32::new(DOWN),
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
        // Relaxed: only spares an idle look what follows. An old value does no harm: while items
        // wait the signal is up, or somebody is about to raise it or to look again.
        let mut state = self.state.load(Ordering::Relaxed);
        if state == RAISING {
            // The signal woke us in the middle of a push, maybe on the pusher's processor: it needs
            // that for a moment more, and until then a poll would answer at once, again and again.
            yield_now();
            state = self.state.load(Ordering::Relaxed);
        }
        if state != UP {
            return None;
        }
        // Acquire: pairs with the Release of `raise`: the signal is up before it is taken down.
        self.state
            .compare_exchange(UP, LOWERING, Ordering::Acquire, Ordering::Relaxed)
            .ok()?;
        self.signal.clear();
        // Acquire: pairs with `raise`. A push that found LOWERING or UP comes before this, so its
        // item is seen below; one that comes later finds DOWN and raises the signal. Release: by
        // then it has been taken down.
        self.state.swap(DOWN, Ordering::AcqRel);
        let item = self.queue.pop()?;
        // Others may be waiting behind this one.
        self.raise();
        Some(item)
    }

    fn raise(&self) {
        // All changes of the state are read-modify-writes, so each continues the release sequence
        // of the pushes before it. Release: pairs with the swap in `next`, for the item. Acquire:
        // with the same, so that the signal goes up after it went down.
        if self.state.fetch_or(RAISING, Ordering::AcqRel) == DOWN {
            self.signal.wake();
            // Release: pairs with the exchange in `next`.
            self.state.fetch_or(UP_BIT, Ordering::Release);
        }
    }
}
