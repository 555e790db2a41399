//! Knowing that this thread is the driver, in the middle of a turn or at its end: in a callback, or
//! in whatever else it runs for somebody. Who waits for the driver there waits for ever (`EDEADLK`).

use crate::shared::Shared;
use std::cell::Cell;
use std::ptr;

thread_local! {
    /// The engine that this thread drives right now; compared, never followed.
    static DRIVEN: Cell<*const Shared> = const { Cell::new(ptr::null()) };
}

/// For as long as it lives, this thread drives an engine.
pub struct CurrentDriver {
    before: *const Shared,
}

impl CurrentDriver {
    /// This thread drives `shared` now.
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

/// Whether this thread is the engine's driver.
pub fn is_driver_thread(shared: &Shared) -> bool {
    ptr::eq(DRIVEN.get(), shared)
}
