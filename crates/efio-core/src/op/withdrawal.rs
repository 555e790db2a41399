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
const WITHDRAWN: u8 = 2;

/// An open that can be withdrawn.
#[derive(Debug)]
pub struct Withdrawal(AtomicU8);

impl Default for Withdrawal {
    fn default() -> Self {
        Self::new()
    }
}

impl Withdrawal {
    /// Of an open that is wanted.
    pub fn new() -> Self {
        Self(AtomicU8::new(WANTED))
    }

    /// Nobody wants the file any more; whether that was said in time.
    pub fn withdraw(&self) -> bool {
        self.decide(WITHDRAWN)
    }

    /// The file is about to be changed; whether it may be.
    pub fn claim(&self) -> bool {
        self.decide(CLAIMED)
    }

    /// Whether nobody wants the file any more.
    pub fn is_withdrawn(&self) -> bool {
        // Relaxed: a hint for the op; the driver looks behind the close, which the same thread asked
        // for after it withdrew.
        self.0.load(Ordering::Relaxed) == WITHDRAWN
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
        let open = Withdrawal::new();
        assert!(!open.is_withdrawn() && open.claim() && open.claim());
        assert!(!open.withdraw() && !open.is_withdrawn());
        let open = Withdrawal::new();
        assert!(open.withdraw() && open.withdraw() && open.is_withdrawn());
        assert!(!open.claim());
    }
}
