//! How bytes are cut into frames, and put together again.
//!
//! ```text
//!  write(…) write(…) flush      ┌────────┬──────────────────────┬────────┐
//!  ──────────────────────────►  │ prefix │ payload              │ suffix │  one buffer, one push
//!                               └────────┴──────────────────────┴────────┘
//!                                 ▲ right-aligned: what is unused of it is never in the stream
//! ```

use std::io;

/// The writer's side of a framing: what goes before and after the payload.
///
/// The space for both is kept in the buffer that collects the payload, so a frame is handed over
/// as one buffer without being copied again. The prefix space is for the largest header; a smaller
/// one is put at its end.
pub trait Framing {
    /// Bytes kept before the payload.
    const PREFIX: usize;

    /// Bytes kept after the payload.
    const SUFFIX: usize;

    /// Whether there is nothing to add, so that bytes need not be collected at all.
    const TRANSPARENT: bool = false;

    /// Returns the longest payload of a frame.
    fn max_payload(&self) -> u64 {
        u64::MAX
    }

    /// Frames `payload`: puts the header at the end of `prefix` and what follows the payload at
    /// the start of `suffix`. Returns how many bytes of each it used.
    ///
    /// # Errors
    /// If the payload cannot be framed. Nothing of it is written then.
    fn frame(
        &mut self,
        payload: &[u8],
        prefix: &mut [u8],
        suffix: &mut [u8],
    ) -> io::Result<(usize, usize)>;

    /// Returns what follows the last frame.
    fn finish(&mut self) -> Vec<u8> {
        Vec::new()
    }
}

/// No framing: bytes are bytes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Plain;

impl Framing for Plain {
    const PREFIX: usize = 0;
    const SUFFIX: usize = 0;
    const TRANSPARENT: bool = true;

    fn frame(&mut self, _: &[u8], _: &mut [u8], _: &mut [u8]) -> io::Result<(usize, usize)> {
        Ok((0, 0))
    }
}

/// The reader's side of a framing: a state machine that gets the bytes from its position on and
/// returns what they are. It is incremental: it can get any number of bytes at a time, down to one.
pub trait Deframing {
    /// Returns what the first of the bytes are. Without any it returns an end that is reached
    /// already, and otherwise `Skip(0)` or `Payload(0)`.
    ///
    /// # Errors
    /// If the framing does not allow them. The machine cannot be used any more.
    fn step(&mut self, input: &[u8]) -> Result<Step, FrameError>;

    /// Accounts for `count` bytes that were taken from the payload that the last step returned.
    fn take(&mut self, count: usize);

    /// Goes on past the end of a frame, so that the next one can start.
    fn next_frame(&mut self) {}

    /// Whether the input may end here.
    fn may_end(&self) -> bool;
}

/// What a [`Deframing`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// That many bytes belong to the framing: skip them and call again.
    Skip(usize),
    /// That many bytes are payload. Take any number of them, report it to
    /// [`take`](Deframing::take), and call again.
    Payload(usize),
    /// A frame is complete, before the first of the bytes.
    EndOfFrame,
    /// All frames are complete, before the first of the bytes: they belong to something else.
    End,
}

/// What is wrong with framed input. As an `io::Error` it is `InvalidData`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FrameError {
    /// The size of a chunk is not a hexadecimal number.
    BadChunkSize,
    /// The size is followed by something that is neither an extension nor the end of the line.
    BadChunkExtension,
    /// A line does not end in CR LF, or a chunk is not followed by it.
    BadLineEnd,
    /// A trailer line is not a header field.
    BadTrailer,
    /// A frame or chunk is larger than the limit.
    FrameTooLarge,
    /// A chunk header, all trailers together, or these and all extensions, exceed the limit.
    HeaderTooLong,
}

impl std::fmt::Display for FrameError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::BadChunkSize => "the size of a chunk is not a hexadecimal number",
            Self::BadChunkExtension => "the size of a chunk is followed by garbage",
            Self::BadLineEnd => "CR LF is missing",
            Self::BadTrailer => "a trailer is not a header field",
            Self::FrameTooLarge => "a frame is larger than the limit",
            Self::HeaderTooLong => "chunk headers or trailers are longer than the limit",
        })
    }
}

impl std::error::Error for FrameError {}

impl From<FrameError> for io::Error {
    fn from(error: FrameError) -> Self {
        Self::new(io::ErrorKind::InvalidData, error)
    }
}
