//! The reader's views of the stream, one per chunk, borrowed or owned.

use core::fmt;
use core::ops::Range;
use core::slice;

use crate::chunk::Chunk;
use crate::link::{End, Next};
use crate::node::{Extent, Node, Shared};

/// The bytes of one chunk that are published and not consumed, borrowed from the reader.
pub struct ChunkRef<'a, C> {
    node: &'a Node<C>,
    offset: usize,
    extent: Extent,
}

impl<'a, C: Chunk> ChunkRef<'a, C> {
    /// Returns the bytes, at least one.
    pub fn bytes(&self) -> &'a [u8] {
        let len = self.extent.end - self.offset;
        // SAFETY: bytes below the published end are initialised and never change; the chunk stays
        // while the reader, which takes it out, is borrowed.
        unsafe { slice::from_raw_parts(self.chunk().as_ptr().add(self.offset), len) }
    }

    /// Returns the chunk. Its `len()` may be less than [`published`](Self::published) if bytes were
    /// appended. If it is reference-counted the caller may clone it: the published bytes of an
    /// open chunk never change.
    pub fn chunk(&self) -> &'a C {
        // SAFETY: the reader takes the chunk out only when it is not borrowed.
        unsafe { self.node.chunk() }
    }

    /// Returns where in the chunk [`bytes`](Self::bytes) start: the bytes before it are consumed.
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// Returns where in the chunk the bytes end: so many are published, from its first byte.
    pub fn published(&self) -> usize {
        self.extent.end
    }

    /// Returns whether no more bytes will come into this chunk. Then
    /// [`pop`](crate::ChunkReader::pop) returns it.
    pub fn is_sealed(&self) -> bool {
        self.extent.sealed
    }
}

impl<C: Chunk> fmt::Debug for ChunkRef<'_, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChunkRef")
            .field("offset", &self.offset)
            .field("published", &self.extent.end)
            .field("sealed", &self.extent.sealed)
            .finish()
    }
}

/// An iterator over the chunks of a stream in order, without consuming them; see
/// [`ChunkReader::chunks`](crate::ChunkReader::chunks).
///
/// Bytes written meanwhile may or may not be seen, but never with a gap.
pub struct ChunkRefs<'a, C> {
    shared: &'a Shared<C>,
    position: Position<C>,
    end: Option<End>,
}

/// The position of an iterator.
#[derive(Debug, Clone, Copy)]
enum Position<C> {
    /// At a node, of whose chunk so many bytes are passed.
    At(*mut Node<C>, usize),
    /// Past the chunk of a node; null: before the first.
    Past(*mut Node<C>),
    /// Nothing more for now.
    Done,
}

impl<'a, C> ChunkRefs<'a, C> {
    /// # Safety
    /// `node` is null or the reader's current one, `spent` says whether its chunk was taken, and
    /// `offset` bytes of the chunk are consumed. The reader is borrowed for `'a`.
    pub(crate) unsafe fn new(
        shared: &'a Shared<C>,
        node: *mut Node<C>,
        spent: bool,
        offset: usize,
    ) -> Self {
        let position = if spent {
            Position::Past(node)
        } else {
            Position::At(node, offset)
        };
        Self {
            shared,
            position,
            end: None,
        }
    }

    /// Returns the end of the stream, if `next` returned `None` because of it.
    pub(crate) fn end(&self) -> Option<End> {
        self.end
    }
}

impl<'a, C: Chunk> Iterator for ChunkRefs<'a, C> {
    type Item = ChunkRef<'a, C>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.position {
                Position::At(node, offset) => {
                    // SAFETY: the reader frees nodes, from its own on, and it is borrowed.
                    let node_ref = unsafe { &*node };
                    let extent = node_ref.extent();
                    // The writer may have appended to this open chunk and linked another one since
                    // the load: stop here, or there would be a gap.
                    self.position = if extent.sealed {
                        Position::Past(node)
                    } else {
                        Position::Done
                    };
                    if offset < extent.end {
                        return Some(ChunkRef {
                            node: node_ref,
                            offset,
                            extent,
                        });
                    }
                }
                Position::Past(node) => {
                    let link = if node.is_null() {
                        self.shared.first()
                    } else {
                        // SAFETY: as above.
                        unsafe { &(*node).next }
                    };
                    self.position = Position::Done;
                    match link.get() {
                        Next::Node(next) => {
                            // SAFETY: linked nodes are alive until the reader steps past them.
                            let begin = unsafe { (*next).begin };
                            self.position = Position::At(next, begin);
                        }
                        Next::End(end) => self.end = Some(end),
                        Next::Nothing => {}
                    }
                }
                Position::Done => return None,
            }
        }
    }
}

impl<C> core::iter::FusedIterator for ChunkRefs<'_, C> where Self: Iterator {}

impl<C> fmt::Debug for ChunkRefs<'_, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChunkRefs").finish_non_exhaustive()
    }
}

/// A chunk that left the stream, and the range of its bytes that were not consumed.
pub struct Popped<C> {
    chunk: C,
    range: Range<usize>,
}

impl<C: Chunk> Popped<C> {
    /// # Safety
    /// `range` is in order and initialised in `chunk`.
    pub(crate) unsafe fn new(chunk: C, range: Range<usize>) -> Self {
        Self { chunk, range }
    }

    /// Returns the bytes that were not consumed.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: by construction, and no one else had the chunk since.
        unsafe {
            slice::from_raw_parts(self.chunk.as_ptr().add(self.range.start), self.range.len())
        }
    }

    /// Returns the chunk.
    pub fn chunk(&self) -> &C {
        &self.chunk
    }

    /// Returns where in the chunk the bytes are.
    pub fn range(&self) -> Range<usize> {
        self.range.clone()
    }
}

impl<C> Popped<C> {
    /// Returns the chunk, and the range of its bytes that were not consumed.
    pub fn into_parts(self) -> (C, Range<usize>) {
        (self.chunk, self.range)
    }

    /// Returns the chunk with all its bytes, consumed ones too.
    pub fn into_chunk(self) -> C {
        self.chunk
    }
}

impl<C: Chunk> AsRef<[u8]> for Popped<C> {
    fn as_ref(&self) -> &[u8] {
        self.bytes()
    }
}

impl<C> fmt::Debug for Popped<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Popped")
            .field("range", &self.range)
            .finish_non_exhaustive()
    }
}
