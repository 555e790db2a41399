//! The end that takes bytes out.

mod peek;

use core::cell::Cell;
use core::fmt;
use core::marker::PhantomData;
use core::ptr::{self, NonNull};
use std::sync::Arc;

use efio_sync::shim::atomic::Ordering::Relaxed;

use crate::chunk::Chunk;
use crate::chunk_ref::{ChunkRef, Popped};
use crate::link::{Link, Next};
use crate::node::{Extent, Node, Position, Shared};
use crate::notify::Notify;
use crate::writer::ChunkWriter;

use peek::Counted;

/// The reading end of a stream of chunks.
///
/// One thread at a time has it. No method waits: each sees what the writer has published so far.
/// Chunks that are consumed and sealed are dropped at once, on this thread.
///
/// Dropping it drops the chunks that are in the stream, but an open tail stays until
/// the writer is dropped too.
///
/// ```compile_fail,E0599
/// let (writer, reader) = efio_chunks::unbounded::<Vec<u8>>();
/// let second = reader.clone();
/// ```
pub struct ChunkReader<C: Chunk> {
    shared: NonNull<Shared<C>>,
    /// The current node, null before the first.
    node: *mut Node<C>,
    /// Whether its chunk has been taken (or there is no node).
    spent: bool,
    /// The first byte of its chunk; null when spent.
    memory: *const u8,
    /// How much of its chunk is consumed.
    offset: usize,
    /// Its extent at the last load; empty at `offset` when spent.
    seen: Extent,
    /// How many bytes were consumed, modulo the word.
    consumed: usize,
    /// How many of them are published to the writer.
    published: usize,
    /// The memory of the chunks that left, modulo the word; counted if there is a bound.
    freed: usize,
    is_bounded: bool,
    /// How far `len` has counted.
    counted: Cell<Counted<C>>,
    hook: Option<Arc<dyn Notify>>,
    _owns: PhantomData<C>,
}

// SAFETY: chunks are `Send`, what both ends share is reached only through the protocol of
// `node.rs`, and the hook is `Send + Sync`.
unsafe impl<C: Chunk> Send for ChunkReader<C> {}

impl<C: Chunk> ChunkReader<C> {
    /// # Safety
    /// `shared` is fresh and this is its only reader.
    pub(crate) unsafe fn new(
        shared: NonNull<Shared<C>>,
        is_bounded: bool,
        hook: Option<Arc<dyn Notify>>,
    ) -> Self {
        Self {
            shared,
            node: ptr::null_mut(),
            spent: true,
            memory: ptr::null(),
            offset: 0,
            seen: Extent {
                end: 0,
                sealed: true,
            },
            consumed: 0,
            published: 0,
            freed: 0,
            is_bounded,
            counted: Cell::new(Counted::NONE),
            hook,
            _owns: PhantomData,
        }
    }

