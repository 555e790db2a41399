//! What a stream can be connected to: anything that gives bytes, anything that takes them.

use std::io::{self, BufRead, IoSlice, Read, Write};

use efio_chunks::{ByteReader, ByteWriter, Chunk, ChunkReader};

use crate::reader::BufferedReader;
use crate::writer::{BufferedWriter, DropHandler, report};

/// Gives bytes: a socket, a file, a decompressor. Everything that implements `Read` is one.
pub trait Source {
    /// Puts up to `room.len()` bytes, at least one, into `room` and returns how many. Zero is the
    /// end. `room` is not empty; what is in it has no meaning.
    ///
    /// # Errors
    /// `WouldBlock` if there is nothing now; `Interrupted` is retried; anything else goes to the
    /// caller.
    fn read_from_source(&mut self, room: &mut [u8]) -> io::Result<usize>;
}

impl<R: Read> Source for R {
    fn read_from_source(&mut self, room: &mut [u8]) -> io::Result<usize> {
        self.read(room)
    }
}

/// Takes bytes. Everything that implements `Write` is one.
pub trait Sink {
    /// Takes bytes from the front of the slices and returns how many. The first is not empty.
    ///
    /// # Errors
    /// As for [`Source::read_from_source`].
    fn write_to_sink(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize>;

    /// Passes on what the sink itself holds back.
    ///
    /// # Errors
    /// Whatever keeps it from that.
    fn flush_sink(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<W: Write> Sink for W {
    fn write_to_sink(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.write_vectored(slices)
    }

    fn flush_sink(&mut self) -> io::Result<()> {
        self.flush()
    }
}

/// Slices per vectored write; more do not pay.
const SLICES: usize = 16;

/// Reads once from `source` straight into the stream's tail. Returns how many bytes, zero at the
/// end of the source.
///
/// # Errors
/// The source's; `WouldBlock` also if the stream is full, `BrokenPipe` if its reader is gone.
pub fn fill_from(writer: &mut ByteWriter, source: &mut impl Source) -> io::Result<usize> {
    if writer.allowance(1) == 0 {
        let gone = writer.is_reader_gone();
        let kind = if gone {
            io::ErrorKind::BrokenPipe
        } else {
            io::ErrorKind::WouldBlock
        };
        return Err(kind.into());
    }
    // Room can only grow, so there is some unless there is no memory for it.
    let room = writer.spare();
    if room.is_empty() {
        let gone = writer.is_reader_gone();
        let kind = if gone {
            io::ErrorKind::BrokenPipe
        } else {
            io::ErrorKind::OutOfMemory
        };
        return Err(kind.into());
    }
    let count = retry(|| source.read_from_source(room))?;
    writer.commit(count);
    Ok(count)
}

/// Writes what is there to read to `sink`, without copying it. Returns how many bytes went: all of
/// them, unless the sink would block after some.
///
/// # Errors
/// The sink's, on the next call if some bytes went before it; `WriteZero` if it takes nothing.
pub fn drain_to<C: Chunk>(reader: &mut ChunkReader<C>, sink: &mut impl Sink) -> io::Result<usize> {
    let mut total = 0;
    loop {
        let mut slices = [IoSlice::new(&[]); SLICES];
        let filled = reader.io_slices(&mut slices);
        if filled == 0 {
            return Ok(total);
        }
        let shown = slices[..filled].iter().map(|slice| slice.len()).sum();
        match retry(|| sink.write_to_sink(&slices[..filled])) {
            Ok(0) if total == 0 => return Err(io::ErrorKind::WriteZero.into()),
            Ok(0) => return Ok(total),
            // Not more than it was shown, even if it returns more.
            Ok(count) => total += reader.consume(count.min(shown)),
            Err(_) if total != 0 => return Ok(total),
            Err(error) => return Err(error),
        }
    }
}

fn retry(mut call: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// A [`BufferedReader`] over a source: reads from the source when the stream is empty.
///
/// At the end of the source it reads as end of file. The next call reads from the source again: a
/// file that grew meanwhile reads on.
///
/// ```
/// use std::io::BufRead;
/// use efio_bstream::SourceReader;
///
/// let file: &[u8] = b"one line\nanother line\n";
/// let reader = SourceReader::new(file);
/// assert_eq!(reader.lines().count(), 2);
/// ```
#[derive(Debug)]
pub struct SourceReader<S> {
    source: S,
    writer: ByteWriter,
    reader: BufferedReader<efio_chunks::Buffer>,
}

impl<S: Source> SourceReader<S> {
    /// Reads from `source` as needed.
    pub fn new(source: S) -> Self {
        let (writer, reader) = efio_chunks::byte_stream();
        Self {
            source,
            writer,
            reader: BufferedReader::new(reader),
        }
    }

    /// Returns the reader, for its limit. By itself it does not read from the source: where nothing
    /// was read ahead it returns `WouldBlock`, also at the end of the source.
    pub fn reader_mut(&mut self) -> &mut BufferedReader<efio_chunks::Buffer> {
        &mut self.reader
    }

    /// Returns the source, and what was read from it but not from here.
    pub fn into_parts(self) -> (S, ByteReader) {
        (self.source, self.reader.into_inner())
    }
}

impl<S: Source> Read for SourceReader<S> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        if self.fill_buf()?.is_empty() {
            return Ok(0);
        }
        self.reader.read(buf)
    }
}

impl<S: Source> BufRead for SourceReader<S> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let is_dry = self.reader.limit() != Some(0) && self.reader.get_ref().is_empty();
        if is_dry && fill_from(&mut self.writer, &mut self.source)? == 0 {
            // The end of the source, for now.
            return Ok(&[]);
        }
        self.reader.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        self.reader.consume(amount);
    }
}

