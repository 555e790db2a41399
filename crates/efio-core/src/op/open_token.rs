//! Whether an open is still wanted.
//!
//! ```text
//!             withdraw                  claim
//!  withdrawn ◄───────── wanted ─────────────► claimed
//! ```
//!
//! Of the task that drops its future and of whoever is about to cut the file off, the first one
//! decides: either nothing is cut off, or it was under way by then and the close that follows comes
//! behind it.

use efio_sync::shim::atomic::{AtomicU8, Ordering};

const WANTED: u8 = 0;
const CLAIMED: u8 = 1;
const CANCELLED: u8 = 2;

/// An open that can be withdrawn.
#[derive(Debug)]
pub struct OpenToken(AtomicU8);

impl Default for OpenToken {
    fn default() -> Self {
        Self::new()
    }
}

impl OpenToken {
    /// Of an open that is wanted.
    pub fn new() -> Self {
        Self(AtomicU8::new(WANTED))
    }

    /// Nobody wants the file any more; whether that was said in time.
    pub fn cancel(&self) -> bool {
        self.decide(CANCELLED)
    }

    /// The file is about to be changed; whether it may be.
    pub fn claim(&self) -> bool {
        self.decide(CLAIMED)
    }

    /// Whether nobody wants the file any more.
    pub fn is_cancelled(&self) -> bool {
        // Relaxed: a hint for the op; the driver looks behind the close, which the same thread asked
        // for after it withdrew.
        self.0.load(Ordering::Relaxed) == CANCELLED
    }

    fn decide(&self, state: u8) -> bool {
        // Relaxed: one word decides, and nothing else is published with it. With the exchange of the
        // other side.
        let result = self
            .0
            .compare_exchange(WANTED, state, Ordering::Relaxed, Ordering::Relaxed);
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
