//! Streams between tasks. Each end holds its task's waker; the io traits of futures and tokio are
//! thin layers over the polls here, each with its feature.

#[cfg(feature = "futures-io")]
mod futures;
#[cfg(feature = "tokio")]
mod tokio;

use std::io::{self, BufRead};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use efio_chunks::{Buffer, ByteWriter, Chunk, ChunkReader, Options, TaskWaker};

use crate::reader::BufferedReader;

/// Makes a bounded byte stream whose two ends belong to tasks, of any runtime.
pub fn async_stream(max_bytes: usize) -> (AsyncWriter, AsyncReader<Buffer>) {
    let (readable, writable) = (Arc::new(TaskWaker::new()), Arc::new(TaskWaker::new()));
    let options = Options::new().max_bytes(max_bytes);
    let options = options
        .on_readable(readable.clone())
        .on_writable(writable.clone());
    let (writer, reader) = options.build_bytes();
    (
        AsyncWriter::new(writer, writable),
        AsyncReader::new(reader, readable),
    )
}

/// The reading end for a task: `AsyncRead` and `AsyncBufRead`, zero-copy.
#[derive(Debug)]
pub struct AsyncReader<C: Chunk> {
    inner: BufferedReader<C>,
    waker: Arc<TaskWaker>,
}

impl<C: Chunk> AsyncReader<C> {
    /// Makes the end for a task. `waker` is the one that the stream has as its
    /// [`on_readable`](Options::on_readable) hook.
    pub fn new(inner: ChunkReader<C>, waker: Arc<TaskWaker>) -> Self {
        Self {
            inner: BufferedReader::new(inner),
            waker,
        }
    }

    /// Returns the reader without the task, for its limit.
    pub fn get_mut(&mut self) -> &mut BufferedReader<C> {
        &mut self.inner
    }

    /// Returns the available bytes, none at end of file; pending until there are any.
    ///
    /// # Errors
    /// As for [`BufferedReader`], but never `WouldBlock`.
    pub fn poll_bytes(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        loop {
            match self.inner.fill_buf() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
                Ok(_) => break,
            }
            self.waker.register(cx.waker());
            if self.inner.get_mut().arm() {
                return Poll::Pending;
            }
        }
        Poll::Ready(self.inner.fill_buf())
    }

    /// Takes bytes that [`poll_bytes`](Self::poll_bytes) has shown.
    pub fn consume_bytes(&mut self, count: usize) {
        self.inner.consume(count);
    }

    #[cfg(any(feature = "futures-io", feature = "tokio"))]
    fn poll_copy(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        ready!(self.poll_bytes(cx))?;
        Poll::Ready(io::Read::read(&mut self.inner, buf))
    }
}

/// The writing end for a task: `AsyncWrite`.
///
/// [`close`](Self::close) it (`poll_close`, `poll_shutdown`) when all is written. One that is
/// dropped before, for example with a task that was cancelled, aborts the stream: the reader finds
/// `UnexpectedEof` in the place of the end.
#[derive(Debug)]
pub struct AsyncWriter {
    /// `None` once closed.
    inner: Option<ByteWriter>,
    waker: Arc<TaskWaker>,
}

impl AsyncWriter {
    /// Makes the end for a task. `waker` is the one that the stream has as its
    /// [`on_writable`](Options::on_writable) hook.
    pub fn new(inner: ByteWriter, waker: Arc<TaskWaker>) -> Self {
        Self {
            inner: Some(inner),
            waker,
        }
    }

    /// Returns the stream, to push buffers without a copy; `None` once closed.
    pub fn get_mut(&mut self) -> Option<&mut ByteWriter> {
        self.inner.as_mut()
    }

    /// Ready when `bytes` bytes can be pushed, or appended in part.
    ///
    /// # Errors
    /// `BrokenPipe` if the reader is gone or the writer closed.
    pub fn poll_room(&mut self, cx: &mut Context<'_>, bytes: usize) -> Poll<io::Result<()>> {
        let inner = self.inner.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        loop {
            if inner.is_reader_gone() {
                return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
            }
            if inner.has_room_for(bytes) {
                return Poll::Ready(Ok(()));
            }
            self.waker.register(cx.waker());
            if inner.arm(bytes) {
                return Poll::Pending;
            }
        }
    }

    /// Copies bytes into the stream, as many as it takes, at least one.
    ///
    /// # Errors
    /// As for [`poll_room`](Self::poll_room); `OutOfMemory`.
    pub fn poll_append(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_room(cx, 1))?;
        let inner = self.inner.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        match inner.append(bytes) {
            0 if bytes.is_empty() => Poll::Ready(Ok(0)),
            0 if inner.is_reader_gone() => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            // There was room, and only this end fills it.
            0 => Poll::Ready(Err(io::ErrorKind::OutOfMemory.into())),
            count => Poll::Ready(Ok(count)),
        }
    }

    /// Closes the stream: the reader finds the end of file. Calling it again does nothing.
    pub fn close(&mut self) {
        if let Some(inner) = self.inner.take() {
            inner.close();
        }
    }
}

impl Drop for AsyncWriter {
    fn drop(&mut self) {
        if let Some(inner) = self.inner.take() {
            inner.abort();
        }
    }
}
