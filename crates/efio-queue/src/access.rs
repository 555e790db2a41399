//! The one difference between a queue that has company and one that is held by `&mut`.

use efio_sync::shim::atomic::{AtomicU64, Ordering};

/// Who may look at the queue while a method runs.
pub(crate) trait Access {
    /// Moves `word` from one value to another. `false`: somebody else changed it first, or the
    /// machine says so for no reason.
    fn advance(word: &AtomicU64, from: u64, to: u64, success: Ordering) -> bool;
}

/// Anybody.
pub(crate) enum Shared {}

/// The caller alone, by `&mut`.
pub(crate) enum Exclusive {}

impl Access for Shared {
    #[inline(always)]
    fn advance(word: &AtomicU64, from: u64, to: u64, success: Ordering) -> bool {
        word.compare_exchange_weak(from, to, success, Ordering::Relaxed)
            .is_ok()
    }
}

impl Access for Exclusive {
    #[inline(always)]
    fn advance(word: &AtomicU64, from: u64, to: u64, _: Ordering) -> bool {
        debug_assert_eq!(word.load(Ordering::Relaxed), from);
        word.store(to, Ordering::Relaxed);
        true
    }
}
