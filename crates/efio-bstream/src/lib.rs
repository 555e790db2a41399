//! Buffered streams over byte chunks: Read, BufRead and Write with limits and framing.
//!
//! ```text
//! Write ─► BufferedWriter ─ Framing ─┐                     ┌─► BufferedReader ─► Read, BufRead
//!                                    ▼                     │
//!                            ByteWriter ══ chunks ══► ChunkReader ─► FrameReader ─ Deframing ─► …
//!                                    ▲                     │
//! Source ───────────────── fill_from ┘                     └─► drain_to ─► Sink
//! ```
//!
//! Nothing here blocks: an open stream that is empty, or full, is `WouldBlock`, and the hooks of
//! [`efio_chunks::Options`] notify when to try again. A closed one is end of file.

#![forbid(unsafe_code)]

mod aio;
mod chunked;
mod frame_reader;
mod framing;
mod length;
mod reader;
mod source;
mod writer;

pub use aio::{AsyncReader, AsyncWriter, async_stream};
pub use chunked::{Chunked, ChunkedDecoder};
pub use frame_reader::FrameReader;
pub use framing::{Deframing, FrameError, Framing, Plain, Step};
pub use length::LengthPrefix;
pub use reader::BufferedReader;
pub use source::{Sink, SinkWriter, Source, SourceReader, drain_to, fill_from};
pub use writer::BufferedWriter;

/// The example of the README, compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
