//! The slabs of the page pool as fixed buffers of the ring.
//!
//! A slab is registered when an op first uses it. From then on its pages are pinned, and the kernel
//! does not look up each page per op. Pinned memory counts as locked: where the limit
//! (`RLIMIT_MEMLOCK`) is too small, ops use the other slabs unregistered.

use super::ring::Ring;
use crate::page::{SLAB_BYTES, Slab};

/// The most fixed buffers of a ring.
const MAX_BUFFERS: usize = 1 << 14;

/// Which slabs are registered.
pub struct Buffers {
    registered: Vec<bool>,
    /// How many slabs have a place in the kernel's table; 0 once the kernel refused one.
    places: usize,
}

impl Buffers {
    /// Reserves places for the slabs of a budget of `bytes`; none where the kernel refuses.
    pub fn new(ring: &Ring, bytes: usize) -> Self {
        let places = (bytes / SLAB_BYTES).min(MAX_BUFFERS);
        let given = ring.submitter().register_buffers_sparse(places as u32);
        Self {
            registered: Vec::new(),
            places: given.map_or(0, |()| places),
        }
    }

    /// Returns the number of the fixed buffer that is `slab`, which it registers if necessary;
    /// `None` if it cannot be one.
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

    /// Unregisters a slab that is about to be unmapped: the next slab with this number must not be
    /// accessed through its buffer.
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
            // The old buffer stays registered, so no op may name this number again. No further slab
            // is registered either.
            self.places = 0;
        }
    }
}
