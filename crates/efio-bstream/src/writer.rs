//! `Write` over the writing end of a byte stream, framed or not.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, IoSlice, Write};
use std::mem;

use efio_chunks::{Buffer, ByteWriter, PushError};

use crate::framing::{Framing, Plain};

/// Writes into a byte stream through `std::io`.
///
/// Without a framing bytes go straight into the stream and are visible to the reader at once. With
/// one they are collected, and each [`flush`](Write::flush), or [`capacity`](Self::framed_with)
/// bytes of payload, make a frame, which is handed over without being copied again.
///
/// - The stream is full: [`WouldBlock`](io::ErrorKind::WouldBlock). What `write` has accepted
///   before is kept; `flush` and `finish` may be called again.
/// - The reader is gone: `BrokenPipe`.
///
/// Call [`finish`](Self::finish) to end the stream and to see whether that succeeded. Dropping the
/// writer attempts to finish. If that fails, or if the thread is panicking, the stream is aborted
/// instead: the reader finds an error in place of a clean end, and the error is passed to the
/// [handler](Self::on_drop_error). Nothing is lost in silence.
///
/// ```
/// use std::io::Write;
/// use efio_bstream::BufferedWriter;
///
/// let (writer, mut reader) = efio_chunks::byte_stream();
/// let mut writer = BufferedWriter::new(writer);
/// write!(writer, "{} {}", "hello", 42)?;
/// assert_eq!(reader.chunk(), b"hello 42");
/// writer.finish()?;
/// reader.consume(8);
/// assert!(reader.is_closed());
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct BufferedWriter<F: Framing = Plain> {
    /// `None` once finished.
    inner: Option<ByteWriter>,
    framing: F,
    /// Prefix space and the payload of the frame that is being collected.
    frame: Vec<u8>,
    /// Payload per frame.
    capacity: usize,
    /// Finished buffers that a full stream did not take yet, and where in them the bytes start.
    backlog: VecDeque<(Buffer, usize)>,
    /// Whether what follows the last frame is in the backlog or in the stream.
    ended: bool,
    on_drop_error: DropHandler,
}

pub(crate) type DropHandler = Box<dyn FnMut(io::Error) + Send>;

/// Payload per frame by default.
const CAPACITY: usize = 16 << 10;

/// What is reserved for a frame at once; a longer one grows.
const RESERVE: usize = 1 << 20;

/// A frame of at most so many bytes, in a buffer with room for more than twice as many, is copied
/// into a buffer of its own: the large one is used again, and a full stream holds no unused memory.
const COPY: usize = 8 << 10;

/// Reports an error of a writer that is dropped, by default. Not `eprintln!`, which panics when
/// standard error is broken: a panic in a drop while unwinding ends the process.
pub(crate) fn report(error: &io::Error) {
    _ = writeln!(io::stderr(), "efio-bstream: stream given up: {error}");
}

impl BufferedWriter<Plain> {
    /// Writes without framing.
    pub fn new(inner: ByteWriter) -> Self {
        Self::framed(inner, Plain)
    }
}

impl<F: Framing> BufferedWriter<F> {
    /// Writes frames of up to 16 KiB of payload.
    pub fn framed(inner: ByteWriter, framing: F) -> Self {
        Self::framed_with(inner, framing, CAPACITY)
    }

    /// Writes frames of up to `capacity` bytes of payload: that many bytes are a frame even if they
    /// were not flushed. A frame takes memory as it grows, so `usize::MAX` means "what I flush".
    ///
    /// # Panics
    /// If `capacity` is zero.
    pub fn framed_with(inner: ByteWriter, framing: F, capacity: usize) -> Self {
        assert_ne!(capacity, 0, "frames without payload");
        // No chunk may be larger than a quarter of the address space.
        let largest = (usize::MAX >> 2) - F::PREFIX - F::SUFFIX;
        let capacity = usize::try_from(framing.max_payload())
            .map_or(capacity, |max| max.min(capacity))
            .min(largest);
        Self {
            inner: Some(inner),
            framing,
            frame: Vec::new(),
            capacity,
            backlog: VecDeque::new(),
            ended: false,
            on_drop_error: Box::new(|error| report(&error)),
        }
    }

    /// Sets the handler of the error when the writer is dropped unfinished and cannot finish by
    /// itself. By default the error goes to standard error.
    pub fn on_drop_error(&mut self, handler: impl FnMut(io::Error) + Send + 'static) {
        self.on_drop_error = Box::new(handler);
    }

