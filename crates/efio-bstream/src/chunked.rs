//! The chunked transfer coding of HTTP/1.1, RFC 9112 §7.1.
//!
//! ```text
//! chunked-body = *chunk last-chunk trailer-section CRLF
//! chunk        = 1*HEXDIG [ chunk-ext ] CRLF chunk-data CRLF
//! last-chunk   = 1*"0" [ chunk-ext ] CRLF
//! chunk-ext    = *( BWS ";" BWS token [ BWS "=" BWS ( token / quoted-string ) ] )
//! ```

use std::io;

use crate::framing::{Deframing, FrameError, Framing, Step};

/// Writes chunks: each flushed buffer becomes one, of any size; finishing writes the last one.
///
/// ```
/// use std::io::Write;
/// use efio_bstream::{BufferedWriter, Chunked};
///
/// let (writer, mut reader) = efio_chunks::byte_stream();
/// let mut writer = BufferedWriter::framed(writer, Chunked);
/// writer.write_all(b"hello, world")?;
/// writer.finish()?;
///
/// let mut wire = vec![0; reader.len()];
/// reader.read(&mut wire);
/// assert_eq!(wire, b"c\r\nhello, world\r\n0\r\n\r\n");
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct Chunked;

/// Sixteen digits are enough for any length.
const SIZE_DIGITS: usize = 16;

impl Framing for Chunked {
    const PREFIX: usize = SIZE_DIGITS + 2;
    const SUFFIX: usize = 2;

    fn frame(
        &mut self,
        payload: &[u8],
        prefix: &mut [u8],
        suffix: &mut [u8],
    ) -> io::Result<(usize, usize)> {
        if payload.is_empty() {
            // A chunk of size zero would be the last one.
            return Ok((0, 0));
        }
        let digits = put_hex(payload.len() as u64, &mut prefix[..SIZE_DIGITS]);
        prefix[SIZE_DIGITS..].copy_from_slice(b"\r\n");
        suffix.copy_from_slice(b"\r\n");
        Ok((digits + 2, 2))
    }

    fn finish(&mut self) -> Vec<u8> {
        b"0\r\n\r\n".to_vec()
    }
}

/// Puts the number at the end of `space`, returns the number of digits.
fn put_hex(mut value: u64, space: &mut [u8]) -> usize {
    let mut digits = 0;
    for digit in space.iter_mut().rev() {
        *digit = b"0123456789abcdef"[(value & 15) as usize];
        digits += 1;
        value >>= 4;
        if value == 0 {
            break;
        }
    }
    digits
}

/// Reads chunks. Strict: what the grammar does not allow is an error, so that no intermediary can
/// have read it differently. Chunk extensions are skipped, trailers collected.
///
/// Two things differ from the grammar, as in other implementations: blanks between a size and the
/// end of its line are accepted, because some senders pad it so; bytes above 127 in a quoted string
/// of an extension are not, because no sender uses them.
#[derive(Debug, Clone)]
pub struct ChunkedDecoder {
    state: State,
    max_chunk: u64,
    max_header: usize,
    /// The length of the current chunk header so far.
    header: usize,
    /// Bytes of all extensions so far, and what else pads the size lines.
    padding: usize,
    trailers: Vec<u8>,
}

/// What the next byte is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The first digit of a size.
    Size,
    /// Another digit, or what follows the size.
    SizeMore(u64),
    /// White space between the size and an extension, or the end of the line.
    Blank(u64),
    /// Within an extension of a chunk of that size.
    Extension(u64, Place),
    /// The LF of the size line.
    SizeLf(u64),
    /// Payload: that many bytes.
    Data(u64),
    DataCr,
    DataLf,
    /// The first byte of a trailer line, or the CR of the empty one.
    Trailer,
    /// Within the name of a trailer field.
    TrailerName,
    /// Within its value.
    TrailerValue,
    TrailerLf,
    /// The LF of the empty line.
    LastLf,
    Done,
}

