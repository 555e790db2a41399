//! A byte stream of efio-chunks beside its peers, one producer and one consumer: copying bytes in
//! and out, and handing buffers over.
//!
//! ```text
//! cargo bench -p efio-benches --bench chunks
//! ```
#![allow(missing_docs)]

mod streams;

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use bytes::{Buf, Bytes};
use efio_chunks::{Buffer, ByteReader, ByteWriter, ChunkReader, ChunkWriter};
use ringbuf::traits::{Consumer, Producer, Split};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use streams::{CAPACITY, Candidate, Lane, Work, compare, run};

struct Efio;

impl Lane for Efio {
    type Writer = ByteWriter;
    type Reader = ByteReader;

    fn ends(_: usize) -> (ByteWriter, ByteReader) {
        efio_chunks::bounded_byte_stream(CAPACITY)
    }

    #[inline]
    fn put(writer: &mut ByteWriter, bytes: &[u8]) -> usize {
        writer.append(bytes)
    }

    #[inline]
    fn take(reader: &mut ByteReader, bytes: &mut [u8]) -> usize {
        reader.read(bytes)
    }
}

struct Rtrb;

impl Lane for Rtrb {
    type Writer = rtrb::Producer<u8>;
    type Reader = rtrb::Consumer<u8>;

    fn ends(_: usize) -> (Self::Writer, Self::Reader) {
        rtrb::RingBuffer::new(CAPACITY)
    }

    #[inline]
    fn put(writer: &mut Self::Writer, bytes: &[u8]) -> usize {
        writer.push_partial_slice(bytes).0.len()
    }

    #[inline]
    fn take(reader: &mut Self::Reader, bytes: &mut [u8]) -> usize {
        reader.pop_partial_slice(bytes).0.len()
    }
}

struct Ringbuf;

impl Lane for Ringbuf {
    type Writer = ringbuf::HeapProd<u8>;
    type Reader = ringbuf::HeapCons<u8>;

    fn ends(_: usize) -> (Self::Writer, Self::Reader) {
        ringbuf::HeapRb::new(CAPACITY).split()
    }

    #[inline]
    fn put(writer: &mut Self::Writer, bytes: &[u8]) -> usize {
        writer.push_slice(bytes)
    }

    #[inline]
    fn take(reader: &mut Self::Reader, bytes: &mut [u8]) -> usize {
        reader.pop_slice(bytes)
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

    #[inline]
    fn put(writer: &mut Self::Writer, bytes: &[u8]) -> usize {
        writer.try_fill(bytes)
    }

    #[inline]
    fn take(reader: &mut Self::Reader, bytes: &mut [u8]) -> usize {
        reader.try_drain(bytes)
    }
}

/// Polled without a runtime: no parking, which is to its advantage.
struct Duplex;

impl Lane for Duplex {
    type Writer = tokio::io::DuplexStream;
    type Reader = tokio::io::DuplexStream;

    fn ends(_: usize) -> (Self::Writer, Self::Reader) {
        tokio::io::duplex(CAPACITY)
    }

    #[inline]
    fn put(writer: &mut Self::Writer, bytes: &[u8]) -> usize {
        let mut cx = Context::from_waker(Waker::noop());
        match Pin::new(writer).poll_write(&mut cx, bytes) {
            Poll::Ready(result) => result.expect("open"),
            Poll::Pending => 0,
        }
    }

    #[inline]
    fn take(reader: &mut Self::Reader, bytes: &mut [u8]) -> usize {
        let mut cx = Context::from_waker(Waker::noop());
        let mut buf = ReadBuf::new(bytes);
        match Pin::new(reader).poll_read(&mut cx, &mut buf) {
            Poll::Ready(result) => result.expect("open"),
            Poll::Pending => {}
        }
        buf.filled().len()
    }
}

/// What most people write: a queue of `Bytes` under a mutex, bounded by bytes.
#[derive(Default)]
struct Queue {
    chunks: VecDeque<Bytes>,
    bytes: usize,
}

struct Locked;

impl Lane for Locked {
    type Writer = Arc<Mutex<Queue>>;
    type Reader = Arc<Mutex<Queue>>;

    fn ends(_: usize) -> (Self::Writer, Self::Reader) {
        let queue = Self::Writer::default();
        (queue.clone(), queue)
    }

    #[inline]
    fn put(writer: &mut Self::Writer, bytes: &[u8]) -> usize {
        let room = CAPACITY - writer.lock().expect("sound").bytes;
        let bytes = &bytes[..bytes.len().min(room)];
        if bytes.is_empty() {
            return 0;
        }
        let chunk = Bytes::copy_from_slice(bytes);
        let mut queue = writer.lock().expect("sound");
        queue.bytes += bytes.len();
        queue.chunks.push_back(chunk);
        bytes.len()
    }

    #[inline]
    fn take(reader: &mut Self::Reader, bytes: &mut [u8]) -> usize {
        let mut queue = reader.lock().expect("sound");
        let Some(front) = queue.chunks.front_mut() else {
            return 0;
        };
        let count = front.len().min(bytes.len());
        front.copy_to_slice(&mut bytes[..count]);
        if front.is_empty() {
            queue.chunks.pop_front();
        }
        queue.bytes -= count;
        count
    }
}

/// How many buffers may be in flight when they are handed over.
const IN_FLIGHT: usize = 256;

/// Writes one buffer again and again, without copying it.
struct HandOver<T> {
    end: T,
    buffer: Bytes,
}

/// Stands for its bytes: the reader looks at both ends of the buffer.
fn look(buffer: &[u8], bytes: &mut [u8]) -> usize {
    let last = buffer.len() - 1;
    bytes[0] = buffer[0];
    bytes[last] = buffer[last];
    buffer.len()
}

fn buffer(block: usize) -> Bytes {
    (0..block).map(|i| i as u8).collect()
}

struct EfioPush;

impl Lane for EfioPush {
    type Writer = HandOver<ChunkWriter<Bytes>>;
    type Reader = ChunkReader<Bytes>;