    /// Hands `payload` over as a frame of its own, of any size, without copying it. What was
    /// written before is flushed first, as a frame.
    ///
    /// If the stream is full the frame stays in the writer, and [`flush`](Write::flush) goes on
    /// with it.
    ///
    /// # Errors
    /// `BrokenPipe`, or `WouldBlock` with nothing done if the writer has a backlog already;
    /// `InvalidInput` if the framing does not allow a payload of that length.
    pub fn write_frame(&mut self, payload: impl Into<Buffer>) -> io::Result<()> {
        self.drain()?;
        self.check_open()?;
        self.end_frame()?;
        let payload = payload.into();
        let (mut prefix, mut suffix) = (vec![0; F::PREFIX], vec![0; F::SUFFIX]);
        let (before, after) = self
            .framing
            .frame(payload.as_slice(), &mut prefix, &mut suffix)?;
        suffix.truncate(after);
        self.backlog.push_back((prefix.into(), F::PREFIX - before));
        self.backlog.push_back((payload, 0));
        self.backlog.push_back((suffix.into(), 0));
        match self.drain() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            result => result,
        }
    }

    /// Flushes, writes what the framing has after the last frame, and closes the stream. Once that
    /// has succeeded, calling it again does nothing.
    ///
    /// # Errors
    /// `WouldBlock` if the stream is full: call again. `BrokenPipe` if the reader is gone.
    pub fn finish(&mut self) -> io::Result<()> {
        if self.inner.is_none() {
            return Ok(());
        }
        if !self.ended {
            self.end_frame()?;
            let end = self.framing.finish();
            self.backlog.push_back((end.into(), 0));
            self.ended = true;
        }
        self.drain()?;
        // Closes it.
        self.inner = None;
        Ok(())
    }

    /// Aborts the stream: the reader gets what was flushed, and then an error.
    pub fn abort(mut self) {
        if let Some(inner) = self.inner.take() {
            inner.abort();
        }
    }

    /// Returns the stream, for example to arm it; `None` once finished.
    pub fn get_mut(&mut self) -> Option<&mut ByteWriter> {
        self.inner.as_mut()
    }

    /// Returns how many accepted bytes are not in the stream yet, framing not counted.
    pub fn pending(&self) -> usize {
        let backlog = self
            .backlog
            .iter()
            .map(|(buffer, begin)| buffer.as_slice().len() - begin);
        self.frame.len().saturating_sub(F::PREFIX) + backlog.sum::<usize>()
    }

    /// Makes a frame of what was collected, if anything, and puts it on the backlog.
    fn end_frame(&mut self) -> io::Result<()> {
        let collected = self.frame.len();
        if collected <= F::PREFIX {
            return Ok(());
        }
        self.frame.resize(collected + F::SUFFIX, 0);
        let (prefix, rest) = self.frame.split_at_mut(F::PREFIX);
        let (payload, suffix) = rest.split_at_mut(collected - F::PREFIX);
        match self.framing.frame(payload, prefix, suffix) {
            Ok((before, after)) => {
                let begin = F::PREFIX - before;
                self.frame.truncate(collected + after);
                let len = self.frame.len();
                let frame = if len <= COPY && 2 * len < self.frame.capacity() {
                    let copy = self.frame[begin..].to_vec();
                    self.frame.clear();
                    (copy.into(), 0)
                } else {
                    (mem::take(&mut self.frame).into(), begin)
                };
                self.backlog.push_back(frame);
                Ok(())
            }
            Err(error) => {
                self.frame.truncate(collected);
                Err(error)
            }
        }
    }

    /// Moves the backlog into the stream.
    fn drain(&mut self) -> io::Result<()> {
        let inner = self.inner.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        while let Some((buffer, begin)) = self.backlog.pop_front() {
            match inner.push_from(buffer, begin) {
                Ok(()) => {}
                Err(PushError::Full(buffer)) => {
                    self.backlog.push_front((buffer, begin));
                    return Err(io::ErrorKind::WouldBlock.into());
                }
                Err(PushError::ReaderGone(_)) => return Err(io::ErrorKind::BrokenPipe.into()),
            }
        }
        if inner.is_reader_gone() {
            Err(io::ErrorKind::BrokenPipe.into())
        } else {
            Ok(())
        }
    }

    /// Copies bytes straight into the stream.
    fn append(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.drain_backlog()?;
        self.check_open()?;
        let inner = self.inner.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        match inner.append(bytes) {
            0 if !bytes.is_empty() => append_again(inner, bytes),
            count => Ok(count),
        }
    }

    /// Fails once the framing has ended: nothing follows that.
    fn check_open(&self) -> io::Result<()> {
        if self.ended {
            Err(io::ErrorKind::BrokenPipe.into())
        } else {
            Ok(())
        }
    }

    fn drain_backlog(&mut self) -> io::Result<()> {
        if self.backlog.is_empty() {
            Ok(())
        } else {
            self.drain()
        }
    }

    /// Copies bytes into the frame that is being collected.
    fn collect(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.drain_backlog()?;
        self.check_open()?;
        if bytes.is_empty() {
            return Ok(0);
        }
        if self.frame.is_empty() {
            let whole = F::PREFIX + self.capacity + F::SUFFIX;
            self.frame
                .try_reserve_exact(whole.min(RESERVE))
                .map_err(|_| io::ErrorKind::OutOfMemory)?;
            self.frame.resize(F::PREFIX, 0);
        }
        let room = F::PREFIX + self.capacity - self.frame.len();
        let count = bytes.len().min(room);
        // And for the suffix.
        self.frame
            .try_reserve(count + F::SUFFIX)
            .map_err(|_| io::ErrorKind::OutOfMemory)?;
        self.frame.extend_from_slice(&bytes[..count]);
        if count == room {
            self.end_frame()?;
            match self.drain() {
                // These bytes are accepted, and wait in the backlog.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => result?,
            }
        }
        Ok(count)
    }
}

