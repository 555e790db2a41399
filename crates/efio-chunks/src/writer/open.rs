//! The open tail: the chunk to which the writer appends.
//!
//! ```text
//!            begin            published = len              capacity
//!  chunk  ├────┼──────────────────┼──────────────────────────┤
//!               the reader's view   the writer's room
//! ```

use core::mem::MaybeUninit;
use core::ptr;
use core::slice;

use efio_sync::shim::prefetch::prefetch_for_write;

use crate::chunk::AppendChunk;
use crate::node::{Extent, Node};
use crate::push_error::PushError;
use crate::writer::{ChunkWriter, MAX_CHUNK};

/// How far ahead of its bytes the open tail's memory is prefetched. A thread that writes a line to
/// each of many streams in turn finds a tail's memory in no cache, and its stores wait for it: with
/// 100 streams a line of 150 bytes takes 40 ns with the prefetch, 100 ns without. 256 and 1024 are
/// no better.
const AHEAD: usize = 512;
/// The last part of it, all that is prefetched after an append of at most so many bytes: most cache
/// lines are prefetched once, without a loop of unpredictable length.
const SHORT: usize = 192;

/// The memory that `append` copies to.
pub(super) struct OpenTail {
    memory: *mut u8,
    pub(super) len: usize,
    capacity: usize,
}

impl OpenTail {
    pub(super) const NONE: Self = Self {
        memory: ptr::null_mut(),
        len: 0,
        capacity: 0,
    };

    #[inline(always)]
    pub(super) fn is_open(&self) -> bool {
        !self.memory.is_null()
    }

    #[inline(always)]
    pub(super) fn room(&self) -> usize {
        self.capacity - self.len
    }

    /// Prefetches the memory that `count` bytes more have brought within [`AHEAD`]. After a larger
    /// copy it does nothing: the processor prefetches by itself there.
    #[inline(always)]
    fn prefetch(&self, count: usize) {
        if self.room() < AHEAD || count > AHEAD {
            // The room that is left was prefetched, and after it is foreign memory.
            return;
        }
        let end = self.memory.wrapping_add(self.len);
        prefetch_for_write::<SHORT>(end.wrapping_add(AHEAD - SHORT));
        if count > SHORT {
            prefetch_for_write::<{ AHEAD - SHORT }>(end);
        }
    }
}

impl<C: AppendChunk> ChunkWriter<C> {
    /// Makes `chunk` the open tail: its bytes are in the stream at once, and
    /// [`append`](Self::append) copies after them. Seals the open tail before it, if there is one.
    ///
    /// # Errors
    /// As for [`push`](Self::push), by the bytes that it has now.
    ///
    /// # Panics
    /// On a capacity of more than a quarter of the address space.
    pub fn open(&mut self, chunk: C) -> Result<(), PushError<C>> {
        let len = chunk.len();
        let chunk = self.check_room(chunk, len)?;
        assert!(chunk.capacity() <= MAX_CHUNK, "chunk too large");
        self.charge(&chunk, len);
        let node = Node::new(
            chunk,
            0,
            Extent {
                end: len,
                sealed: false,
            },
        );
        // SAFETY: the node is ours; the pointer stays valid while the chunk stays in it, which is
        // until the reader has seen it sealed.
        let chunk = unsafe { (*node).chunk() };
        let open = OpenTail {
            memory: chunk.as_mut_ptr(),
            len,
            capacity: chunk.capacity(),
        };
        let woken = self.link(node);
        self.open = open;
        self.notify_if(woken);
        Ok(())
    }

    /// Appends bytes to the open tail, as many as [`room`](Self::room) allows, and publishes them
    /// at once. Returns how many; the others need another tail, or room in the stream.
    ///
    /// Costs the copy, a load and one Release store, and prefetches the memory of the next appends.
    #[inline]
    pub fn append(&mut self, bytes: &[u8]) -> usize {
        let count = self.grant(bytes.len().min(self.open.room()));
        if count == 0 {
            return 0;
        }
        // SAFETY: there are `room` writable bytes after `len`, no other thread touches them, and
        // `count` is no more than that; `bytes` is not among them since they are not published.
        unsafe {
            ptr::copy_nonoverlapping(bytes.as_ptr(), self.open.memory.add(self.open.len), count);
        }
        self.advance(count);
        self.open.prefetch(count);
        count
    }

    #[inline(always)]
    fn advance(&mut self, count: usize) {
        self.open.len += count;
        self.written = self.written.wrapping_add(count);
        let woken = self.publish(false);
        self.notify_if(woken);
    }

    /// Returns the room of the open tail, to be filled in place; then [`commit`](Self::commit). It
    /// is as long as [`room`](Self::room) says, empty where that is zero.
    pub fn spare(&mut self) -> &mut [MaybeUninit<u8>] {
        let room = self.room();
        if room == 0 {
            return &mut [];
        }
        // SAFETY: as in `append`; the slice borrows the writer, so nothing is appended meanwhile.
        unsafe { slice::from_raw_parts_mut(self.open.memory.add(self.open.len).cast(), room) }
    }

    /// Publishes the first `count` bytes of [`spare`](Self::spare).
    ///
    /// # Safety
    /// They are initialised, and `spare` was at least that long.
    pub unsafe fn commit(&mut self, count: usize) {
        debug_assert!(count <= self.open.room());
        if count != 0 {
            self.advance(count);
        }
    }

    /// Returns the open tail, `None` if there is none. Its `len()` is what it was when it came.
    pub fn open_chunk(&self) -> Option<&C> {
        // SAFETY: the tail is open and stays so while the reference borrows the writer.
        self.open.is_open().then(|| unsafe { (*self.tail).chunk() })
    }

    /// Returns how many bytes of the open tail are published, zero when there is none.
    pub fn open_len(&self) -> usize {
        self.open.len
    }
}
