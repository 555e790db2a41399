//! A queue with a signal that another facility can wait for: by its level, which is up while items
//! are available, or by its edges: after each empty look, the next item causes an edge.
//!
//! ```text
//!          push                  its signal is up
//!   DOWN ────────► RAISING ──────────────────────────► UP
//!    ▲                │ an empty look                   │ an empty look
//!    │                ▼                                 ▼
//!    │             LOOKED                            LOWERING
//!    │                │ the push clears the signal      │ the look clears it
//!    └────────────────┴─────────────────────────────────┘
//!      the thread that cleared it looks at the queue once more
//! ```
//!
//! An *empty look* is a call of `next` that finds no item. The signal is an eventfd in an engine.
//! The state saves the system call of a push while the signal is up, and that of an empty look
//! while it is down. One thread at a time changes the signal: the one that left DOWN or UP. So the
//! signal is down in DOWN and up in UP.
//!
//! **Edges.** A waiter that consumes edges (EPOLLET, mio, tokio's `AsyncFd`) takes items until
//! there is none and then waits for the next write to the signal. Its empty look finds one of the
//! states:
//!
//! 1. DOWN: the next push raises the signal.
//! 2. UP: the look clears the signal itself, and looks again from DOWN on.
//! 3. LOWERING or LOOKED: another thread is about to do so.
//! 4. RAISING: the edge of this push may have been consumed already. If the state became UP, no
//!    later push would write. So the look sets LOOKED, and the push clears the signal again.
//!
//! In each case a thread looks at the queue again after DOWN, or the next push writes.

use crate::memory;
use efio_queue::SegQueue;
use efio_sync::shim::atomic::{AtomicU32, Ordering};
use efio_sync::shim::yield_now;
use efio_sync::{Alarm, EventFd};

/// The signal is down.
const DOWN: u32 = 0;
/// Set in each state but DOWN: a push has nothing to do. As the only bit: a push is raising the
/// signal.
const RAISING: u32 = 1;
/// The signal is up.
const UP: u32 = RAISING | 1 << 1;
/// An empty look is clearing the signal, and looks again afterwards.
const LOWERING: u32 = RAISING | 1 << 2;
/// A push is raising the signal, there was an empty look meanwhile, and the push will clear it
/// again.
const LOOKED: u32 = RAISING | 1 << 3;

/// A signal that stays up until it is cleared.
pub trait Signal: Alarm {
    /// Clears it.
    fn clear(&self);
}

impl Signal for EventFd {
    fn clear(&self) {
        EventFd::clear(self);
    }
}

/// An MPMC queue with a signal that another facility can watch.
#[derive(Debug)]
pub struct SignalledQueue<T, S> {
    queue: SegQueue<T>,
    signal: S,
    /// DOWN, RAISING, LOOKED, UP or LOWERING.
    state: AtomicU32,
}

impl<T, S: Signal> SignalledQueue<T, S> {
    /// Creates an empty queue with a signal that is down.
    pub fn new(signal: S) -> Self {
        Self {
            queue: SegQueue::new(),
            signal,
            state: AtomicU32::new(DOWN),
        }
    }

    /// Returns the signal, which is up while items are available.
    pub fn signal(&self) -> &S {
        &self.signal
    }

    /// Returns how many items are available.
    pub fn count(&self) -> usize {
        self.queue.len()
    }

    /// Adds an item.
    pub fn push(&self, item: T) {
        memory::push(&self.queue, item);
        self.raise();
    }

    /// Takes the oldest item. Only a call that finds none causes the signal to be cleared.
    pub fn next(&self) -> Option<T> {
        if let Some(item) = self.queue.pop() {
            return Some(item);
        }
        // Relaxed: an old value is harmless. A waiter whose wait ended has the state of the write
        // that ended it, or a later one, and each of these is followed by a look or by a write.
        let mut state = self.state.load(Ordering::Relaxed);
        loop {
            let next = match state {
                RAISING => LOOKED,
                UP => LOWERING,
                LOOKED => {
                    // The signal woke us in the middle of a push, maybe on the pusher's processor.
                    // The pusher needs it for a moment more; until then a poll for the level would
                    // return at once, again and again.
                    yield_now();
                    return None;
                }
                _ => return None,
            };
            // Acquire: pairs with the Release of `raise`: the signal is up before it is cleared.
            match self
                .state
                .compare_exchange(state, next, Ordering::Acquire, Ordering::Relaxed)
            {
                Ok(UP) => break,
                Ok(_) => return None,
                Err(current) => state = current,
            }
        }
        self.lower();
        let item = self.queue.pop()?;
        // More items may follow this one.
        self.raise();
        Some(item)
    }

    /// Clears the signal. The caller left UP or found LOOKED, and looks at the queue afterwards.
    fn lower(&self) {
        self.signal.clear();
        // Acquire: pairs with `begin`. A push that found another state comes before this, so its
        // item is seen by the look that follows; one that comes later finds DOWN and raises the
        // signal. Release: by then it has been cleared.
        self.state.swap(DOWN, Ordering::AcqRel);
    }

    fn raise(&self) {
        while self.begin() {
            self.signal.wake();
            // Release: pairs with the exchange in `next`: the signal was raised before it is
            // cleared there.
            if self
                .state
                .compare_exchange(RAISING, UP, Ordering::Release, Ordering::Relaxed)
                .is_ok()
            {
                return;
            }
            self.lower();
            if self.queue.is_empty() {
                return;
            }
        }
    }

    /// Whether the caller has to raise the signal.
    fn begin(&self) -> bool {
        // All changes of the state are read-modify-writes, so each continues the release sequence
        // of the pushes before it. Release: pairs with the swap in `lower`, for the item. Acquire:
        // pairs with the same swap, so that the signal is raised after it was cleared.
        self.state.fetch_or(RAISING, Ordering::AcqRel) == DOWN
    }
}
