//! A chunk for the models. Its bytes are plain memory, which loom does not watch, so each byte has
//! a loom cell beside it: the models write the cell before the byte goes in, and read it after the
//! byte came out. There loom reports a stream that hands over a byte without its happens-before
//! edge.
#![allow(dead_code)]

use efio_chunks::{AppendChunk, Chunk};
use loom::cell::UnsafeCell;
use loom::model::Builder;
use loom::sync::Arc;

/// The number of bytes in a page, and of cells in a [`Trail`].
pub const SIZE: usize = 4;

/// Reference-counted; loom's `Arc` reports a leak.
pub struct Page(Arc<*mut [u8; SIZE]>, usize);

// SAFETY: plain memory, handed over by the stream under test.
unsafe impl Send for Page {}
// SAFETY: as above.
unsafe impl Sync for Page {}

impl Page {
    pub fn new(bytes: &[u8]) -> Self {
        let mut memory = [0; SIZE];
        memory[..bytes.len()].copy_from_slice(bytes);
        Self(Arc::new(Box::into_raw(Box::new(memory))), bytes.len())
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        if Arc::strong_count(&self.0) == 1 {
            // SAFETY: the pointer came from a box, and this is the last reference.
            drop(unsafe { Box::from_raw(*self.0) });
        }
    }
}

// SAFETY: initialised memory at a constant address.
unsafe impl Chunk for Page {
    fn as_ptr(&self) -> *const u8 {
        self.0.cast::<u8>()
    }

    fn len(&self) -> usize {
        self.1
    }

    /// A page that was created empty counts as large.
    fn memory(&self) -> usize {
        if self.1 == 0 { 64 << 10 } else { SIZE }
    }
}

// SAFETY: reached through a raw pointer, of constant size.
unsafe impl AppendChunk for Page {
    fn as_mut_ptr(&self) -> *mut u8 {
        self.0.cast::<u8>()
    }

    fn capacity(&self) -> usize {
        SIZE
    }
}

/// A cell per byte of the stream.
#[derive(Clone)]
pub struct Trail(Arc<[UnsafeCell<u8>; SIZE]>);

// SAFETY: that is what the models show.
unsafe impl Send for Trail {}

impl Trail {
    pub fn new() -> Self {
        Self(Arc::new(core::array::from_fn(|_| UnsafeCell::new(0))))
    }

    /// The byte at `position` is about to go in.
    pub fn write(&self, position: usize, byte: u8) {
        // SAFETY: loom checks that no other access is concurrent.
        self.0[position].with_mut(|cell| unsafe { *cell = byte });
    }

    /// The byte at `position` has come out.
    pub fn check(&self, position: usize, byte: u8) {
        // SAFETY: as above.
        self.0[position].with(|cell| assert_eq!(unsafe { *cell }, byte));
    }
}

/// Runs a model with at most three preemptions.
pub fn model(run: impl Fn() + Send + Sync + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(run);
}
