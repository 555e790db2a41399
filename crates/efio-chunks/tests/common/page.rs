//! A chunk type for the tests.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use efio_chunks::{AppendChunk, Chunk};

/// A reference-counted chunk with room, as a page of a pool would be. Counts itself.
#[derive(Clone)]
pub struct Page(Arc<Memory>);

struct Memory {
    start: *mut u8,
    capacity: usize,
    len: usize,
    alive: Option<Arc<AtomicUsize>>,
}

// SAFETY: plain memory that the stream's protocol guards.
unsafe impl Send for Memory {}
// SAFETY: as above.
unsafe impl Sync for Memory {}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: it came from a boxed slice of that length.
        drop(unsafe {
            Box::from_raw(std::ptr::slice_from_raw_parts_mut(
                self.start,
                self.capacity,
            ))
        });
        if let Some(alive) = &self.alive {
            alive.fetch_sub(1, Relaxed);
        }
    }
}

impl Page {
    /// A page with these bytes and room up to `capacity`; `alive` counts those that live.
    pub fn new(bytes: &[u8], capacity: usize, alive: Option<&Arc<AtomicUsize>>) -> Self {
        let mut memory = vec![0xEE; capacity].into_boxed_slice();
        memory[..bytes.len()].copy_from_slice(bytes);
        if let Some(alive) = alive {
            alive.fetch_add(1, Relaxed);
        }
        let start = Box::into_raw(memory).cast::<u8>();
        Self(Arc::new(Memory {
            start,
            capacity,
            len: bytes.len(),
            alive: alive.cloned(),
        }))
    }
}

// SAFETY: `len` bytes are initialised, at a constant address, and nobody changes them.
unsafe impl Chunk for Page {
    fn as_ptr(&self) -> *const u8 {
        self.0.start
    }

    fn len(&self) -> usize {
        self.0.len
    }
}

// SAFETY: the memory is reached through a raw pointer, constant and large enough.
unsafe impl AppendChunk for Page {
    fn as_mut_ptr(&self) -> *mut u8 {
        self.0.start
    }

    fn capacity(&self) -> usize {
        self.0.capacity
    }
}
