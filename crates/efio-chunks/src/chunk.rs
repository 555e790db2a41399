//! The memory that a stream carries.

/// A block of memory with bytes in it that a stream can carry from one thread to another.
///
/// Supplied: `Vec<u8>`, `Box<[u8]>`, [`AlignedBuf`](crate::AlignedBuf), [`Buffer`](crate::Buffer)
/// and, with the feature `bytes`, `bytes::Bytes`.
///
/// # Safety
///
/// From the moment that a stream takes it until it returns or drops it:
///
/// - `as_ptr` returns one and the same pointer while the chunk stays in its place, and `len` and
///   `memory` the same number. None of them panics.
/// - The `len` bytes at the pointer are initialised, may be read from any thread that has a
///   reference to the chunk, and no thread changes them.
pub unsafe trait Chunk: Send {
    /// Returns the address of the first byte.
    fn as_ptr(&self) -> *const u8;

    /// Returns how many initialised bytes it has.
    fn len(&self) -> usize;

    /// Returns whether it has none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns how many bytes of memory it keeps, unused room included. A bounded stream counts
    /// them beside the bytes, so that neither many small chunks nor large ones with little in them
    /// take more memory than the bound allows. The default is `len`.
    fn memory(&self) -> usize {
        self.len()
    }

    /// Sets the length of an owned chunk that a stream has filled up to `len`. Called when the
    /// chunk leaves the stream through [`pop`](crate::ChunkReader::pop), if bytes were appended to
    /// it. A type that keeps its length in a field sets it; the default does nothing.
    ///
    /// # Safety
    ///
    /// The first `len` bytes are initialised, and `len` is at most the capacity.
    unsafe fn set_len(&mut self, len: usize) {
        let _ = len;
    }
}

/// A chunk with room after its bytes, into which a writer may copy more while a reader reads those
/// before it.
///
/// Both sides hold a `&Self` at the same time, hence `Sync`; so the pointer must come from
/// something that a shared reference does not make read-only: a raw pointer in a field, or an
/// `UnsafeCell`. (A `Vec<u8>` does not qualify: what `as_ptr` of a shared `Vec` returns must not be
/// written through.) The chunk may be reference-counted and the reader may clone it meanwhile.
///
/// # Safety
///
/// In addition to what [`Chunk`] demands:
///
/// - `as_mut_ptr` is the same address as `as_ptr`, valid for writes of `[len, capacity)`, even
///   while the chunk is borrowed. `capacity` is constant and at least `len`.
/// - While the chunk is in a stream only the stream reads or writes `[len, capacity)`, except
///   that bytes which the stream has published may be read.
pub unsafe trait AppendChunk: Chunk + Sync {
    /// Returns the address of the first byte, for writing after the bytes in the chunk.
    fn as_mut_ptr(&self) -> *mut u8;

    /// Returns how many bytes fit.
    fn capacity(&self) -> usize;
}

// SAFETY: a Vec's bytes lie on the heap, initialised, and only `&mut` changes them.
unsafe impl Chunk for Vec<u8> {
    fn as_ptr(&self) -> *const u8 {
        self.as_slice().as_ptr()
    }

    fn len(&self) -> usize {
        self.len()
    }

    fn memory(&self) -> usize {
        self.capacity()
    }
}

// SAFETY: as for Vec.
unsafe impl Chunk for Box<[u8]> {
    fn as_ptr(&self) -> *const u8 {
        <[u8]>::as_ptr(self)
    }

    fn len(&self) -> usize {
        <[u8]>::len(self)
    }
}

// SAFETY: constant memory.
unsafe impl Chunk for &'static [u8] {
    fn as_ptr(&self) -> *const u8 {
        <[u8]>::as_ptr(self)
    }

    fn len(&self) -> usize {
        <[u8]>::len(self)
    }
}

#[cfg(feature = "bytes")]
// SAFETY: `Bytes` is immutable and its pointer and length change only through `&mut`.
unsafe impl Chunk for bytes::Bytes {
    fn as_ptr(&self) -> *const u8 {
        <[u8]>::as_ptr(self)
    }

    fn len(&self) -> usize {
        bytes::Bytes::len(self)
    }
}
