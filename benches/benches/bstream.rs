//! Byte streams through the io traits, plain and framed, beside their peers.
//!
//! ```text
//! cargo bench -p efio-benches --bench bstream
//! ```
#![allow(missing_docs)]

mod streams;

use std::io::{self, BufRead, ErrorKind, Read, Write};

use efio_bstream::{
    BufferedReader, BufferedWriter, Chunked, ChunkedDecoder, FrameReader, Framing, LengthPrefix,
    Plain,
};
use efio_chunks::{Buffer, bounded_byte_stream};
use ringbuf::traits::Split;

use streams::{CAPACITY, Candidate, Lane, Work, compare, run};

fn count(result: io::Result<usize>) -> usize {
    match result {
        Ok(count) => count,
        Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
        Err(error) => panic!("{error}"),
    }
}

type Pair<F, R> = (BufferedWriter<F>, R);

/// A frame per 16 KiB, which divides every total.
fn pair<F: Framing, R>(
    framing: F,
    reader: impl FnOnce(efio_chunks::ByteReader) -> R,
) -> Pair<F, R> {
    let (inner, outer) = bounded_byte_stream(CAPACITY);
    let mut writer = BufferedWriter::framed(inner, framing);
    // The consumer leaves when it has all of the payload.
    writer.on_drop_error(|_| {});
    (writer, reader(outer))
}

struct Copying;

impl Lane for Copying {
    type Writer = BufferedWriter<Plain>;
    type Reader = BufferedReader<Buffer>;

    fn ends(_: usize) -> Pair<Plain, Self::Reader> {
        pair(Plain, BufferedReader::new)
    }

    fn put(writer: &mut Self::Writer, bytes: &[u8]) -> usize {
        count(writer.write(bytes))
    }

    fn take(reader: &mut Self::Reader, bytes: &mut [u8]) -> usize {
        count(reader.read(bytes))
    }
}

/// Looks at the bytes where they are, instead of copying them out.
struct Lending;

impl Lane for Lending {
    type Writer = BufferedWriter<Plain>;
    type Reader = BufferedReader<Buffer>;

    fn ends(_: usize) -> Pair<Plain, Self::Reader> {
        pair(Plain, BufferedReader::new)
    }

    fn put(writer: &mut Self::Writer, bytes: &[u8]) -> usize {
        count(writer.write(bytes))
    }

    fn take(reader: &mut Self::Reader, bytes: &mut [u8]) -> usize {
        let Ok(lent) = reader.fill_buf() else {
            return 0;
        };
        let len = lent.len().min(bytes.len());
        bytes[0] = lent[0];
        bytes[len - 1] = lent[len - 1];
        reader.consume(len);
        len
    }
}

struct InChunks;

impl Lane for InChunks {
    type Writer = BufferedWriter<Chunked>;
    type Reader = FrameReader<Buffer, ChunkedDecoder>;

    fn ends(_: usize) -> Pair<Chunked, Self::Reader> {
        pair(Chunked, |reader| {
            FrameReader::new(reader, ChunkedDecoder::new())
        })
    }

    fn put(writer: &mut Self::Writer, bytes: &[u8]) -> usize {
        count(writer.write(bytes))
    }

    fn flush(writer: &mut Self::Writer) -> bool {
        !matches!(writer.flush(), Err(error) if error.kind() == ErrorKind::WouldBlock)
    }

    fn take(reader: &mut Self::Reader, bytes: &mut [u8]) -> usize {
        count(reader.read(bytes))
    }
}

struct InFrames;

impl Lane for InFrames {
    type Writer = BufferedWriter<LengthPrefix>;
    type Reader = FrameReader<Buffer, LengthPrefix>;

    fn ends(_: usize) -> Pair<LengthPrefix, Self::Reader> {
        pair(LengthPrefix::new(4), |reader| {
            FrameReader::new(reader, LengthPrefix::new(4))
        })
    }

    fn put(writer: &mut Self::Writer, bytes: &[u8]) -> usize {
        count(writer.write(bytes))
    }

    fn flush(writer: &mut Self::Writer) -> bool {
        !matches!(writer.flush(), Err(error) if error.kind() == ErrorKind::WouldBlock)
    }

    fn take(reader: &mut Self::Reader, bytes: &mut [u8]) -> usize {
        match count(reader.read(bytes)) {
            0 if reader.next_frame().is_ok() => count(reader.read(bytes)),
            count => count,
        }
    }
}

struct Rtrb;

impl Lane for Rtrb {
    type Writer = rtrb::Producer<u8>;
    type Reader = rtrb::Consumer<u8>;

    fn ends(_: usize) -> (Self::Writer, Self::Reader) {
        rtrb::RingBuffer::new(CAPACITY)
    }

    fn put(writer: &mut Self::Writer, bytes: &[u8]) -> usize {
        count(writer.write(bytes))
    }

    fn take(reader: &mut Self::Reader, bytes: &mut [u8]) -> usize {
        count(reader.read(bytes))
    }
}

struct Ringbuf;

impl Lane for Ringbuf {
    type Writer = ringbuf::HeapProd<u8>;
    type Reader = ringbuf::HeapCons<u8>;

    fn ends(_: usize) -> (Self::Writer, Self::Reader) {
        ringbuf::HeapRb::new(CAPACITY).split()
    }

    fn put(writer: &mut Self::Writer, bytes: &[u8]) -> usize {
        count(writer.write(bytes))
    }

    fn take(reader: &mut Self::Reader, bytes: &mut [u8]) -> usize {
        count(reader.read(bytes))
    }
}

struct Piper;

impl Lane for Piper {
    type Writer = piper::Writer;
    type Reader = piper::Reader;

    fn ends(_: usize) -> (Self::Writer, Self::Reader) {
        let (reader, writer) = piper::pipe(CAPACITY);
        (writer, reader)
    }

    fn put(writer: &mut Self::Writer, bytes: &[u8]) -> usize {
        writer.try_fill(bytes)
    }

    fn take(reader: &mut Self::Reader, bytes: &mut [u8]) -> usize {
        reader.try_drain(bytes)
    }
}

fn main() {
    let mut candidates: [Candidate; 7] = [
        Candidate::ours("Write and Read", run::<Copying>),
        Candidate::ours("Write and BufRead", run::<Lending>),
        Candidate::ours("chunked coding", run::<InChunks>),
        Candidate::ours("length-prefixed frames", run::<InFrames>),
        Candidate::rival("rtrb, Write and Read", run::<Rtrb>),
        Candidate::rival("ringbuf, Write and Read", run::<Ringbuf>),
        Candidate::rival("piper", run::<Piper>),
    ];
    let sizes = [
        (64, 32 << 20),
        (4 << 10, 128 << 20),
        (64 << 10, 256 << 20),
        (1 << 20, 256 << 20),
    ];
    for (block, total) in sizes {
        compare("io traits", &mut candidates, Work { block, total });
    }
}
