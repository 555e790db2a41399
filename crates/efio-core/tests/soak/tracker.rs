//! Which actor is inside which call, and since when: the watchdog's input.

use efio_core::Fd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// A call of the library.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// One that must return at once.
    Now(&'static str),
    Open,
    Read,
    Write,
    Flush,
    Size,
    /// Until this mark is durable.
    Sync(u64),
    Close,
    /// A positional call, by its token.
    Completion(u64),
    /// The end of the engine, which has its own deadline.
    Shutdown,
    /// A wait of the test itself.
    Internal,
}

/// The call that an actor is in.
#[derive(Clone, Copy, Debug)]
pub struct CurrentCall {
    pub call: Call,
    pub fd: Option<Fd>,
    pub since: Instant,
    /// How often it was woken in this call and found nothing.
    pub wakeups: u32,
    /// Distinguishes this call from the next one.
    pub number: u64,
}

/// One actor: a thread, or a task.
pub struct CallTracker {
    pub name: String,
    current: Mutex<Option<CurrentCall>>,
    calls: Mutex<u64>,
}

impl CallTracker {
    fn set(&self, call: Option<(Call, Option<Fd>)>) {
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        *calls += 1;
        let number = *calls;
        let current = call.map(|(call, fd)| CurrentCall {
            call,
            fd,
            since: Instant::now(),
            wakeups: 0,
            number,
        });
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = current;
    }

    /// Records a call until the guard is dropped.
    pub fn begin(self: &Arc<Self>, call: Call, fd: Option<Fd>) -> CallGuard {
        self.set(Some((call, fd)));
        CallGuard(Arc::clone(self))
    }

    /// Counts a wake-up after which the call is still pending.
    pub fn woken(&self) {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(current) = current.as_mut() {
            current.wakeups += 1;
        }
    }

    /// Returns the current call; `None` outside of any, or while it changes.
    pub fn current_call(&self) -> Option<CurrentCall> {
        *self.current.try_lock().ok()?
    }
}

/// An actor is inside a call.
pub struct CallGuard(Arc<CallTracker>);

impl Drop for CallGuard {
    fn drop(&mut self) {
        self.0.set(None);
    }
}

/// All actors of a scenario.
#[derive(Default)]
pub struct CallTrackers(Mutex<Vec<Arc<CallTracker>>>);

impl CallTrackers {
    pub fn add(&self, name: String) -> Arc<CallTracker> {
        let tracker = Arc::new(CallTracker {
            name,
            current: Mutex::default(),
            calls: Mutex::default(),
        });
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.push(Arc::clone(&tracker));
        tracker
    }

    pub fn all(&self) -> Vec<Arc<CallTracker>> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.clone()
    }
}
