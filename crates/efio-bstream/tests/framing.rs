//! The framings against other implementations, and their decoders against bad input.

use std::io::{self, ErrorKind, Read, Write};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use efio_bstream::{
    BufferedWriter, Chunked, ChunkedDecoder, FrameError, FrameReader, LengthPrefix,
};
use efio_chunks::{ByteReader, byte_stream};
use proptest::prelude::*;

const SIZES: [usize; 5] = [1, 4095, 4096, 100_000, 16 << 20];

fn payload(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 7 + i / 251) as u8).collect()
}

fn wire(mut reader: ByteReader) -> Vec<u8> {
    let mut bytes = vec![0; reader.len()];
    reader.read(&mut bytes);
    assert!(reader.is_closed());
    bytes
}

/// The bytes as a stream, in pieces of that size.
fn stream_of(bytes: &[u8], piece: usize) -> ByteReader {
    let (mut writer, reader) = byte_stream();
    for piece in bytes.chunks(piece) {
        writer.push(piece.to_vec()).unwrap();
    }
    reader
}

/// What `httparse` finds the chunks to be.
fn decode_with_httparse(mut wire: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let httparse::Status::Complete((start, size)) = httparse::parse_chunk_size(wire).unwrap()
        else {
            panic!("incomplete")
        };
        let end = start + size as usize;
        body.extend_from_slice(&wire[start..end]);
        assert_eq!(&wire[end..end + 2], b"\r\n");
        wire = &wire[end + 2..];
        if size == 0 {
            assert_eq!(wire, b"");
            return body;
        }
    }
}

/// A connection that plays a response back once it has seen a request.
struct Playback {
    response: io::Cursor<Vec<u8>>,
    asked: bool,
    waiting: Option<Waker>,
}

impl hyper::rt::Read for Playback {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut buf: hyper::rt::ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.asked {
            self.waiting = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let mut room = vec![0; buf.remaining().min(10_000)];
        let count = self.response.read(&mut room)?;
        buf.put_slice(&room[..count]);
        Poll::Ready(Ok(()))
    }
}

impl hyper::rt::Write for Playback {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.asked = true;
        if let Some(waker) = self.waiting.take() {
            waker.wake();
        }
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// What hyper's client takes the body of a chunked response to be.
fn decode_with_hyper(wire: &[u8]) -> Vec<u8> {
    let mut response = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    response.extend_from_slice(wire);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async move {
        let io = Playback {
            response: io::Cursor::new(response),
            asked: false,
            waiting: None,
        };
        let (mut client, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
        tokio::spawn(connection);
        let request = hyper::Request::new(String::new());
        let mut body = client.send_request(request).await.unwrap().into_body();
        let mut bytes = Vec::new();
        while let Some(frame) =
            std::future::poll_fn(|cx| hyper::body::Body::poll_frame(Pin::new(&mut body), cx)).await
        {
            if let Ok(data) = frame.unwrap().into_data() {
                bytes.extend_from_slice(&data);
            }
        }
        bytes
    })
}

fn decode(reader: ByteReader) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    FrameReader::new(reader, ChunkedDecoder::new()).read_to_end(&mut body)?;
    Ok(body)
}

#[test]
fn chunks_of_any_size_decode_elsewhere_and_here() {
    for size in SIZES {
        let body = payload(size);
        // Copied into frames, and handed over as one.
        for copied in [true, false] {
            let (writer, reader) = byte_stream();
            let mut writer = BufferedWriter::framed_with(writer, Chunked, size);
            if copied {
                writer.write_all(&body).unwrap();
            } else {
                writer.write_frame(body.clone()).unwrap();
            }
            writer.finish().unwrap();
            let wire = wire(reader);
            assert!(
                wire.starts_with(format!("{size:x}\r\n").as_bytes()),
                "one chunk of {size}"
            );
            assert_eq!(decode_with_httparse(&wire), body);
            assert_eq!(decode_with_hyper(&wire), body);
            assert_eq!(decode(stream_of(&wire, 1000)).unwrap(), body);
        }
    }
}

