//! A channel for one answer of the driver: the result of a close, or the size of a file.
//!
//! The channel outlives the descriptor, which a waker in the slot could not.

use crate::catch_panic::catch_panic;
use crate::error::Errno;
use efio_sync::SpinLock;
use efio_sync::shim;
use std::task::Waker;

/// The caller's half.
pub struct Receiver<T>(shim::Arc<SpinLock<State<T>>>);

/// The driver's half. Dropped before it sent an answer, it sends `ESHUTDOWN`: the engine ended.
pub struct Sender<T: Copy>(Option<shim::Arc<SpinLock<State<T>>>>);

/// A sender without a receiver.
impl<T: Copy> Default for Sender<T> {
    fn default() -> Self {
        Self(None)
    }
}

enum State<T> {
    Pending(Option<Waker>),
    Sent(Result<T, Errno>),
}

/// Creates both halves.
pub fn channel<T: Copy>() -> (Sender<T>, Receiver<T>) {
    let state = shim::Arc::new(SpinLock::new(State::Pending(None)));
    (Sender(Some(state.clone())), Receiver(state))
}

impl<T: Copy> Receiver<T> {
    /// Returns the answer, every time once it was sent. Until then `waker` replaces the registered
    /// one.
    pub fn get(&self, waker: &Waker) -> Option<Result<T, Errno>> {
        let mut mine = Some(waker.clone());
        let mut state = self.0.lock();
        let old = match &mut *state {
            State::Sent(result) => return Some(*result),
            State::Pending(registered) => std::mem::replace(registered, mine.take()),
        };
        drop(state);
        // A waker's drop runs foreign code: not under the lock.
        drop(old);
        None
    }
}

impl<T: Copy> Sender<T> {
    /// Whether the receiver exists.
    pub fn has_waker(&self) -> bool {
        let state = self.0.as_ref();
        state.is_some_and(|state| shim::Arc::strong_count(state) > 1)
    }

    /// Sends the answer, and returns the waker to wake for it.
    pub fn send(mut self, result: Result<T, Errno>) -> Option<Waker> {
        let state = self.0.take()?;
        send(&state, result)
    }
}

fn send<T>(state: &SpinLock<State<T>>, result: Result<T, Errno>) -> Option<Waker> {
    match std::mem::replace(&mut *state.lock(), State::Sent(result)) {
        State::Pending(waker) => waker,
        State::Sent(_) => None,
    }
}

impl<T: Copy> Drop for Sender<T> {
    fn drop(&mut self) {
        let state = self.0.take();
        let waker = state.and_then(|state| send(&state, Err(Errno(libc::ESHUTDOWN))));
        if let Some(waker) = waker {
            // The code that drops the sender must not panic for the sake of a foreign waker.
            let _ = catch_panic(|| waker.wake());
        }
    }
}
