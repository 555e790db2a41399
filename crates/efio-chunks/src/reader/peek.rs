//! Methods that read the stream without consuming from it.

use core::ptr;
use std::io::IoSlice;

use crate::chunk::Chunk;
use crate::chunk_ref::ChunkRefs;
use crate::link::{End, Next};
use crate::node::Node;
use crate::reader::ChunkReader;

/// A node whose start lies `position` bytes into the stream; null: none counted yet.
pub(super) struct Counted<C> {
    pub(super) node: *mut Node<C>,
    position: usize,
}

impl<C> Clone for Counted<C> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<C> Copy for Counted<C> {}

impl<C> Counted<C> {
    pub(super) const NONE: Self = Self {
        node: ptr::null_mut(),
        position: 0,
    };
}

impl<C: Chunk> ChunkReader<C> {
    /// Copies bytes out from `offset` bytes ahead, without consuming any. Returns how many it
    /// copied: fewer than `buf` holds when the stream ends before, zero when `offset` is past its
    /// end.
    pub fn peek(&self, offset: u64, buf: &mut [u8]) -> usize {
        let mut skip = offset;
        let mut filled = 0;
        for chunk in self.chunks() {
            let bytes = chunk.bytes();
            if skip >= bytes.len() as u64 {
                skip -= bytes.len() as u64;
                continue;
            }
            // It is less than a length, so it fits.
            let bytes = &bytes[skip as usize..];
            skip = 0;
            let count = bytes.len().min(buf.len() - filled);
            buf[filled..filled + count].copy_from_slice(&bytes[..count]);
            filled += count;
            if filled == buf.len() {
                break;
            }
        }
        filled
    }

    /// Returns the bytes of the oldest chunk that has any, without a copy; empty if there are none
    /// now.
    pub fn chunk(&self) -> &[u8] {
        self.chunks().next().map_or(&[], |chunk| chunk.bytes())
    }

    /// Returns an iterator over the chunks with bytes to read, in order, without consuming any.
    pub fn chunks(&self) -> ChunkRefs<'_, C> {
        // SAFETY: these are the reader's own, and it is borrowed.
        unsafe { ChunkRefs::new(self.shared(), self.node, self.spent, self.offset) }
    }

    /// Fills `slices` from the front for a vectored write, and returns how many it set. Then
    /// [`consume`](Self::consume) as many bytes as were written.
    pub fn io_slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let mut count = 0;
        for (slice, chunk) in slices.iter_mut().zip(self.chunks()) {
            *slice = IoSlice::new(chunk.bytes());
            count += 1;
        }
        count
    }

    /// Returns how many bytes are available. The writer may add more at any moment.
    ///
    /// Each chunk is counted once in its life, however often this is called.
    pub fn len(&self) -> usize {
        let Counted {
            mut node,
            mut position,
        } = self.counted.get();
        if node.is_null() {
            (node, position) = if self.node.is_null() {
                match self.shared().first().get() {
                    Next::Node(first) => (first, self.consumed),
                    Next::Nothing | Next::End(_) => return 0,
                }
            } else {
                // SAFETY: the reader's own node is alive.
                let begin = unsafe { (*self.node).begin };
                (self.node, self.consumed.wrapping_sub(self.offset - begin))
            };
        }
        loop {
            // SAFETY: nodes from the reader's own on are alive.
            let current = unsafe { &*node };
            let extent = current.extent();
            let end = position.wrapping_add(extent.end - current.begin);
            if extent.sealed {
                if let Next::Node(next) = current.next.get() {
                    (node, position) = (next, end);
                    continue;
                }
            }
            self.counted.set(Counted { node, position });
            return end.wrapping_sub(self.consumed);
        }
    }

    /// Returns whether there is nothing to read now. More may come unless
    /// [`is_closed`](Self::is_closed).
    pub fn is_empty(&self) -> bool {
        self.chunks().next().is_none()
    }

    /// Returns whether this is the end of file: the writer has closed or aborted the stream, and
    /// everything is consumed.
    pub fn is_closed(&self) -> bool {
        self.end().is_some()
    }

    /// Returns whether the stream ended early: the writer [aborted](crate::ChunkWriter::abort) it,
    /// and everything that it wrote is consumed.
    pub fn is_aborted(&self) -> bool {
        self.end() == Some(End::Aborted)
    }

    /// Returns whether the writer was dropped. There may still be bytes in the stream.
    pub fn is_writer_gone(&self) -> bool {
        self.shared().writer_gone()
    }

    /// Returns how the stream ended, if it did and everything is consumed.
    fn end(&self) -> Option<End> {
        let mut chunks = self.chunks();
        match chunks.next() {
            Some(_) => None,
            None => chunks.end(),
        }
    }
}
