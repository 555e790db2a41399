//! The three watermarks of a file: `accepted ≥ written ≥ durable`.

use efio_sync::shim::atomic::{AtomicU64, Ordering};

/// How many of a file's bytes have reached each stage, counted from the first byte accepted through
/// the descriptor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// `write` copied them: they will be written in this order.
    pub accepted: u64,
    /// The kernel completed their writes: they survive the process, not the machine.
    pub written: u64,
    /// A sync covered them: they survive the machine.
    pub durable: u64,
}

/// The marks, each written by one side only and readable by everybody.
#[derive(Default)]
pub struct Watermarks {
    /// Written by the caller that holds the file's lock.
    accepted: AtomicU64,
    /// Written by the driver.
    written: AtomicU64,
    /// Written by the driver.
    durable: AtomicU64,
}

impl Watermarks {
    /// Resets the marks to zero, for the next file of a slot.
    pub fn reset(&self) {
        for mark in [&self.durable, &self.written, &self.accepted] {
            // Release: a reader of a mark with a stale descriptor then sees that its file ended.
            // Pairs with the loads below.
            mark.store(0, Ordering::Release);
        }
    }

    /// Returns how many bytes callers wrote.
    pub fn accepted(&self) -> u64 {
        // Acquire: pairs with `set_accepted`, so that the bytes below the mark are in the stream.
        self.accepted.load(Ordering::Acquire)
    }

    /// Raises the callers' mark.
    #[inline]
    pub fn set_accepted(&self, mark: u64) {
        // Release: pairs with `accepted`.
        self.accepted.store(mark, Ordering::Release);
    }

    /// Returns how many bytes the kernel has.
    pub fn written(&self) -> u64 {
        // Acquire: pairs with `set_written`.
        self.written.load(Ordering::Acquire)
    }

    /// Raises the kernel's mark.
    pub fn set_written(&self, mark: u64) {
        // Release: pairs with `written`.
        self.written.store(mark, Ordering::Release);
    }

    /// Whether the kernel has every accepted byte.
    pub fn is_all_written(&self) -> bool {
        self.written() >= self.accepted()
    }

    /// Raises the disk's mark.
    pub fn set_durable(&self, mark: u64) {
        // Release: pairs with the load in `progress`.
        self.durable.store(mark, Ordering::Release);
    }

    /// Returns all three, read from the lowest to the highest, so that `accepted ≥ written ≥
    /// durable` holds in the result.
    pub fn progress(&self) -> Progress {
        // Acquire, in this order: a thread that sees a mark sees the higher ones at least as high.
        // Pairs with the stores of `set_durable`, `set_written` and `set_accepted`.
        let durable = self.durable.load(Ordering::Acquire);
        let written = self.written.load(Ordering::Acquire);
        let accepted = self.accepted.load(Ordering::Acquire);
        Progress {
            accepted,
            written,
            durable,
        }
    }
}
