//! An alarm that blocks the sleeping thread.

use core::time::Duration;

use super::{Alarm, Sleep};
use crate::shim::atomic::Ordering;
use crate::shim::futex::Futex;

const QUIET: u32 = 0;
const WOKEN: u32 = 1;

/// Blocks the sleeper's thread: a futex on Linux, a condvar elsewhere.
///
/// Any thread may be the sleeper, one at a time.
#[derive(Debug)]
pub struct Parker {
    token: Futex,
}

impl Parker {
    const_unless_loom! {
        /// Returns a parker that has not been woken.
        #[inline]
        pub const fn new() -> Self {
            Self { token: Futex::new(QUIET) }
        }
    }
}

impl Default for Parker {
    fn default() -> Self {
        Self::new()
    }
}

impl Alarm for Parker {
    fn wake(&self) {
        // Release pairs with the Acquire swaps of `sleep`. If the token is set already, the thread
        // that set it wakes.
        if self.token.swap(WOKEN, Ordering::Release) == QUIET {
            self.token.wake_one();
        }
    }
}

impl Sleep for Parker {
    fn sleep(&self, timeout: Option<Duration>) {
        if self.token.swap(QUIET, Ordering::Acquire) == QUIET {
            self.token.wait(QUIET, timeout);
            self.token.swap(QUIET, Ordering::Acquire);
        }
    }
}