#[test]
fn length_prefixed_frames_of_any_size() {
    let (writer, reader) = byte_stream();
    let mut writer = BufferedWriter::framed_with(writer, LengthPrefix::new(4), 16 << 20);
    for size in SIZES {
        writer.write_all(&payload(size)).unwrap();
        writer.flush().unwrap();
        writer.write_frame(payload(size)).unwrap();
    }
    writer.write_frame("").unwrap();
    writer.finish().unwrap();
    let mut reader = FrameReader::new(reader, LengthPrefix::new(4));
    assert_eq!(reader.read(&mut [0]).unwrap(), 0, "before the first frame");
    for size in SIZES {
        for _ in 0..2 {
            assert!(reader.next_frame().unwrap());
            let mut frame = Vec::new();
            reader.read_to_end(&mut frame).unwrap();
            assert!(frame == payload(size), "a frame of {size}");
        }
    }
    assert!(reader.next_frame().unwrap(), "the empty one");
    assert_eq!(reader.read(&mut [0]).unwrap(), 0);
    assert!(!reader.next_frame().unwrap());
}

#[test]
fn a_frame_ends_before_the_next_one_arrives() {
    let (mut writer, reader) = byte_stream();
    let mut reader = FrameReader::new(reader, LengthPrefix::new(2));
    let would_block = |result: io::Result<bool>| result.unwrap_err().kind();
    assert_eq!(would_block(reader.next_frame()), ErrorKind::WouldBlock);
    writer.append(b"\0");
    assert!(reader.next_frame().unwrap());
    assert_eq!(
        reader.read(&mut [0]).unwrap_err().kind(),
        ErrorKind::WouldBlock
    );
    writer.append(b"\x03abc");
    let mut frame = String::new();
    reader.read_to_string(&mut frame).unwrap();
    assert_eq!(frame, "abc");
    // Skips what was not read.
    writer.append(b"\0\x05skip");
    assert!(reader.next_frame().unwrap());
    assert_eq!(would_block(reader.next_frame()), ErrorKind::WouldBlock);
    writer.append(b"s\0\x01x");
    assert!(reader.next_frame().unwrap());
    assert_eq!(reader.read(&mut [0; 9]).unwrap(), 1);
    writer.append(b"\0");
    assert!(reader.next_frame().unwrap());
    writer.close();
    assert_eq!(
        reader.read(&mut [0]).unwrap_err().kind(),
        ErrorKind::UnexpectedEof
    );

    let mut tooth = FrameReader::new(stream_of(b"\0\x05abcde", 1), LengthPrefix::with_max(2, 4));
    assert!(tooth.next_frame().unwrap());
    assert_eq!(
        tooth.read(&mut [0]).unwrap_err().kind(),
        ErrorKind::InvalidData
    );
    let (writer, _reader) = byte_stream();
    let mut writer = BufferedWriter::framed(writer, LengthPrefix::with_max(2, 4));
    assert_eq!(
        writer.write_frame("abcde").unwrap_err().kind(),
        ErrorKind::InvalidInput
    );
}

#[test]
fn extensions_are_skipped_trailers_kept_and_what_follows_stays() {
    let input = b"4;name=value ; q=\"a\\\"\r b\"\r\n";
    assert!(
        decode(stream_of(input, 1)).is_err(),
        "no CR in a quoted string"
    );
    let input = b"004 ;name=value;q=\"a\\\"; b\"\r\nwiki\r\nA\r\n0123456789\r\n000;x\r\n\
        Sum: 12\r\nOther:\t x \r\n\r\nnext request";
    for piece in [1, 2, 3, 1000] {
        let mut reader = FrameReader::new(stream_of(input, piece), ChunkedDecoder::new());
        let mut body = String::new();
        reader.read_to_string(&mut body).unwrap();
        assert_eq!(body, "wiki0123456789");
        assert_eq!(reader.deframing().trailers(), b"Sum: 12\r\nOther:\t x \r\n");
        let mut rest = [0; 50];
        let count = reader.into_inner().read(&mut rest);
        assert_eq!(&rest[..count], b"next request");
    }
}

