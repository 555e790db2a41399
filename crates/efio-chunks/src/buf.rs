//! `bytes` at the reading end.

use std::io::IoSlice;

use bytes::{Buf, Bytes};

use crate::buffer::Buffer;
use crate::chunk::Chunk;
use crate::chunk_ref::Popped;
use crate::reader::ChunkReader;

/// The bytes that are available now. [`remaining`](Buf::remaining) may grow from one call to the
/// next while the writer writes; it shrinks only by `advance`.
impl<C: Chunk> Buf for ChunkReader<C> {
    fn remaining(&self) -> usize {
        self.len()
    }

    fn chunk(&self) -> &[u8] {
        ChunkReader::chunk(self)
    }

    fn chunks_vectored<'a>(&'a self, dst: &mut [IoSlice<'a>]) -> usize {
        self.io_slices(dst)
    }

    fn advance(&mut self, cnt: usize) {
        let consumed = self.consume(cnt);
        assert_eq!(
            consumed, cnt,
            "advanced past the end of what is there to read"
        );
    }
}

impl From<Buffer> for Bytes {
    /// Without a copy.
    fn from(buffer: Buffer) -> Self {
        match buffer {
            Buffer::Vec(bytes) => bytes.into(),
            Buffer::Boxed(bytes) => bytes.into(),
            Buffer::Static(bytes) => Bytes::from_static(bytes),
            Buffer::Aligned(bytes) => Bytes::from_owner(bytes),
            Buffer::Bytes(bytes) => bytes,
        }
    }
}

impl<C: Into<Bytes>> Popped<C> {
    /// Returns the bytes that were not consumed, without a copy.
    pub fn into_bytes(self) -> Bytes {
        let (chunk, range) = self.into_parts();
        chunk.into().slice(range)
    }
}
