//! How to wait for another thread that is about to make progress.

use core::cell::Cell;
use core::fmt;

use crate::shim::tuning::{SPIN_LIMIT, YIELD_LIMIT};
use crate::shim::{hint, yield_now};

/// Exponential backoff for retry loops.
///
/// ```text
///   step     0 1 2 3 4 5 6 │ 7 8 9 10 │ 11 …
///   spin     2^step hints  │ 2^6 hints each
///   snooze   2^step hints  │ yields   │ yields, is_completed() is true: block instead
/// ```
///
/// [`spin`](Self::spin) is for a retry after a lost race: another thread made progress.
/// [`snooze`](Self::snooze) is for waiting until another thread makes progress; without the feature
/// `std` it cannot yield and spins on.
///
/// ```
/// use efio_sync::Backoff;
/// use std::sync::atomic::{AtomicBool, Ordering};
///
/// let ready = AtomicBool::new(false);
/// std::thread::scope(|scope| {
///     scope.spawn(|| ready.store(true, Ordering::Release));
///     let backoff = Backoff::new();
///     while !ready.load(Ordering::Acquire) {
///         backoff.snooze();
///     }
/// });
/// ```
#[derive(Default)]
pub struct Backoff {
    step: Cell<u32>,
}

impl Backoff {
    /// Starts at the shortest wait.
    #[inline]
    pub const fn new() -> Self {
        Self { step: Cell::new(0) }
    }

    /// Goes back to the shortest wait.
    #[inline]
    pub fn reset(&self) {
        self.step.set(0);
    }

    /// Spins briefly, longer each time up to a limit.
    #[inline]
    pub fn spin(&self) {
        let step = self.step.get().min(SPIN_LIMIT);
        for _ in 0..1u32 << step {
            hint::spin_loop();
        }
        if self.step.get() <= SPIN_LIMIT {
            self.step.set(self.step.get() + 1);
        }
    }

    /// Waits briefly: spins at first, later yields the processor to another thread.
    #[inline]
    pub fn snooze(&self) {
        let step = self.step.get();
        if step <= SPIN_LIMIT {
            for _ in 0..1u32 << step {
                hint::spin_loop();
            }
        } else {
            yield_now();
        }
        if step <= YIELD_LIMIT {
            self.step.set(step + 1);
        }
    }

    /// Returns whether it has waited so long that blocking the thread would be better.
    #[inline]
    pub fn is_completed(&self) -> bool {
        self.step.get() > YIELD_LIMIT
    }
}

impl fmt::Debug for Backoff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Backoff")
            .field("step", &self.step)
            .field("is_completed", &self.is_completed())
            .finish()
    }
}