    fn ends(block: usize) -> (Self::Writer, Self::Reader) {
        let (end, reader) = efio_chunks::bounded(IN_FLIGHT * block);
        (
            HandOver {
                end,
                buffer: buffer(block),
            },
            reader,
        )
    }

    #[inline]
    fn put(writer: &mut Self::Writer, bytes: &[u8]) -> usize {
        if writer.end.push(writer.buffer.clone()).is_ok() {
            bytes.len()
        } else {
            0
        }
    }

    #[inline]
    fn take(reader: &mut Self::Reader, bytes: &mut [u8]) -> usize {
        reader.pop().map_or(0, |popped| look(popped.bytes(), bytes))
    }
}

/// The same through the stream that carries any buffer.
struct EfioPushBuffer;

impl Lane for EfioPushBuffer {
    type Writer = HandOver<ByteWriter>;
    type Reader = ChunkReader<Buffer>;

    fn ends(block: usize) -> (Self::Writer, Self::Reader) {
        let (end, reader) = efio_chunks::bounded_byte_stream(IN_FLIGHT * block);
        (
            HandOver {
                end,
                buffer: buffer(block),
            },
            reader,
        )
    }

    #[inline]
    fn put(writer: &mut Self::Writer, bytes: &[u8]) -> usize {
        if writer.end.push(writer.buffer.clone()).is_ok() {
            bytes.len()
        } else {
            0
        }
    }

    #[inline]
    fn take(reader: &mut Self::Reader, bytes: &mut [u8]) -> usize {
        reader.pop().map_or(0, |popped| look(popped.bytes(), bytes))
    }
}

struct RtrbOfBytes;

impl Lane for RtrbOfBytes {
    type Writer = HandOver<rtrb::Producer<Bytes>>;
    type Reader = rtrb::Consumer<Bytes>;

    fn ends(block: usize) -> (Self::Writer, Self::Reader) {
        let (end, reader) = rtrb::RingBuffer::new(IN_FLIGHT);
        (
            HandOver {
                end,
                buffer: buffer(block),
            },
            reader,
        )
    }

    #[inline]
    fn put(writer: &mut Self::Writer, bytes: &[u8]) -> usize {
        if writer.end.push(writer.buffer.clone()).is_ok() {
            bytes.len()
        } else {
            0
        }
    }

    #[inline]
    fn take(reader: &mut Self::Reader, bytes: &mut [u8]) -> usize {
        reader.pop().map_or(0, |popped| look(&popped, bytes))
    }
}

struct LockedOfBytes;

impl Lane for LockedOfBytes {
    type Writer = HandOver<Arc<Mutex<VecDeque<Bytes>>>>;
    type Reader = Arc<Mutex<VecDeque<Bytes>>>;

    fn ends(block: usize) -> (Self::Writer, Self::Reader) {
        let queue = Self::Reader::default();
        (
            HandOver {
                end: queue.clone(),
                buffer: buffer(block),
            },
            queue,
        )
    }

    #[inline]
    fn put(writer: &mut Self::Writer, bytes: &[u8]) -> usize {
        let mut queue = writer.end.lock().expect("sound");
        if queue.len() == IN_FLIGHT {
            return 0;
        }
        queue.push_back(writer.buffer.clone());
        bytes.len()
    }

    #[inline]
    fn take(reader: &mut Self::Reader, bytes: &mut [u8]) -> usize {
        let popped = reader.lock().expect("sound").pop_front();
        popped.map_or(0, |popped| look(&popped, bytes))
    }
}

fn main() {
    let mut copying: [Candidate; 6] = [
        Candidate::ours("efio-chunks", run::<Efio>),
        Candidate::rival("rtrb", run::<Rtrb>),
        Candidate::rival("ringbuf", run::<Ringbuf>),
        Candidate::rival("piper", run::<Piper>),
        Candidate::rival("tokio::io::duplex", run::<Duplex>),
        Candidate::rival("Mutex<VecDeque<Bytes>>", run::<Locked>),
    ];
    let mut handing: [Candidate; 4] = [
        Candidate::ours("efio-chunks of Bytes", run::<EfioPush>),
        Candidate::ours("efio-chunks of any buffer", run::<EfioPushBuffer>),
        Candidate::rival("rtrb of Bytes", run::<RtrbOfBytes>),
        Candidate::rival("Mutex<VecDeque<Bytes>>", run::<LockedOfBytes>),
    ];
    let sizes: [(usize, usize, usize); 4] = [
        (64, 64 << 20, 1 << 19),
        (4 << 10, 256 << 20, 1 << 19),
        (64 << 10, 512 << 20, 1 << 19),
        (1 << 20, 512 << 20, 1 << 19),
    ];
    for (block, total, _) in sizes {
        compare("copying", &mut copying, Work { block, total });
    }
    for (block, _, count) in sizes {
        let total = block * count;
        compare("handing over", &mut handing, Work { block, total });
    }
    let mut both: [Candidate; 2] = [
        Candidate::ours("handing over", run::<EfioPush>),
        // A fraction of the bytes, or it would take minutes.
        Candidate::ours("copying", |Work { block, total }| {
            let total = (total / 256).max(block);
            run::<Efio>(Work { block, total })
        }),
    ];
    let work = Work {
        block: 1 << 20,
        total: 1 << 37,
    };
    compare("efio-chunks, handing over beside copying", &mut both, work);
}