/// Where in an extension.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// After the semicolon, before the name.
    Start,
    Name,
    /// White space after the name: an equals sign or another extension follows.
    NameEnd,
    /// After the equals sign, before the value.
    Equals,
    Value,
    /// Within a quoted string.
    Quoted,
    /// After a backslash in it.
    Escaped,
    /// After its last quote.
    QuotedEnd,
    /// White space after the value: another extension follows.
    ValueEnd,
}

impl Place {
    /// Returns the place after `byte`, if that may come here. Does not handle the end of the
    /// extension.
    fn step(self, byte: u8) -> Option<Self> {
        use Place::*;
        let is_blank = matches!(byte, b' ' | b'\t');
        Some(match (self, byte) {
            (Start | Name, _) if is_token(byte) => Name,
            (Start, _) if is_blank => Start,
            (Name | NameEnd, b'=') => Equals,
            (Name | NameEnd, _) if is_blank => NameEnd,
            (Equals, b'"') => Quoted,
            (Equals, _) if is_blank => Equals,
            (Equals | Value, _) if is_token(byte) => Value,
            (Quoted, b'"') => QuotedEnd,
            (Quoted, b'\\') => Escaped,
            (Quoted | Escaped, _) if is_text(byte) && byte.is_ascii() => Quoted,
            (Value | QuotedEnd | ValueEnd, _) if is_blank => ValueEnd,
            (Name | NameEnd | Value | QuotedEnd | ValueEnd, b';') => Start,
            _ => return None,
        })
    }

    /// Returns whether the line may end here.
    fn may_end(self) -> bool {
        matches!(self, Self::Name | Self::Value | Self::QuotedEnd)
    }
}

/// Bytes of all extensions and trailers together, as in hyper: without a limit a sender could keep
/// the reader busy for ever with a body of almost no bytes.
const EXTRAS: usize = 16 << 10;

/// Digits of a size that is not padded.
const DIGITS: usize = 16;

impl Default for ChunkedDecoder {
    fn default() -> Self {
        Self::new()
    }
}

impl ChunkedDecoder {
    /// Accepts chunks of any size, and 8 KiB of header.
    pub fn new() -> Self {
        Self::with_limits(u64::MAX, 8 << 10)
    }

    /// Accepts chunks of up to `max_chunk` bytes. A chunk's header line, its extensions included,
    /// may have up to `max_header` bytes, and so may all trailers together. All extensions (with
    /// what else pads the size lines) and trailers together may have 16 KiB, or `max_header` if
    /// that is more.
    pub fn with_limits(max_chunk: u64, max_header: usize) -> Self {
        Self {
            state: State::Size,
            max_chunk,
            max_header,
            header: 0,
            padding: 0,
            trailers: Vec::new(),
        }
    }

    /// Returns the trailer lines so far, as they came, each with its CR LF.
    pub fn trailers(&self) -> &[u8] {
        &self.trailers
    }

