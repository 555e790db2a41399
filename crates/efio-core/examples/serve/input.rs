//! Bytes that a client sent and that were not taken yet.

use efio_core::bstream::{ChunkedDecoder, FrameReader, fill_from};
use efio_core::chunks::{Buffer, ByteReader, ByteWriter, bounded_byte_stream};
use mio::net::TcpStream;
use std::io;

/// Bytes that may wait.
const BOUND: usize = 128 << 10;

/// The body of an upload in chunks.
pub type Frames = FrameReader<Buffer, ChunkedDecoder>;

/// A stream that the socket fills.
pub struct Input {
    writer: ByteWriter,
    /// Lent to a chunked body while that lasts.
    reader: Option<ByteReader>,
}

impl Input {
    pub fn new() -> Self {
        let (writer, reader) = bounded_byte_stream(BOUND);
        Self {
            writer,
            reader: Some(reader),
        }
    }

    /// Reads once from the socket; 0 when the client sends no more.
    pub fn fill(&mut self, socket: &mut TcpStream) -> io::Result<usize> {
        fill_from(&mut self.writer, socket)
    }

    /// The reader; `None` while it is lent.
    pub fn reader(&mut self) -> Option<&mut ByteReader> {
        self.reader.as_mut()
    }

    pub fn is_empty(&self) -> bool {
        self.reader.as_ref().is_none_or(|reader| reader.is_empty())
    }

    /// Lends the reader to a chunked body.
    pub fn lend(&mut self, max_header: usize) -> Option<Frames> {
        let decoder = ChunkedDecoder::with_limits(u64::MAX, max_header);
        self.reader
            .take()
            .map(|reader| FrameReader::new(reader, decoder))
    }

    /// Takes it back with the bytes after the body.
    pub fn give_back(&mut self, frames: Frames) {
        self.reader = Some(frames.into_inner());
    }
}
