//! A counter that one side moves and the other side can wait on.
//!
//! ```text
//!  63                                            1    0
//! ┌────────────────────────────────────────────────┬───┐
//! │ value                                          │ W │   W: the other side wants a wake-up
//! └────────────────────────────────────────────────┴───┘
//! ```
//!
//! Only the owner changes the value, so it needs no read-modify-write to do so: a Release store.
//! When a hook is attached the store becomes a swap, which returns whether the other side requested
//! a wake-up, and clears the request. A request is a compare-and-swap from exactly the value that
//! the requester saw. All of these act on one word, so they have one order:
//!
//! 1. The request comes first: the owner's swap sees it.
//! 2. The change comes first: the request fails.
//!
//! There is no third case, hence no lost wake-up, and no fence.

use efio_sync::shim::atomic::AtomicUsize;
use efio_sync::shim::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

const WAITING: usize = 1;

/// A counter and a request in one word; see the module. Values have one bit less than a `usize`;
/// higher bits are dropped.
#[derive(Debug)]
pub(crate) struct Watched(AtomicUsize);

impl Watched {
    pub(crate) fn new(value: usize) -> Self {
        Self(AtomicUsize::new(value << 1))
    }

    /// Returns the value, with everything that its owner did before it set it.
    #[inline(always)]
    pub(crate) fn get(&self) -> usize {
        // Acquire: pairs with the Release in `set`.
        self.0.load(Acquire) >> 1
    }

    /// Owner: sets the value. With `watched` returns whether the other side was waiting.
    #[inline(always)]
    pub(crate) fn set(&self, value: usize, watched: bool) -> bool {
        if watched {
            // Release: pairs with `get`. Acquire: pairs with `request_wakeup`, so that the
            // notification happens after everything that the requester prepared for it.
            self.0.swap(value << 1, AcqRel) & WAITING != 0
        } else {
            self.0.store(value << 1, Release);
            false
        }
    }

    /// Other side: requests a wake-up for the next `set`. `false`: the value is no longer `seen`.
    pub(crate) fn request_wakeup(&self, seen: usize) -> bool {
        // Release: pairs with the Acquire in `set`. Acquire: pairs with the Release in `set`, so
        // that what the owner did before a `set` to the same value is seen after this. A failure
        // needs no ordering: the caller calls `get` again.
        match self
            .0
            .compare_exchange(seen << 1, seen << 1 | WAITING, AcqRel, Relaxed)
        {
            Ok(_) => true,
            Err(now) => now == seen << 1 | WAITING,
        }
    }
}
