//! Cancels an open that has no effect yet.
//!
//! ```text
//!              cancel            claim
//!  cancelled ◄──────── pending ────────► claimed
//! ```
//!
//! A task cancels when it drops its future; whoever is about to truncate the file claims. The first
//! one decides:
//!
//! 1. Cancelled first: the file is not truncated.
//! 2. Claimed first: the file is truncated, and the close that the task asks for follows.

use efio_sync::shim::atomic::{AtomicU8, Ordering};

const PENDING: u8 = 0;
const CLAIMED: u8 = 1;
const CANCELLED: u8 = 2;

/// The token of an open that can be cancelled.
#[derive(Debug)]
pub struct OpenToken(AtomicU8);

impl Default for OpenToken {
    fn default() -> Self {
        Self::new()
    }
}

impl OpenToken {
    /// Creates the token of a pending open.
    pub fn new() -> Self {
        Self(AtomicU8::new(PENDING))
    }

    /// Attempts to cancel the open, and returns whether it is cancelled.
    pub fn cancel(&self) -> bool {
        self.decide(CANCELLED)
    }

    /// Attempts to claim the open before the file is changed, and returns whether it is claimed.
    pub fn claim(&self) -> bool {
        self.decide(CLAIMED)
    }

    /// Whether the open is cancelled.
    pub fn is_cancelled(&self) -> bool {
        // Relaxed: a hint for the op. The driver reads it after the close, which the same thread
        // asked for after it cancelled.
        self.0.load(Ordering::Relaxed) == CANCELLED
    }

    fn decide(&self, state: u8) -> bool {
        // Relaxed: this word decides by itself, and nothing else is published with it. Pairs with
        // the exchange of the other side.
        let result = self
            .0
            .compare_exchange(PENDING, state, Ordering::Relaxed, Ordering::Relaxed);
        result.map_or_else(|before| before == state, |_| true)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn the_first_one_decides() {
        let open = OpenToken::new();
        assert!(!open.is_cancelled() && open.claim() && open.claim());
        assert!(!open.cancel() && !open.is_cancelled());
        let open = OpenToken::new();
        assert!(open.cancel() && open.cancel() && open.is_cancelled());
        assert!(!open.claim());
    }
}
