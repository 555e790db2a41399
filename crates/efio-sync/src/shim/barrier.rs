//! An asymmetric pair of full barriers: next to nothing on the side that runs often, a system call
//! on the side that is about to sleep anyway.
//!
//! ```text
//!   often:   write A    rarely:   write B
//!            light()              heavy()
//!            read B               read A
//! ```
//!
//! If [`heavy`] says `true`, at least one of the two reads sees the other side's write.

/// The side that runs often. Pairs with [`heavy`].
#[inline(always)]
pub fn light() {
    cfg_if::cfg_if! {
        if #[cfg(loom)] {
            loom::sync::atomic::fence(loom::sync::atomic::Ordering::SeqCst);
        } else {
            super::platform::light_barrier();
        }
    }
}

/// The side that runs rarely. Pairs with [`light`].
///
/// `false`: the platform has no such barrier, and the other side may miss our write for as long as
/// its store buffer holds back its own.
#[must_use]
pub fn heavy() -> bool {
    cfg_if::cfg_if! {
        if #[cfg(loom)] {
            loom::sync::atomic::fence(loom::sync::atomic::Ordering::SeqCst);
            true
        } else {
            super::platform::heavy_barrier()
        }
    }
}
