//! A chunk that is any of the usual byte containers.

use crate::aligned::AlignedBuf;
use crate::chunk::{AppendChunk, Chunk};

/// Any of the usual owned byte containers, so that one stream can carry them all. It comes out as
/// it went in; see [`byte_stream`](crate::byte_stream).
#[derive(Debug)]
#[non_exhaustive]
pub enum Buffer {
    /// A vector.
    Vec(Vec<u8>),
    /// A boxed slice.
    Boxed(Box<[u8]>),
    /// A constant.
    Static(&'static [u8]),
    /// An aligned buffer; also what [`ByteWriter::append`](crate::ByteWriter::append) copies into.
    Aligned(AlignedBuf),
    /// A reference-counted slice.
    #[cfg(feature = "bytes")]
    Bytes(bytes::Bytes),
}

impl Buffer {
    /// Returns its bytes.
    pub fn as_slice(&self) -> &[u8] {
        match self {
            Self::Vec(bytes) => bytes,
            Self::Boxed(bytes) => bytes,
            Self::Static(bytes) => bytes,
            Self::Aligned(bytes) => bytes,
            #[cfg(feature = "bytes")]
            Self::Bytes(bytes) => bytes,
        }
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        self.as_slice()
    }
}

impl From<Vec<u8>> for Buffer {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Vec(bytes)
    }
}

impl From<Box<[u8]>> for Buffer {
    fn from(bytes: Box<[u8]>) -> Self {
        Self::Boxed(bytes)
    }
}

impl From<&'static [u8]> for Buffer {
    fn from(bytes: &'static [u8]) -> Self {
        Self::Static(bytes)
    }
}

impl From<&'static str> for Buffer {
    fn from(text: &'static str) -> Self {
        Self::Static(text.as_bytes())
    }
}

impl From<String> for Buffer {
    fn from(text: String) -> Self {
        Self::Vec(text.into_bytes())
    }
}

impl From<AlignedBuf> for Buffer {
    fn from(bytes: AlignedBuf) -> Self {
        Self::Aligned(bytes)
    }
}

#[cfg(feature = "bytes")]
impl From<bytes::Bytes> for Buffer {
    fn from(bytes: bytes::Bytes) -> Self {
        Self::Bytes(bytes)
    }
}

// SAFETY: each of its kinds is a chunk.
unsafe impl Chunk for Buffer {
    fn as_ptr(&self) -> *const u8 {
        match self {
            // Not through `as_slice`, whose reference would end at `len`: an open tail has bytes
            // after it.
            Self::Aligned(bytes) => Chunk::as_ptr(bytes),
            other => other.as_slice().as_ptr(),
        }
    }

    fn len(&self) -> usize {
        self.as_slice().len()
    }

    fn memory(&self) -> usize {
        match self {
            Self::Vec(bytes) => bytes.capacity(),
            Self::Aligned(bytes) => bytes.capacity(),
            other => other.as_slice().len(),
        }
    }

    unsafe fn set_len(&mut self, len: usize) {
        if let Self::Aligned(bytes) = self {
            // SAFETY: the caller's promise.
            unsafe { Chunk::set_len(bytes, len) };
        }
    }
}

// SAFETY: an aligned buffer has room and a pointer that may be written through. The others say that
// they have none, so nothing is ever written through theirs.
unsafe impl AppendChunk for Buffer {
    fn as_mut_ptr(&self) -> *mut u8 {
        match self {
            Self::Aligned(bytes) => bytes.as_mut_ptr(),
            other => Chunk::as_ptr(other).cast_mut(),
        }
    }

    fn capacity(&self) -> usize {
        match self {
            Self::Aligned(bytes) => bytes.capacity(),
            other => Chunk::len(other),
        }
    }
}
