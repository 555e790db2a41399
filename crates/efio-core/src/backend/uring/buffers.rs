//! The slabs of the page pool as fixed buffers of the ring.
//!
//! A slab is registered when an op first uses it. Its pages are pinned from then on, and the kernel
//! sees that they are one piece of memory without looking at each. Pinned memory counts as locked:
//! where the limit (`RLIMIT_MEMLOCK`) is too small, the rest of the slabs are used as any memory
//! is.

use super::ring::Ring;
use crate::page::{SLAB_BYTES, Slab};

/// The most fixed buffers of a ring.
const MOST: usize = 1 << 14;

/// Which slabs are registered.
pub struct Buffers {
    registered: Vec<bool>,
    /// Slabs that there are places for; 0 once the kernel refused one.
    places: usize,
}

impl Buffers {
    /// Places for the slabs of a budget of `bytes`; none where the kernel does not give any.
    pub fn new(ring: &Ring, bytes: usize) -> Self {
        let places = (bytes / SLAB_BYTES).min(MOST);
        let given = ring.submitter().register_buffers_sparse(places as u32);
        Self {
            registered: Vec::new(),
            places: given.map_or(0, |()| places),
        }
    }

    /// The number of the fixed buffer that is `slab`, if it can be one.
    pub fn number(&mut self, ring: &Ring, slab: Slab) -> Option<u16> {
        let number = slab.number as usize;
        if self.registered.get(number) == Some(&true) {
            return Some(number as u16);
        }
        if number >= self.places {
            return None;
        }
        let memory = libc::iovec {
            iov_base: slab.base.as_ptr().cast(),
            iov_len: SLAB_BYTES,
        };
        // SAFETY: a slab stays mapped as long as its pool, and an op that names the buffer holds
        // the pool. The kernel's own pins keep the memory even longer.
        let result = unsafe {
            ring.submitter()
                .register_buffers_update(slab.number, &[memory], None)
        };
        if result.is_err() {
            self.places = 0;
            return None;
        }
        if self.registered.len() <= number {
            self.registered.resize(number + 1, false);
        }
        self.registered[number] = true;
        Some(number as u16)
    }

    /// The slab is about to be unmapped: its buffer must not be taken for the next slab's.
    pub fn forget(&mut self, ring: &Ring, slab: u32) {
        let number = slab as usize;
        if self.registered.get(number) != Some(&true) {
            return;
        }
        self.registered[number] = false;
        let nothing = libc::iovec {
            iov_base: std::ptr::null_mut(),
            iov_len: 0,
        };
        // SAFETY: it names no memory.
        let result = unsafe {
            ring.submitter()
                .register_buffers_update(slab, &[nothing], None)
        };
        if result.is_err() {
            // The old buffer is still there, so this number must never be used again, nor any other
            // that is not used yet.
            self.places = 0;
        }
    }
}
