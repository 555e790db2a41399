//! Any bytes into both decoders: the result is the same for the whole input and for its parts, and
//! httparse agrees with what the strict chunked decoder accepts.
#![no_main]

use std::io::{ErrorKind, Read};

use efio_bstream::{ChunkedDecoder, Deframing, FrameError, FrameReader, LengthPrefix};
use efio_chunks::{ByteReader, byte_stream};
use libfuzzer_sys::fuzz_target;

/// The frames, the result, and the bytes left.
type Outcome = (Vec<Vec<u8>>, Result<bool, Option<FrameError>>, Vec<u8>);

/// Feeds the input in parts, or whole, and reads whenever bytes are available.
fn run<D: Deframing>(input: &[u8], cuts: &[u8], read: usize, deframing: D) -> Outcome {
    let (mut writer, reader) = byte_stream();
    let mut reader = FrameReader::new(reader, deframing);
    let mut frames = vec![Vec::new()];
    let mut feed = input;
    let mut cuts = cuts.iter().cycle();
    let mut buf = vec![0; read];
    let end = loop {
        match reader.read(&mut buf) {
            Ok(0) => match reader.next_frame() {
                Ok(true) => {
                    frames.push(Vec::new());
                    continue;
                }
                Ok(false) => break Ok(true),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => break Err(reason(&error)),
            },
            Ok(count) => {
                frames.last_mut().unwrap().extend_from_slice(&buf[..count]);
                continue;
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => break Err(reason(&error)),
        }
        if feed.is_empty() {
            // The decoder has the whole input and wants more.
            break Ok(false);
        }
        let cut = cuts
            .next()
            .map_or(feed.len(), |cut| usize::from(*cut) + 1)
            .min(feed.len());
        writer.push(feed[..cut].to_vec()).unwrap();
        feed = &feed[cut..];
    };
    let mut rest: ByteReader = reader.into_inner();
    let mut left = vec![0; rest.len()];
    rest.read(&mut left);
    left.extend_from_slice(feed);
    (frames, end, left)
}

fn reason(error: &std::io::Error) -> Option<FrameError> {
    error
        .get_ref()
        .and_then(|inner| inner.downcast_ref())
        .copied()
}

/// Returns the body according to httparse, which is laxer; `None` where it refuses.
fn by_httparse(mut input: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let httparse::Status::Complete((start, size)) = httparse::parse_chunk_size(input).ok()?
        else {
            return None;
        };
        if size == 0 {
            return Some(body);
        }
        let end = start.checked_add(usize::try_from(size).ok()?)?;
        body.extend_from_slice(input.get(start..end)?);
        input = input.get(end + 2..)?;
    }
}

fuzz_target!(|input: (Vec<u8>, Vec<u8>, u8, u8)| {
    let (bytes, cuts, read, mode) = input;
    let read = usize::from(read) + 1;
    let width = [1, 2, 4, 8][usize::from(mode % 4)];
    let (max_chunk, max_header) = if mode & 4 == 0 {
        (u64::MAX, 8192)
    } else {
        (100, 30)
    };

    let whole = run(
        &bytes,
        &[],
        64,
        ChunkedDecoder::with_limits(max_chunk, max_header),
    );
    let parts = run(
        &bytes,
        &cuts,
        read,
        ChunkedDecoder::with_limits(max_chunk, max_header),
    );
    // After an error the position in the input has no meaning.
    assert_eq!((&whole.0, whole.1), (&parts.0, parts.1));
    if whole.1 == Ok(true) {
        assert_eq!(whole.2, parts.2);
        if let Some(body) = by_httparse(&bytes) {
            assert_eq!(whole.0.concat(), body);
        }
    }

    let max = if mode & 8 == 0 { u64::MAX } else { 50 };
    let whole = run(&bytes, &[], 64, LengthPrefix::with_max(width, max));
    let parts = run(&bytes, &cuts, read, LengthPrefix::with_max(width, max));
    assert_eq!((&whole.0, whole.1), (&parts.0, parts.1));
});
