//! A lock-free single-producer single-consumer stream of byte chunks, zero-copy at both ends.
//!
//! One thread puts chunks in, another takes bytes out; neither waits for the other.
//!
//! ```text
//!            push(chunk)                                             pop() -> chunk
//!            open(chunk), append(&[u8])                              read, peek, consume, chunk,
//!                                                                    chunks, io_slices, transfer
//!  ChunkWriter ───────► [open tail] ─► [chunk] ─► [chunk] ─► [front] ───────► ChunkReader
//!                            copies below the published length never change
//! ```
//!
//! A chunk is any type that implements [`Chunk`]: it goes in by value and comes out by value. One
//! that also implements [`AppendChunk`] can be the stream's *open tail*: the writer appends
//! bytes to it, and the reader sees them at once. Users without a chunk type of their own take
//! [`byte_stream`], which carries all the usual ones and makes its own tails.
//!
//! # Progress and memory
//!
//! No operation waits for the other end. Each takes a bounded number of steps for the bytes and
//! chunks that it handles (wait-free, except for the allocator); only `len` and the iterators over
//! chunks go on for as long as the writer adds chunks faster than they pass them. `append`, `read`,
//! `front` and `consume` use no read-modify-write unless a [notification hook](Options) is
//! attached; a chunk costs one small allocation and a few atomic stores. An idle stream has 128
//! bytes on the heap and, once it has been used, one spent node of 24 bytes plus the size of a `C`.

mod aligned;
#[cfg(feature = "bytes")]
mod buf;
mod buffer;
mod byte_stream;
mod chunk;
mod chunk_ref;
mod link;
mod node;
mod notify;
mod options;
mod push_error;
mod reader;
mod watched;
mod writer;

pub use aligned::AlignedBuf;
pub use buffer::Buffer;
pub use byte_stream::{ByteReader, ByteWriter, bounded_byte_stream, byte_stream};
pub use chunk::{AppendChunk, Chunk};
pub use chunk_ref::{ChunkRef, ChunkRefs, Popped};
pub use notify::{Notify, TaskWaker};
pub use options::{Options, bounded, unbounded};
pub use push_error::PushError;
pub use reader::ChunkReader;
pub use writer::ChunkWriter;

/// The example of the README, compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
