//! `Read` and `BufRead` over the reading end of a stream.

use std::io::{self, BufRead, Read};

use efio_chunks::{Chunk, ChunkReader};

/// Reads a stream of chunks through `std::io`, without a buffer of its own: the chunks are the
/// buffer.
///
/// - Bytes are there: they are read.
/// - The stream is open but empty: [`WouldBlock`](io::ErrorKind::WouldBlock).
/// - The writer closed it: end of file, `Ok(0)`.
/// - The writer [aborted](efio_chunks::ChunkWriter::abort) it: `UnexpectedEof`, after the bytes.
///
/// With a [limit](Self::set_limit) it reads as end of file after that many bytes, and what follows
/// stays in the stream for the next reader: for example a request's body on a connection.
///
/// ```
/// use std::io::{BufRead, Read};
/// use efio_bstream::BufferedReader;
///
/// let (mut writer, reader) = efio_chunks::byte_stream();
/// writer.append(b"GET / HTTP/1.1\r\n\r\nbody, next");
///
/// let mut reader = BufferedReader::new(reader);
/// let mut line = String::new();
/// reader.read_line(&mut line)?;
/// assert_eq!(line, "GET / HTTP/1.1\r\n");
/// reader.read_line(&mut line)?;
///
/// reader.set_limit(Some(4));
/// let mut body = String::new();
/// reader.read_to_string(&mut body)?;
/// assert_eq!(body, "body");
/// assert_eq!(reader.into_inner().chunk(), b", next");
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct BufferedReader<C: Chunk> {
    inner: ChunkReader<C>,
    /// How many bytes may still be read.
    left: Option<u64>,
    consumes_rest: bool,
}

impl<C: Chunk> BufferedReader<C> {
    /// Reads up to the end of the stream.
    pub fn new(inner: ChunkReader<C>) -> Self {
        Self {
            inner,
            left: None,
            consumes_rest: false,
        }
    }

    /// Reads at most `limit` bytes.
    pub fn with_limit(inner: ChunkReader<C>, limit: u64) -> Self {
        Self {
            left: Some(limit),
            ..Self::new(inner)
        }
    }

    /// From now on reads at most `limit` bytes, and then end of file.
    pub fn set_limit(&mut self, limit: Option<u64>) {
        self.left = limit;
    }

    /// Returns how many bytes of the limit are left.
    pub fn limit(&self) -> Option<u64> {
        self.left
    }

    /// Sets whether [`finish`](Self::finish) drops what is left up to the limit, or the end of the
    /// stream where there is none. Off by default.
    pub fn set_consume_rest(&mut self, yes: bool) {
        self.consumes_rest = yes;
    }

    /// Ends this reader's part of the stream. If so [set](Self::set_consume_rest), it drops the
    /// rest of that part, otherwise it does nothing.
    ///
    /// # Errors
    /// `WouldBlock` if the rest has not all arrived: what has is dropped, call again for more.
    /// `UnexpectedEof` if the stream was aborted, or closed before the limit.
    pub fn finish(&mut self) -> io::Result<()> {
        if self.consumes_rest {
            self.consume_rest().map(drop)
        } else {
            Ok(())
        }
    }

    /// Drops what is left up to the limit, or the end of the stream where there is none. Returns
    /// how many bytes that were.
    ///
    /// # Errors
    /// As for [`finish`](Self::finish).
    pub fn consume_rest(&mut self) -> io::Result<u64> {
        let mut dropped = 0;
        loop {
            let count = self.fill_buf()?.len();
            if count == 0 {
                break;
            }
            self.consume(count);
            dropped += count as u64;
        }
        match self.left {
            None | Some(0) => Ok(dropped),
            Some(_) => Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the stream was closed before the limit",
            )),
        }
    }

    /// Returns how many bytes can be read now, within the limit.
    pub fn available(&self) -> usize {
        self.cap(self.inner.len())
    }

    /// Returns the stream. Consuming from it does not count towards the limit.
    pub fn get_ref(&self) -> &ChunkReader<C> {
        &self.inner
    }

    /// Returns the stream, for example to arm it.
    pub fn get_mut(&mut self) -> &mut ChunkReader<C> {
        &mut self.inner
    }

    /// Returns the stream with everything that was not read.
    pub fn into_inner(self) -> ChunkReader<C> {
        self.inner
    }

    /// Returns `count`, or the limit if that is less.
    fn cap(&self, count: usize) -> usize {
        match self.left {
            // Then it fits a usize.
            Some(left) if left < count as u64 => left as usize,
            _ => count,
        }
    }

    fn charge(&mut self, count: usize) {
        if let Some(left) = &mut self.left {
            *left = left.saturating_sub(count as u64);
        }
    }

    /// Returns what an empty stream means: its end, an error, or `WouldBlock`.
    fn nothing(&self) -> io::Result<()> {
        if self.inner.is_aborted() {
            Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the writer gave the stream up",
            ))
        } else if self.inner.is_closed() {
            Ok(())
        } else {
            Err(io::ErrorKind::WouldBlock.into())
        }
    }
}

impl<C: Chunk> Read for BufferedReader<C> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let wanted = self.cap(buf.len());
        if wanted == 0 {
            return Ok(0);
        }
        let count = self.inner.read(&mut buf[..wanted]);
        if count == 0 {
            self.nothing()?;
        }
        self.charge(count);
        Ok(count)
    }
}

impl<C: Chunk> BufRead for BufferedReader<C> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.left == Some(0) {
            return Ok(&[]);
        }
        let count = self.cap(usize::MAX);
        if self.inner.front().is_none() {
            self.nothing()?;
        }
        let bytes = self.inner.chunk();
        Ok(&bytes[..count.min(bytes.len())])
    }

    /// Consumes bytes that [`fill_buf`](Self::fill_buf) has shown.
    fn consume(&mut self, amount: usize) {
        let amount = self.cap(amount);
        let count = self.inner.consume(amount);
        self.charge(count);
    }
}
