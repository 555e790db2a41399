//! `Read` and `BufRead` of the payload of framed input.

use std::io::{self, BufRead, Read};

use efio_chunks::{Chunk, ChunkReader};

use crate::framing::{Deframing, Step};

/// Reads the payload of a framed stream, zero-copy: [`fill_buf`](BufRead::fill_buf) lends the bytes
/// from the chunk in which they came.
///
/// With a coding that has no messages ([`ChunkedDecoder`](crate::ChunkedDecoder)) it reads the
/// payload of all frames as one, to end of file. With messages
/// ([`LengthPrefix`](crate::LengthPrefix)) it reads end of file at the end of each and goes on to
/// the next with [`next_frame`](Self::next_frame).
///
/// Open but empty input is `WouldBlock`, input that ends in mid-frame `UnexpectedEof`, and input
/// that breaks the rules `InvalidData` with a [`FrameError`](crate::FrameError) inside, from then
/// on.
#[derive(Debug)]
pub struct FrameReader<C: Chunk, D> {
    inner: ChunkReader<C>,
    deframing: D,
    at: At,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// Somewhere in a frame, or before one.
    Frame,
    /// At the end of a frame.
    EndOfFrame,
    /// After the last frame.
    End,
    /// The input is broken.
    Broken(crate::FrameError),
}

/// What `advance` found.
enum Found {
    Payload(usize),
    EndOfFrame,
    End,
}

impl<C: Chunk, D: Deframing> FrameReader<C, D> {
    /// Reads frames from `inner`.
    pub fn new(inner: ChunkReader<C>, deframing: D) -> Self {
        Self {
            inner,
            deframing,
            at: At::Frame,
        }
    }

    /// Goes on to the next frame and skips what is left of the current one. `false` at the end of
    /// the input.
    ///
    /// # Errors
    /// `WouldBlock` while the start of the next frame has not arrived; call again.
    pub fn next_frame(&mut self) -> io::Result<bool> {
        loop {
            match self.advance()? {
                Found::Payload(count) => self.take(count),
                Found::End => return Ok(false),
                Found::EndOfFrame => break,
            }
        }
        if self.inner.front().is_none() {
            // Only now is it known whether there is another one.
            return self.input_ended().map(|()| false);
        }
        self.deframing.next_frame();
        self.at = At::Frame;
        Ok(true)
    }

    /// Returns the state machine, for example to get its trailers.
    pub fn deframing(&self) -> &D {
        &self.deframing
    }

    /// Returns the stream, for example to arm it.
    pub fn get_mut(&mut self) -> &mut ChunkReader<C> {
        &mut self.inner
    }

    /// Returns the stream with everything after what was read.
    pub fn into_inner(self) -> ChunkReader<C> {
        self.inner
    }

    /// Skips framing bytes up to payload or an end.
    fn advance(&mut self) -> io::Result<Found> {
        loop {
            match self.at {
                At::EndOfFrame => return Ok(Found::EndOfFrame),
                At::End => return Ok(Found::End),
                At::Broken(error) => return Err(error.into()),
                At::Frame => {}
            }
            let input = self.inner.front().map_or(&[][..], |front| front.bytes());
            match self.deframing.step(input) {
                Ok(Step::Skip(0) | Step::Payload(0)) => {
                    self.input_ended()?;
                    return Ok(Found::End);
                }
                Ok(Step::Skip(count)) => _ = self.inner.consume(count),
                Ok(Step::Payload(count)) => return Ok(Found::Payload(count)),
                Ok(Step::EndOfFrame) => self.at = At::EndOfFrame,
                Ok(Step::End) => self.at = At::End,
                Err(error) => self.at = At::Broken(error),
            }
        }
    }

    fn take(&mut self, count: usize) {
        self.deframing.take(count);
        self.inner.consume(count);
    }

    /// Returns what an empty stream means: the end, an error, or `WouldBlock`.
    fn input_ended(&self) -> io::Result<()> {
        if self.deframing.may_end() && (self.inner.is_closed() && !self.inner.is_aborted()) {
            return Ok(());
        }
        if self.inner.is_closed() {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the input ends in mid-frame",
            ));
        }
        Err(io::ErrorKind::WouldBlock.into())
    }
}

impl<C: Chunk, D: Deframing> Read for FrameReader<C, D> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        match self.advance()? {
            Found::Payload(count) => {
                let wanted = count.min(buf.len());
                let count = self.inner.read(&mut buf[..wanted]);
                self.deframing.take(count);
                Ok(count)
            }
            Found::EndOfFrame | Found::End => Ok(0),
        }
    }
}

impl<C: Chunk, D: Deframing> BufRead for FrameReader<C, D> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        match self.advance()? {
            Found::Payload(count) => Ok(&self.inner.chunk()[..count]),
            Found::EndOfFrame | Found::End => Ok(&[]),
        }
    }

    /// Consumes payload that [`fill_buf`](Self::fill_buf) has shown.
    fn consume(&mut self, amount: usize) {
        if amount != 0 {
            if let Ok(Found::Payload(count)) = self.advance() {
                self.take(amount.min(count));
            }
        }
    }
}