    /// Returns whether the last chunk and the trailers were read.
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Handles one byte that is not payload; returns the next state.
    fn byte(&mut self, byte: u8) -> Result<State, FrameError> {
        use State::*;
        let state = match (self.state, byte) {
            (Size, _) => SizeMore(hex(byte).ok_or(FrameError::BadChunkSize)?),
            (SizeMore(size), _) if hex(byte).is_some() => {
                let digit = hex(byte).unwrap_or(0);
                let size = size.checked_mul(16).ok_or(FrameError::FrameTooLarge)? + digit;
                SizeMore(size)
            }
            (SizeMore(size) | Blank(size), b'\r') => SizeLf(size),
            (SizeMore(size) | Blank(size), b' ' | b'\t') => Blank(size),
            (SizeMore(size) | Blank(size), b';') => Extension(size, Place::Start),
            (SizeMore(_), _) => return Err(FrameError::BadChunkSize),
            (Blank(_), _) => return Err(FrameError::BadChunkExtension),
            (Extension(size, place), b'\r') if place.may_end() => SizeLf(size),
            (Extension(_, place), b'\n') if place.may_end() => return Err(FrameError::BadLineEnd),
            (Extension(size, place), _) => {
                let next = place.step(byte).ok_or(FrameError::BadChunkExtension)?;
                Extension(size, next)
            }
            (SizeLf(0), b'\n') => Trailer,
            (SizeLf(size), b'\n') => Data(size),
            (DataCr, b'\r') => DataLf,
            (DataLf, b'\n') => Size,
            (Trailer, b'\r') => LastLf,
            (Trailer | TrailerName, _) if is_token(byte) => TrailerName,
            (TrailerName, b':') => TrailerValue,
            (TrailerValue, b'\r') => TrailerLf,
            (TrailerValue, _) if is_text(byte) => TrailerValue,
            (TrailerLf, b'\n') => Trailer,
            (LastLf, b'\n') => Done,
            (Trailer | TrailerName | TrailerValue, _) => return Err(FrameError::BadTrailer),
            (SizeLf(_) | DataCr | DataLf | TrailerLf | LastLf, _) => {
                return Err(FrameError::BadLineEnd);
            }
            // `step` never comes here with these.
            (Data(_) | Done, _) => unreachable!("not a framing byte"),
        };
        Ok(state)
    }

    /// Accounts for a framing byte that led to `next`.
    fn count(&mut self, byte: u8, next: State) -> Result<(), FrameError> {
        use State::*;
        match next {
            SizeMore(size) if size > self.max_chunk => return Err(FrameError::FrameTooLarge),
            Size => self.header = 0,
            SizeMore(_) | Blank(_) | Extension(..) | SizeLf(_) => {
                self.header += 1;
                if self.header > self.max_header {
                    return Err(FrameError::HeaderTooLong);
                }
                let is_plain = match next {
                    SizeMore(_) => self.header <= DIGITS,
                    SizeLf(_) => true,
                    _ => false,
                };
                if !is_plain {
                    self.padding += 1;
                    self.check_extras()?;
                }
            }
            TrailerName | TrailerValue | TrailerLf => self.keep(byte)?,
            Trailer if self.state == TrailerLf => self.keep(byte)?,
            _ => {}
        }
        Ok(())
    }

    fn keep(&mut self, byte: u8) -> Result<(), FrameError> {
        if self.trailers.len() == self.max_header {
            return Err(FrameError::HeaderTooLong);
        }
        self.trailers.push(byte);
        self.check_extras()
    }

    fn check_extras(&self) -> Result<(), FrameError> {
        if self.padding + self.trailers.len() > EXTRAS.max(self.max_header) {
            return Err(FrameError::HeaderTooLong);
        }
        Ok(())
    }
}

impl Deframing for ChunkedDecoder {
    fn step(&mut self, input: &[u8]) -> Result<Step, FrameError> {
        match self.state {
            State::Done => return Ok(Step::End),
            State::Data(left) => {
                let there = input.len() as u64;
                // It is at most the length of the input.
                return Ok(Step::Payload(left.min(there) as usize));
            }
            _ => {}
        }
        let mut skipped = 0;
        for &byte in input {
            if matches!(self.state, State::Data(_) | State::Done) {
                break;
            }
            let next = self.byte(byte)?;
            self.count(byte, next)?;
            self.state = next;
            skipped += 1;
        }
        Ok(Step::Skip(skipped))
    }

    fn take(&mut self, count: usize) {
        if let State::Data(left) = self.state {
            let left = left - count as u64;
            self.state = if left == 0 {
                State::DataCr
            } else {
                State::Data(left)
            };
        }
    }

    fn may_end(&self) -> bool {
        self.is_done()
    }
}

fn hex(byte: u8) -> Option<u64> {
    char::from(byte).to_digit(16).map(u64::from)
}

/// Bytes of a field value, RFC 9110 §5.5: no control characters but the tab.
fn is_text(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

/// Bytes of a field name, RFC 9110 §5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
