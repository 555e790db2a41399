//! Frames that start with their length.

use std::io;

use crate::framing::{Deframing, FrameError, Framing, Step};

/// Frames of a big-endian length of 1, 2, 4 or 8 bytes and as many bytes of payload. The type is
/// both the [`Framing`] and the [`Deframing`].
///
/// ```
/// use std::io::{Read, Write};
/// use efio_bstream::{BufferedWriter, FrameReader, LengthPrefix};
///
/// let (writer, reader) = efio_chunks::byte_stream();
/// let mut writer = BufferedWriter::framed(writer, LengthPrefix::new(2));
/// writer.write_all(b"one")?;
/// writer.flush()?;
/// writer.write_frame("two".to_string())?; // the same without a copy
/// writer.finish()?;
///
/// assert_eq!(reader.chunk(), b"\0\x03one");
/// let mut reader = FrameReader::new(reader, LengthPrefix::new(2));
/// let mut frames = Vec::new();
/// while reader.next_frame()? {
///     let mut frame = String::new();
///     reader.read_to_string(&mut frame)?;
///     frames.push(frame);
/// }
/// assert_eq!(frames, ["one", "two"]);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct LengthPrefix {
    width: usize,
    max: u64,
    state: State,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// Before a frame, until the caller goes on to it.
    Between,
    /// That many bytes of the length are known.
    Header(usize, u64),
    /// That many bytes of the payload are missing.
    Payload(u64),
}

impl LengthPrefix {
    /// Lengths of `width` bytes.
    ///
    /// # Panics
    /// If `width` is not 1, 2, 4 or 8.
    pub fn new(width: usize) -> Self {
        assert!(matches!(width, 1 | 2 | 4 | 8), "a length of {width} bytes");
        let max = if width == 8 {
            u64::MAX
        } else {
            (1 << (8 * width)) - 1
        };
        Self {
            width,
            max,
            state: State::Between,
        }
    }

    /// Lengths of `width` bytes, none above `max`: neither written nor accepted.
    ///
    /// # Panics
    /// As [`new`](Self::new).
    pub fn with_max(width: usize, max: u64) -> Self {
        let all = Self::new(width);
        Self {
            max: max.min(all.max),
            ..all
        }
    }

    /// Returns how much payload of the current frame was not read yet; `None` before its header was
    /// read and between frames.
    pub fn left(&self) -> Option<u64> {
        match self.state {
            State::Payload(left) => Some(left),
            State::Between | State::Header(..) => None,
        }
    }
}

impl Framing for LengthPrefix {
    const PREFIX: usize = 8;
    const SUFFIX: usize = 0;

    fn max_payload(&self) -> u64 {
        self.max
    }

    fn frame(
        &mut self,
        payload: &[u8],
        prefix: &mut [u8],
        _: &mut [u8],
    ) -> io::Result<(usize, usize)> {
        let length = payload.len() as u64;
        if length > self.max {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                FrameError::FrameTooLarge,
            ));
        }
        prefix[Self::PREFIX - 8..].copy_from_slice(&length.to_be_bytes());
        Ok((self.width, 0))
    }
}

impl Deframing for LengthPrefix {
    fn step(&mut self, input: &[u8]) -> Result<Step, FrameError> {
        match self.state {
            State::Between | State::Payload(0) => {
                self.state = State::Between;
                Ok(Step::EndOfFrame)
            }
            State::Payload(left) => Ok(Step::Payload(
                usize::try_from(left).map_or(input.len(), |l| l.min(input.len())),
            )),
            State::Header(known, value) => {
                let more = &input[..input.len().min(self.width - known)];
                let value = more
                    .iter()
                    .fold(value, |value, byte| value << 8 | u64::from(*byte));
                if known + more.len() < self.width {
                    self.state = State::Header(known + more.len(), value);
                } else if value > self.max {
                    return Err(FrameError::FrameTooLarge);
                } else {
                    self.state = State::Payload(value);
                }
                Ok(Step::Skip(more.len()))
            }
        }
    }

    fn take(&mut self, count: usize) {
        if let State::Payload(left) = &mut self.state {
            *left -= count as u64;
        }
    }

    fn next_frame(&mut self) {
        self.state = State::Header(0, 0);
    }

    fn may_end(&self) -> bool {
        matches!(
            self.state,
            State::Between | State::Header(0, _) | State::Payload(0)
        )
    }
}