    /// Returns the oldest chunk that has bytes to read, `None` if there are none now.
    pub fn front(&mut self) -> Option<ChunkRef<'_, C>> {
        if self.settle(usize::MAX) {
            self.chunks().next()
        } else {
            None
        }
    }

    /// Takes the oldest chunk out of the stream, with what is not consumed of it.
    ///
    /// `None` if there is nothing to read now, and while the oldest chunk is the open tail: it
    /// stays until the writer seals it ([`ChunkRef::is_sealed`]).
    pub fn pop(&mut self) -> Option<Popped<C>> {
        if !self.settle(usize::MAX) || !self.seen.sealed {
            return None;
        }
        let range = self.offset..self.seen.end;
        let mut chunk = self.take();
        if chunk.len() < range.end {
            // SAFETY: the writer has filled the chunk up to here.
            unsafe { chunk.set_len(range.end) };
        }
        self.consumed = self.consumed.wrapping_add(range.len());
        self.publish();
        // SAFETY: all bytes below the published end are initialised.
        Some(unsafe { Popped::new(chunk, range) })
    }

    /// Copies bytes out and consumes them; as many as there are, zero if there are none now.
    #[inline]
    pub fn read(&mut self, buf: &mut [u8]) -> usize {
        if buf.len() < self.seen.end - self.offset {
            // SAFETY: that many bytes are published, and fewer than all, so the chunk stays.
            unsafe { ptr::copy_nonoverlapping(self.unread(), buf.as_mut_ptr(), buf.len()) };
            self.advance(buf.len());
            if !buf.is_empty() {
                self.publish();
            }
            return buf.len();
        }
        self.read_across(buf)
    }

    /// `read` across chunks, or with a fresh load of what the writer published.
    fn read_across(&mut self, buf: &mut [u8]) -> usize {
        let mut filled = 0;
        while filled < buf.len() && self.settle(buf.len() - filled) {
            let count = (self.seen.end - self.offset).min(buf.len() - filled);
            // SAFETY: `count` bytes are published and as many fit.
            unsafe {
                ptr::copy_nonoverlapping(self.unread(), buf.as_mut_ptr().add(filled), count);
            }
            self.advance(count);
            filled += count;
        }
        self.settle(1);
        self.publish_if_new();
        filled
    }

    /// Drops up to `count` bytes from the front. Returns how many it dropped.
    pub fn consume(&mut self, count: usize) -> usize {
        let mut left = count;
        while left != 0 && self.settle(left) {
            let step = left.min(self.seen.end - self.offset);
            self.advance(step);
            left -= step;
        }
        if self.offset == self.seen.end {
            self.settle(1);
        }
        self.publish_if_new();
        count - left
    }

    /// Moves chunks to the end of another stream without copying them, for as long as they are
    /// sealed and the other stream takes them. Returns how many bytes moved.
    ///
    /// An open tail stays: its writer still appends to it.
    pub fn transfer(&mut self, to: &mut ChunkWriter<C>) -> usize {
        let mut moved = 0;
        while self.settle(usize::MAX) && self.seen.sealed {
            let bytes = self.seen.end - self.offset;
            if to.is_reader_gone() || !to.has_room_for(bytes) {
                break;
            }
            let Some(popped) = self.pop() else { break };
            // The other stream can only have become emptier since. If its reader left meanwhile
            // the chunk is lost with the rest of that stream.
            if to.push_popped(popped).is_err() {
                break;
            }
            moved += bytes;
        }
        moved
    }

    /// Requests one call of the hook of [`Options::on_readable`](crate::Options::on_readable): when
    /// there is more to read, when the open tail is sealed, or at the end of the stream.
    ///
    /// Returns `false`, without a request, if one of these is so already: read again instead of
    /// waiting. Without a hook there is no call.
    pub fn arm(&mut self) -> bool {
        loop {
            if self.settle(1) {
                return false;
            }
            let requested = if self.spent {
                self.link().request_wakeup()
            } else {
                // SAFETY: the reader's own node is alive.
                unsafe { (*self.node).request_wakeup(self.seen) }
            };
            if requested {
                return true;
            }
            if self.is_closed() {
                return false;
            }
        }
    }

    /// Moves to a node with bytes to read; `false` if there is none now. Loads what the writer
    /// published only when fewer than `wanted` bytes are known. Drops chunks that are sealed and
    /// consumed, and frees nodes that the writer is done with.
    fn settle(&mut self, wanted: usize) -> bool {
        loop {
            if !self.spent {
                if !self.seen.sealed && self.seen.end - self.offset < wanted {
                    // SAFETY: the reader's own node is alive.
                    self.seen = unsafe { (*self.node).extent() };
                }
                if self.offset < self.seen.end {
                    return true;
                }
                if !self.seen.sealed {
                    return false;
                }
                self.drop_chunk();
            }
            match self.link().get() {
                Next::Node(next) => self.enter(next),
                Next::Nothing | Next::End(_) => return false,
            }
        }
    }

    /// Moves to the node after the current one, which is spent, and frees that one.
    fn enter(&mut self, next: *mut Node<C>) {
        if self.counted.get().node == self.node {
            self.counted.set(Counted::NONE);
        }
        if !self.node.is_null() {
            // SAFETY: it came from `Box::into_raw`, its chunk is taken, and the writer does not
            // touch a node again once it has linked the next.
            drop(unsafe { Box::from_raw(self.node) });
        }
        // SAFETY: it is linked, so it is initialised and ours to free.
        let node = unsafe { &*next };
        self.node = next;
        self.spent = false;
        // SAFETY: the chunk is there until `take`.
        self.memory = unsafe { node.chunk() }.as_ptr();
        self.offset = node.begin;
        self.seen = node.extent();
    }

    /// Drops the chunk of the current node, which is sealed and consumed.
    fn drop_chunk(&mut self) {
        let chunk = self.take();
        // Before the drop, which may panic.
        if self.is_bounded {
            self.publish();
        } else {
            self.publish_if_new();
        }
        drop(chunk);
    }

    /// Takes the chunk out of the current node, which is sealed. The caller publishes it.
    fn take(&mut self) -> C {
        debug_assert!(!self.spent && self.seen.sealed);
        self.offset = self.seen.end;
        self.spent = true;
        self.memory = ptr::null();
        // SAFETY: seen sealed, and `spent` makes it happen once.
        let chunk = unsafe { (*self.node).take() };
        if self.is_bounded {
            self.freed = self.freed.wrapping_add(Node::memory(&chunk));
            // Relaxed: published by the `set` that follows.
            self.shared().returned.0.memory.store(self.freed, Relaxed);
        }
        chunk
    }

    /// Counts bytes of the current chunk as consumed. The caller publishes it.
    #[inline(always)]
    fn advance(&mut self, count: usize) {
        self.offset += count;
        self.consumed = self.consumed.wrapping_add(count);
    }

    #[inline(always)]
    fn unread(&self) -> *const u8 {
        // SAFETY: `offset` is within the chunk, as the caller has checked that it has bytes.
        unsafe { self.memory.add(self.offset) }
    }

    /// Publishes to the writer what was consumed and freed.
    #[inline(always)]
    fn publish(&mut self) {
        self.published = self.consumed;
        let bytes = &self.shared().returned.0.bytes;
        if bytes.set(self.consumed, self.hook.is_some()) {
            self.notify();
        }
    }

    #[inline(always)]
    fn publish_if_new(&mut self) {
        if self.published != self.consumed {
            self.publish();
        }
    }

    #[cold]
    fn notify(&self) {
        if let Some(hook) = &self.hook {
            hook.notify();
        }
    }

    /// Returns the link after the current node.
    fn link(&self) -> &Link<Node<C>> {
        if self.node.is_null() {
            self.shared().first()
        } else {
            // SAFETY: the reader's own node is alive.
            unsafe { &(*self.node).next }
        }
    }

    #[inline(always)]
    fn shared(&self) -> &Shared<C> {
        // SAFETY: the last end to leave frees it, and this one has not left.
        unsafe { self.shared.as_ref() }
    }
}

impl<C: Chunk> Drop for ChunkReader<C> {
    fn drop(&mut self) {
        /// Calls `leave`, also when the drop of a chunk panics.
        struct Leave<'r, C: Chunk>(&'r mut ChunkReader<C>);

        impl<C: Chunk> Drop for Leave<'_, C> {
            fn drop(&mut self) {
                self.0.pass_over();
                self.0.leave();
            }
        }

        Leave(self).0.pass_over();
    }
}

impl<C: Chunk> ChunkReader<C> {
    /// Moves past everything that is sealed, so that those chunks are dropped now.
    fn pass_over(&mut self) {
        while self.settle(usize::MAX) {
            self.offset = self.seen.end;
            if !self.seen.sealed {
                break;
            }
        }
    }

    fn leave(&mut self) {
        let position = Position {
            node: self.node,
            spent: self.spent,
        };
        let shared = self.shared.as_ptr();
        // SAFETY: called once, by drop, and `position` is the reader's.
        let woken =
            unsafe { Shared::reader_leaves(shared, position, self.consumed, self.hook.is_some()) };
        if woken {
            self.notify();
        }
    }
}

impl<C: Chunk> fmt::Debug for ChunkReader<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChunkReader")
            .field("len", &self.len())
            .field("closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}