/// A [`BufferedWriter`] over a sink: `flush` writes to the sink.
///
/// What is written collects in memory until it is flushed or more than
/// [`threshold`](Self::new) bytes are there.
///
/// [`finish`](Self::finish) it when all is written. Dropping it before flushes what it has, as
/// `BufWriter` does, but does not end the framing: the reader sees that it was not finished. What
/// cannot be passed on then (the sink fails, or does not take it now, or the thread panics and
/// nothing is attempted) is lost, and the [handler](Self::on_drop_error) gets the error.
pub struct SinkWriter<K: Sink, F: crate::Framing = crate::Plain> {
    writer: BufferedWriter<F>,
    reader: ByteReader,
    sink: K,
    threshold: usize,
    on_drop_error: DropHandler,
}

impl<K: Sink, F: crate::Framing> SinkWriter<K, F> {
    /// Frames what is written and passes it on to `sink` when it is flushed, or when more than
    /// `threshold` bytes have come together.
    pub fn new(sink: K, framing: F, threshold: usize) -> Self {
        let (writer, reader) = efio_chunks::byte_stream();
        let mut writer = BufferedWriter::framed(writer, framing);
        // Its stream ends here: the handler of this writer reports what is lost.
        writer.on_drop_error(|_| {});
        Self {
            writer,
            reader,
            sink,
            threshold,
            on_drop_error: Box::new(|error| report(&error)),
        }
    }

    /// Sets the handler of the error when the writer is dropped and bytes are lost. By default the
    /// error goes to standard error.
    pub fn on_drop_error(&mut self, handler: impl FnMut(io::Error) + Send + 'static) {
        self.on_drop_error = Box::new(handler);
    }

    /// Ends the framing and passes everything on.
    ///
    /// # Errors
    /// The sink's; `WouldBlock` if it does not take everything now: call again.
    pub fn finish(&mut self) -> io::Result<()> {
        self.writer.finish()?;
        self.pass_on()?;
        self.sink.flush_sink()
    }

    /// Returns the sink, which has received only what was flushed.
    pub fn get_ref(&self) -> &K {
        &self.sink
    }

    /// Returns how many bytes have not been passed on.
    pub fn pending(&self) -> usize {
        self.writer.pending() + self.reader.len()
    }

    /// Writes all that is in the stream to the sink.
    fn pass_on(&mut self) -> io::Result<()> {
        while !self.reader.is_empty() {
            drain_to(&mut self.reader, &mut self.sink)?;
        }
        Ok(())
    }
}

impl<K: Sink, F: crate::Framing> Write for SinkWriter<K, F> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        if self.reader.len() > self.threshold {
            self.pass_on()?;
        }
        self.writer.write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()?;
        self.pass_on()?;
        self.sink.flush_sink()
    }
}

impl<K: Sink, F: crate::Framing> Drop for SinkWriter<K, F> {
    fn drop(&mut self) {
        if self.pending() == 0 {
            return;
        }
        let error = if std::thread::panicking() {
            io::Error::other("its thread panicked")
        } else {
            match self.flush() {
                Ok(()) => return,
                Err(error) => error,
            }
        };
        (self.on_drop_error)(error);
    }
}
