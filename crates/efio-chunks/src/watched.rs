//! A counter that one side moves and the other side can wait on.
//!
//! ```text
//!  63                                            1    0
//! ┌────────────────────────────────────────────────┬───┐
//! │ value                                          │ W │   W: the other side wants to hear of a change
//! └────────────────────────────────────────────────┴───┘
//! ```
//!
//! Only the owner changes the value, so it needs no read-modify-write to do so: a Release store.
//! When a hook is attached the store becomes a swap, which tells the owner whether the other side
//! asked to be notified, and clears the request. Asking is a compare-and-swap from exactly the
//! value that the asker saw. All of these act on one word, so they have one order: either the ask
//! comes first and the owner's swap sees it, or the change comes first and the ask fails. There is
//! no third case, hence no lost wake-up, and no fence.

use efio_sync::shim::atomic::AtomicUsize;
use efio_sync::shim::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

const WAITING: usize = 1;

/// See the module. Values have one bit less than a `usize`; higher bits are dropped.
#[derive(Debug)]
pub(crate) struct Watched(AtomicUsize);

impl Watched {
    pub(crate) fn new(value: usize) -> Self {
        Self(AtomicUsize::new(value << 1))
    }

    /// The value, and with it everything that its owner did before it set it.
    #[inline(always)]
    pub(crate) fn get(&self) -> usize {
        // Acquire: pairs with the Release in `set`.
        self.0.load(Acquire) >> 1
    }

    /// Owner: moves the value. With `watched` returns whether the other side was waiting.
    #[inline(always)]
    pub(crate) fn set(&self, value: usize, watched: bool) -> bool {
        if watched {
            // Release: pairs with `get`. Acquire: pairs with `ask`, so that the notification
            // happens after whatever the asker prepared for it.
            self.0.swap(value << 1, AcqRel) & WAITING != 0
        } else {
            self.0.store(value << 1, Release);
            false
        }
    }

    /// Other side: asks to hear of the next `set`. False when the value is no longer `seen`.
    pub(crate) fn ask(&self, seen: usize) -> bool {
        // Release: pairs with the Acquire in `set`. Acquire: pairs with the Release in `set`, so that
        // what the owner did before a `set` to the same value is seen after this. A failure needs no
        // ordering: the caller looks again with `get`.
        match self
            .0
            .compare_exchange(seen << 1, seen << 1 | WAITING, AcqRel, Relaxed)
        {
            Ok(_) => true,
            Err(now) => now == seen << 1 | WAITING,
        }
    }
}