#[test]
fn bad_chunks_are_refused() {
    use FrameError::*;
    let cases: &[(&[u8], FrameError)] = &[
        (b"\r\n", BadChunkSize),
        (b"g\r\n", BadChunkSize),
        (b" 4\r\nwiki\r\n", BadChunkSize),
        (b"+4\r\nwiki\r\n", BadChunkSize),
        (b"0x4\r\nwiki\r\n", BadChunkSize),
        (b"-1\r\n", BadChunkSize),
        (b"4\nwiki\n0\n\n", BadChunkSize),
        (b"4 4\r\nwiki\r\n", BadChunkExtension),
        (b"4 \nwiki\r\n", BadChunkExtension),
        (b"4;a\x01\r\n", BadChunkExtension),
        (b"4;\r\nwiki\r\n", BadChunkExtension),
        (b"4; \r\nwiki\r\n", BadChunkExtension),
        (b"4;;a\r\nwiki\r\n", BadChunkExtension),
        (b"4;a;\r\nwiki\r\n", BadChunkExtension),
        (b"4;=v\r\nwiki\r\n", BadChunkExtension),
        (b"4;a=\r\nwiki\r\n", BadChunkExtension),
        (b"4;a= \r\nwiki\r\n", BadChunkExtension),
        (b"4;a==v\r\nwiki\r\n", BadChunkExtension),
        (b"4;a=v=w\r\nwiki\r\n", BadChunkExtension),
        (b"4;a b\r\nwiki\r\n", BadChunkExtension),
        (b"4;a=v w\r\nwiki\r\n", BadChunkExtension),
        (b"4;a \r\nwiki\r\n", BadChunkExtension),
        (b"4;a=v \r\nwiki\r\n", BadChunkExtension),
        (b"4;\"a\"\r\nwiki\r\n", BadChunkExtension),
        (b"4;a\"b\"\r\nwiki\r\n", BadChunkExtension),
        (b"4;a=\"b\"c\r\nwiki\r\n", BadChunkExtension),
        (b"4;a=\"b\r\nwiki\r\n", BadChunkExtension),
        (b"4;a=\"\\\"\r\nwiki\r\n", BadChunkExtension),
        (b"4;a=\"\x7f\"\r\nwiki\r\n", BadChunkExtension),
        (b"4;a=\"\\\0\"\r\nwiki\r\n", BadChunkExtension),
        (b"4;a=\"\xe9\"\r\nwiki\r\n", BadChunkExtension),
        (b"4;\xe9\r\nwiki\r\n", BadChunkExtension),
        (b"4;a=\xc2\xa0\r\nwiki\r\n", BadChunkExtension),
        (b"4;a(b)\r\nwiki\r\n", BadChunkExtension),
        (b"4\x0b\r\nwiki\r\n", BadChunkSize),
        (b"4\xa0\r\nwiki\r\n", BadChunkSize),
        (b"4;a\nwiki\r\n", BadLineEnd),
        (b"4;a=\"\n", BadChunkExtension),
        (b"4 \r\r\nwiki", BadLineEnd),
        (b"4\r\r\nwiki", BadLineEnd),
        (b"4\r\nwiki5\r\n", BadLineEnd),
        (b"4\r\nwiki\n", BadLineEnd),
        (b"4\r\nwiki\rX", BadLineEnd),
        (b"0\r\n\n", BadTrailer),
        (b"0\r\n folded: x\r\n\r\n", BadTrailer),
        (b"0\r\n: x\r\n\r\n", BadTrailer),
        (b"0\r\na b: x\r\n\r\n", BadTrailer),
        (b"0\r\na: \0\r\n\r\n", BadTrailer),
        (b"0\r\na: x\rb", BadLineEnd),
        (b"0\r\n\rX", BadLineEnd),
        (b"10000000000000000\r\n", FrameTooLarge),
        (b"fffffffffffffffff\r\n", FrameTooLarge),
        (b"65\r\n", FrameTooLarge),
        (b"000000000000000000000\r\n", HeaderTooLong),
        (b"4;a-long-extension-of-a-chunk\r\nwiki", HeaderTooLong),
        (b"0\r\nname: 0123\r\nname: 4567890\r\n\r\n", HeaderTooLong),
    ];
    for (input, expected) in cases {
        for piece in [1, 1000] {
            let decoder = ChunkedDecoder::with_limits(100, 20);
            let mut reader = FrameReader::new(stream_of(input, piece), decoder);
            let error = reader.read_to_end(&mut Vec::new()).unwrap_err();
            let text = input.escape_ascii();
            assert_eq!(error.kind(), ErrorKind::InvalidData, "{text}");
            let inner = error
                .get_ref()
                .and_then(|inner| inner.downcast_ref::<FrameError>());
            assert_eq!(inner, Some(expected), "{text}");
            let again = reader.read(&mut [0]).unwrap_err();
            assert_eq!(again.kind(), ErrorKind::InvalidData, "it stays broken");
        }
    }
    for truncated in [
        &b""[..],
        b"4",
        b"4\r\nwik",
        b"4\r\nwiki\r\n",
        b"0\r\n",
        b"0\r\n\r",
    ] {
        let error = decode(stream_of(truncated, 1)).unwrap_err();
        assert_eq!(
            error.kind(),
            ErrorKind::UnexpectedEof,
            "{}",
            truncated.escape_ascii()
        );
    }
}

