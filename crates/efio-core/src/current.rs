//! Detects calls from the driver's own thread: from a callback, or from a waker that it runs. A
//! call that waited for the driver there would wait forever, so it fails with `EDEADLK`.

use crate::shared::Shared;
use std::cell::Cell;
use std::ptr;

thread_local! {
    /// The engine that this thread drives right now; compared, never dereferenced.
    static DRIVEN: Cell<*const Shared> = const { Cell::new(ptr::null()) };
}

/// Marks this thread as the driver of an engine while it lives.
pub struct CurrentDriver {
    before: *const Shared,
}

impl CurrentDriver {
    /// Marks this thread as the driver of `shared`.
    pub fn of(shared: &Shared) -> Self {
        Self {
            before: DRIVEN.replace(shared),
        }
    }
}

impl Drop for CurrentDriver {
    fn drop(&mut self) {
        DRIVEN.set(self.before);
    }
}

/// Returns whether this thread is the engine's driver.
pub fn is_driver_thread(shared: &Shared) -> bool {
    ptr::eq(DRIVEN.get(), shared)
}
