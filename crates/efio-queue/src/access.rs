//! The one difference between a queue that is shared and one that is borrowed by `&mut`.

use efio_sync::shim::atomic::{AtomicU64, Ordering};

/// Which threads may use the queue while a method runs.
pub(crate) trait Access {
    /// Moves `word` from one value to another. `false`: another thread changed it first,
    /// or the exchange failed spuriously.
    fn advance(word: &AtomicU64, from: u64, to: u64, success: Ordering) -> bool;
}

/// Any thread.
pub(crate) enum Shared {}

/// Only the caller, by `&mut`.
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
