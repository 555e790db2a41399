//! A stream for users without a chunk type of their own.

use core::fmt;

use efio_sync::shim::Arc;

use crate::aligned::{AlignedBuf, FreeList};
use crate::buffer::Buffer;
use crate::chunk_ref::Popped;
use crate::options::Options;
use crate::push_error::PushError;
use crate::reader::ChunkReader;
use crate::writer::ChunkWriter;

/// Returns the two ends of a byte stream without a bound, which carries any [`Buffer`] and copies
/// appended bytes into tails of its own.
///
/// ```
/// let (mut writer, mut reader) = efio_chunks::byte_stream();
/// writer.append(b"copied ");
/// writer.push(vec![b'h', b'a', b'n', b'd', b'e', b'd'])?;
/// writer.append(b" over");
/// writer.close();
///
/// let mut text = String::new();
/// while !reader.is_closed() {
///     text.push_str(std::str::from_utf8(reader.chunk()).unwrap());
///     reader.consume(reader.chunk().len());
/// }
/// assert_eq!(text, "copied handed over");
/// # Ok::<(), efio_chunks::PushError<efio_chunks::Buffer>>(())
/// ```
pub fn byte_stream() -> (ByteWriter, ByteReader) {
    Options::new().build_bytes()
}

/// Returns the two ends of a [`byte_stream`] that holds at most `max_bytes` bytes, or one buffer
/// that is larger.
pub fn bounded_byte_stream(max_bytes: usize) -> (ByteWriter, ByteReader) {
    Options::new().max_bytes(max_bytes).build_bytes()
}

impl Options {
    /// Returns the two ends of a new byte stream, whose writer makes its own tails. A bound of zero
    /// counts as one, so that bytes can pass.
    pub fn build_bytes(mut self) -> (ByteWriter, ByteReader) {
        self.max_bytes = self.max_bytes.map(|bytes| bytes.max(1));
        let bound = self.max_bytes.unwrap_or(usize::MAX);
        let (first, largest) = (*self.chunk_size.start(), *self.chunk_size.end());
        let (writer, reader) = self.build();
        (
            ByteWriter::new(writer, first.min(bound), largest.min(bound)),
            reader,
        )
    }
}

/// The reading end of a [`byte_stream`].
pub type ByteReader = ChunkReader<Buffer>;

/// The writing end of a [`byte_stream`]: a [`ChunkWriter`] that makes its own tails.
///
/// Tails start small and double up to a [configured size](Options::chunk_size). Tails of
/// the largest size are recycled when the reader is done with them: as many as the bound can keep
/// in use, four without a bound, at most eight.
pub struct ByteWriter {
    inner: ChunkWriter<Buffer>,
    next_size: usize,
    spares: Spares,
}

/// Tails of the largest size; the free list is made with the first of them.
struct Spares {
    size: usize,
    count: usize,
    free_list: Option<Arc<FreeList>>,
}

/// Spare tails of a stream without a bound.
const UNBOUNDED_SPARES: usize = 4;

/// Tails start at a cache line.
const ALIGN: usize = 64;

impl ByteWriter {
    pub(crate) fn new(inner: ChunkWriter<Buffer>, first: usize, largest: usize) -> Self {
        let busy = inner.max_bytes().map(|bytes| bytes.div_ceil(largest) + 1);
        let spares = Spares {
            size: largest,
            count: busy.unwrap_or(UNBOUNDED_SPARES),
            free_list: None,
        };
        Self {
            inner,
            next_size: first,
            spares,
        }
    }

    /// Copies bytes to the end of the stream and publishes them at once. Returns how
    /// many: all of them, unless the stream is bounded and full, has no reader any more, or there
    /// is no memory.
    #[inline]
    pub fn append(&mut self, bytes: &[u8]) -> usize {
        let done = self.inner.append(bytes);
        if done == bytes.len() {
            done
        } else {
            self.append_more(bytes, done)
        }
    }

    fn append_more(&mut self, bytes: &[u8], mut done: usize) -> usize {
        while done < bytes.len() && self.make_room(bytes.len() - done) {
            done += self.inner.append(&bytes[done..]);
        }
        done
    }

    /// Returns room at the end of the stream, to be filled in place (by a `read` from a socket,
    /// say) and then [committed](Self::commit). Empty if the stream is full, has no reader any
    /// more, or there is no memory.
    pub fn spare(&mut self) -> &mut [u8] {
        self.make_room(1);
        let spare = self.inner.spare();
        // SAFETY: the tail is an `AlignedBuf`, all of whose capacity is initialised; a `u8` has no
        // other invariant.
        unsafe { &mut *(core::ptr::from_mut(spare) as *mut [u8]) }
    }