#[test]
fn good_extensions_are_skipped() {
    for line in [
        "4",
        "04",
        "4 ",
        "4\t \t",
        "4;a",
        "4;a=b",
        "4 ; a = b",
        "4\t;\ta\t=\tb",
        "4;a;b;c=d;e",
        "4;a=\"\"",
        "4;a=\"b \t;=\\\"c\\\\\"",
        "4;a=\"b\" ;c",
        "4 ;!#$%&'*+-.^_`|~=1",
    ] {
        let input = format!("{line}\r\nwiki\r\n0\r\n\r\n");
        for piece in [1, 1000] {
            let body = decode(stream_of(input.as_bytes(), piece));
            assert_eq!(body.unwrap(), b"wiki", "{line:?}");
        }
    }
}

/// One limit covers all that pads a body: extensions, blanks, zeros before the digits, trailers.
#[test]
fn all_padding_together_is_limited() {
    const LIMIT: usize = 16 << 10;
    // Of each, a chunk of one byte with that much padding.
    let chunks = [
        (format!("1;{}\r\nx\r\n", "a".repeat(99)), 100),
        (format!("1{}\r\nx\r\n", " ".repeat(100)), 100),
        (format!("{}1\r\nx\r\n", "0".repeat(115)), 100),
    ];
    let trailer = "Sum: 1\r\n";
    for (chunk, padding) in chunks {
        for (count, trailers, fits) in [
            (LIMIT / padding, 0, true),
            (LIMIT / padding + 1, 0, false),
            (LIMIT / padding, (LIMIT % padding) / trailer.len(), true),
            (
                LIMIT / padding,
                (LIMIT % padding) / trailer.len() + 1,
                false,
            ),
        ] {
            let input = chunk.repeat(count) + "0\r\n" + &trailer.repeat(trailers) + "\r\n";
            let body = decode(stream_of(input.as_bytes(), 1000));
            match body {
                Ok(body) => assert!(fits && body.len() == count),
                Err(error) => {
                    assert!(!fits, "{count} of {padding}, {trailers} trailers");
                    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
                    assert_eq!(inner, Some(&FrameError::HeaderTooLong));
                }
            }
        }
    }
    // Plain chunks are not counted.
    let input = "0000000000000001\r\nx\r\n".repeat(LIMIT) + "0\r\n\r\n";
    assert_eq!(
        decode(stream_of(input.as_bytes(), 1000)).unwrap().len(),
        LIMIT
    );
}

proptest! {
    /// Any writes and flushes, with a small frame and a small stream, decode to what was written;
    /// in between nothing but would-block may go wrong.
    #[test]
    fn chunked_round_trip(
        writes in prop::collection::vec((0usize..400, any::<bool>(), any::<bool>()), 0..40),
        capacity in 1usize..300,
        bound in 1usize..500,
        read in 1usize..200,
    ) {
        let (writer, reader) = efio_chunks::bounded_byte_stream(bound);
        let mut writer = BufferedWriter::framed_with(writer, Chunked, capacity);
        let mut reader = FrameReader::new(reader, ChunkedDecoder::new());
        let (mut sent, mut got) = (Vec::new(), Vec::new());
        let mut buf = vec![0; read];
        let mut pull = |got: &mut Vec<u8>| loop {
            match reader.read(&mut buf) {
                Ok(0) => return true,
                Ok(count) => got.extend_from_slice(&buf[..count]),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::WouldBlock);
                    return false;
                }
            }
        };
        let retry = |result: io::Result<()>| match result {
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                false
            }
            Ok(()) => true,
        };
        for (len, whole, flush) in writes {
            let bytes = payload(len);
            if whole {
                while !retry(writer.write_frame(bytes.clone())) {
                    pull(&mut got);
                }
                sent.extend_from_slice(&bytes);
            } else {
                match writer.write(&bytes) {
                    Ok(count) => sent.extend_from_slice(&bytes[..count]),
                    Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
                }
            }
            if flush {
                retry(writer.flush());
            }
        }
        while !retry(writer.finish()) {
            pull(&mut got);
        }
        prop_assert!(pull(&mut got));
        prop_assert_eq!(sent, got);
    }
}
