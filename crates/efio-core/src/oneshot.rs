//! An answer that the driver gives once, to whoever holds the other half: how a close went, or how
//! long a file is.
//!
//! It outlives the descriptor, which a waker in the slot could not.

use crate::error::Errno;
use crate::event::catch_panic;
use efio_sync::SpinLock;
use efio_sync::shim;
use std::task::Waker;

/// The asker's half.
pub struct Receiver<T>(shim::Arc<SpinLock<State<T>>>);

/// The driver's half. Dropped without an answer it says `ESHUTDOWN`: the engine ended before.
pub struct Sender<T: Copy>(Option<shim::Arc<SpinLock<State<T>>>>);

/// Nobody waits for the answer.
impl<T: Copy> Default for Sender<T> {
    fn default() -> Self {
        Self(None)
    }
}

enum State<T> {
    Open(Option<Waker>),
    Given(Result<T, Errno>),
}

/// Both halves.
pub fn channel<T: Copy>() -> (Sender<T>, Receiver<T>) {
    let state = shim::Arc::new(SpinLock::new(State::Open(None)));
    (Sender(Some(state.clone())), Receiver(state))
}

impl<T: Copy> Receiver<T> {
    /// The answer, as often as it is asked for; until it is there, `waker` is kept to be woken.
    pub fn get(&self, waker: &Waker) -> Option<Result<T, Errno>> {
        let mut mine = Some(waker.clone());
        let mut state = self.0.lock();
        let old = match &mut *state {
            State::Given(result) => return Some(*result),
            State::Open(kept) => std::mem::replace(kept, mine.take()),
        };
        drop(state);
        // A waker's drop is somebody else's code: not under the lock.
        drop(old);
        None
    }
}

impl<T: Copy> Sender<T> {
    /// Whether somebody holds the other half.
    pub fn has_waker(&self) -> bool {
        let state = self.0.as_ref();
        state.is_some_and(|state| shim::Arc::strong_count(state) > 1)
    }

    /// Gives the answer; the waker to wake for it.
    pub fn send(mut self, result: Result<T, Errno>) -> Option<Waker> {
        let state = self.0.take()?;
        send(&state, result)
    }
}

fn send<T>(state: &SpinLock<State<T>>, result: Result<T, Errno>) -> Option<Waker> {
    match std::mem::replace(&mut *state.lock(), State::Given(result)) {
        State::Open(waker) => waker,
        State::Given(_) => None,
    }
}

impl<T: Copy> Drop for Sender<T> {
    fn drop(&mut self) {
        let state = self.0.take();
        let waker = state.and_then(|state| send(&state, Err(Errno(libc::ESHUTDOWN))));
        if let Some(waker) = waker {
            // Whoever drops us has other things to do than to panic.
            let _ = catch_panic(|| waker.wake());
        }
    }
}