/// Appends again after the stream took nothing, or returns the reason why it did.
fn append_again(inner: &mut ByteWriter, bytes: &[u8]) -> io::Result<usize> {
    if inner.is_reader_gone() {
        return Err(io::ErrorKind::BrokenPipe.into());
    }
    if inner.allowance(1) == 0 {
        return Err(io::ErrorKind::WouldBlock.into());
    }
    // There is room, perhaps since after the last append; it can only grow.
    match inner.append(bytes) {
        0 if inner.is_reader_gone() => Err(io::ErrorKind::BrokenPipe.into()),
        0 => Err(io::ErrorKind::OutOfMemory.into()),
        count => Ok(count),
    }
}

impl<F: Framing> Write for BufferedWriter<F> {
    /// Accepts bytes: all, or as many as go into the current frame or into a stream that is filling
    /// up.
    #[inline]
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        if F::TRANSPARENT {
            self.append(buf)
        } else {
            self.collect(buf)
        }
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut written = 0;
        for buf in bufs {
            match self.write(buf) {
                Ok(count) => {
                    written += count;
                    if count < buf.len() {
                        break;
                    }
                }
                Err(_) if written != 0 => break,
                Err(error) => return Err(error),
            }
        }
        Ok(written)
    }

    /// Puts everything that was accepted into the stream, as a frame where there is framing.
    fn flush(&mut self) -> io::Result<()> {
        if self.inner.is_none() {
            return Ok(());
        }
        self.drain()?;
        self.end_frame()?;
        self.drain()
    }
}

impl<F: Framing> Drop for BufferedWriter<F> {
    fn drop(&mut self) {
        if self.inner.is_none() {
            return;
        }
        let error = if std::thread::panicking() {
            io::Error::other("its thread panicked")
        } else {
            match self.finish() {
                Ok(()) => return,
                Err(error) => error,
            }
        };
        if let Some(inner) = self.inner.take() {
            inner.abort();
        }
        (self.on_drop_error)(error);
    }
}

impl<F: Framing + fmt::Debug> fmt::Debug for BufferedWriter<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BufferedWriter")
            .field("framing", &self.framing)
            .field("pending", &self.pending())
            .field("finished", &self.inner.is_none())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_that_appeared_in_between_is_used() {
        // As if the reader had made it after an append that found none.
        let (mut writer, reader) = efio_chunks::bounded_byte_stream(1);
        assert_eq!(append_again(&mut writer, b"x").unwrap(), 1);
        let full = append_again(&mut writer, b"y").unwrap_err();
        assert_eq!(full.kind(), io::ErrorKind::WouldBlock);
        drop(reader);
        let gone = append_again(&mut writer, b"y").unwrap_err();
        assert_eq!(gone.kind(), io::ErrorKind::BrokenPipe);
    }
}