    /// Publishes the first `count` bytes of [`spare`](Self::spare).
    ///
    /// # Panics
    /// If `spare` was shorter.
    pub fn commit(&mut self, count: usize) {
        assert!(
            count <= self.inner.room(),
            "committed more than there was room for"
        );
        // SAFETY: there is that much room, and it is initialised as in `spare`.
        unsafe { self.inner.commit(count) };
    }

    /// Makes room in the open tail, if possible for `wanted` bytes. `false`: no room available.
    fn make_room(&mut self, wanted: usize) -> bool {
        if self.inner.room() != 0 {
            return true;
        }
        if self.inner.is_reader_gone() || !self.inner.has_room_for(1) {
            return false;
        }
        let Some(tail) = self.new_tail(wanted) else {
            return false;
        };
        self.inner.open(Buffer::Aligned(tail)).is_ok()
    }

    fn new_tail(&mut self, wanted: usize) -> Option<AlignedBuf> {
        let size = self.next_size.max(wanted.min(self.spares.size));
        self.next_size = size.saturating_mul(2).min(self.spares.size);
        if size < self.spares.size {
            return AlignedBuf::try_new(size, ALIGN);
        }
        let Spares {
            count, free_list, ..
        } = &mut self.spares;
        let free_list =
            free_list.get_or_insert_with(|| Arc::new(FreeList::new(size, ALIGN, *count)));
        AlignedBuf::from_free_list(free_list)
    }

    /// Pushes a buffer without copying it; see [`ChunkWriter::push`].
    ///
    /// # Errors
    /// The buffer comes back when the stream is full or has no reader any more.
    pub fn push(&mut self, buffer: impl Into<Buffer>) -> Result<(), PushError<Buffer>> {
        self.inner.push(buffer.into())
    }

    /// Pushes a buffer from its byte `begin` on; see [`ChunkWriter::push_from`].
    ///
    /// # Errors
    /// As for [`push`](Self::push).
    ///
    /// # Panics
    /// If `begin` is past the end of the buffer.
    pub fn push_from(
        &mut self,
        buffer: impl Into<Buffer>,
        begin: usize,
    ) -> Result<(), PushError<Buffer>> {
        self.inner.push_from(buffer.into(), begin)
    }

    /// Pushes a chunk that [`pop`](ChunkReader::pop) returned.
    ///
    /// # Errors
    /// As for [`push`](Self::push).
    pub fn push_popped(&mut self, popped: Popped<Buffer>) -> Result<(), PushError<Popped<Buffer>>> {
        self.inner.push_popped(popped)
    }

    /// Moves all bytes available in `from` to the end of this stream, as far as this stream takes
    /// them. Copies only the bytes of `from`'s open tail, which its writer keeps. Returns how many
    /// bytes moved.
    pub fn transfer_from(&mut self, from: &mut ByteReader) -> usize {
        let mut moved = from.transfer(&mut self.inner);
        loop {
            let copied = match from.front() {
                Some(front) if !front.is_sealed() => self.append(front.bytes()),
                _ => return moved,
            };
            if copied == 0 {
                return moved;
            }
            moved += from.consume(copied);
            moved += from.transfer(&mut self.inner);
        }
    }

    /// Makes the open tail's length final, so that the reader can have it; see
    /// [`ChunkWriter::seal`]. The next append starts another tail.
    pub fn seal(&mut self) {
        self.inner.seal();
    }

    /// Returns how many of `wanted` bytes the stream would take now.
    pub fn allowance(&mut self, wanted: usize) -> usize {
        if self.inner.is_reader_gone() {
            return 0;
        }
        let granted = self.inner.allowance(wanted);
        // Bytes beyond the open tail need another one.
        let tail = self.inner.room();
        if granted <= tail || self.inner.has_room_for(1) {
            granted
        } else {
            tail
        }
    }

    /// Returns whether the stream would take a buffer of `bytes` bytes now.
    pub fn has_room_for(&mut self, bytes: usize) -> bool {
        self.inner.has_room_for(bytes)
    }

    /// Returns how many bytes are in the stream, not consumed yet.
    pub fn buffered(&mut self) -> usize {
        self.inner.buffered()
    }

    /// Returns the bound, if there is one.
    pub fn max_bytes(&self) -> Option<usize> {
        self.inner.max_bytes()
    }

    /// Returns whether the reading end was dropped.
    pub fn is_reader_gone(&self) -> bool {
        self.inner.is_reader_gone()
    }

    /// Requests a notification for when there is room; see [`ChunkWriter::arm`].
    pub fn arm(&mut self, bytes: usize) -> bool {
        self.inner.arm(bytes)
    }

    /// Closes the stream, as dropping does unless the thread panics.
    pub fn close(self) {
        self.inner.close();
    }

    /// Aborts the stream; see [`ChunkWriter::abort`].
    pub fn abort(self) {
        self.inner.abort();
    }
}

impl fmt::Debug for ByteWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ByteWriter")
            .field("inner", &self.inner)
            .field("next_size", &self.next_size)
            .finish_non_exhaustive()
    }
}
