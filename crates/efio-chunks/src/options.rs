//! Constructors of streams.

use core::fmt;
use core::ops::RangeInclusive;
use core::ptr::NonNull;
use std::sync::Arc;

use crate::chunk::Chunk;
use crate::node::Shared;
use crate::notify::Notify;
use crate::reader::ChunkReader;
use crate::writer::{ChunkWriter, Limit};

/// Returns the two ends of a stream without a bound.
pub fn unbounded<C: Chunk>() -> (ChunkWriter<C>, ChunkReader<C>) {
    Options::new().build()
}

/// Returns the two ends of a stream that holds at most `max_bytes` bytes, or one chunk that is
/// larger.
///
/// With zero it takes one chunk at a time and no [`append`](ChunkWriter::append).
///
/// The bound holds for memory too: while chunks with more than `2 * max_bytes` of
/// [memory](Chunk::memory), or `max_bytes` and 16 KiB where that is more, are in a stream that is
/// not empty, it takes no chunk. So it is full early when chunks are tiny, or have much unused
/// room.
pub fn bounded<C: Chunk>(max_bytes: usize) -> (ChunkWriter<C>, ChunkReader<C>) {
    Options::new().max_bytes(max_bytes).build()
}

/// Bound and notification hooks of a stream.
///
/// ```
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicUsize, Ordering};
///
/// let calls = Arc::new(AtomicUsize::new(0));
/// let count = calls.clone();
/// let (mut writer, mut reader) = efio_chunks::Options::new()
///     .max_bytes(1 << 20)
///     .on_readable(Arc::new(move || { count.fetch_add(1, Ordering::Relaxed); }))
///     .build::<Vec<u8>>();
///
/// assert!(reader.arm()); // nothing there: call me
/// writer.push(vec![1, 2, 3])?;
/// writer.push(vec![4, 5, 6])?;
/// assert_eq!(calls.load(Ordering::Relaxed), 1); // once
/// assert!(!reader.arm()); // there is something to read
/// # Ok::<(), efio_chunks::PushError<Vec<u8>>>(())
/// ```
#[derive(Clone)]
#[must_use = "options do nothing until a stream is built from them"]
pub struct Options {
    pub(crate) chunk_size: RangeInclusive<usize>,
    pub(crate) max_bytes: Option<usize>,
    on_readable: Option<Arc<dyn Notify>>,
    on_writable: Option<Arc<dyn Notify>>,
}

impl Options {
    /// Returns options of an unbounded stream without hooks, with tails of 4 KiB to
    /// 128 KiB.
    pub fn new() -> Self {
        Self {
            chunk_size: 4 << 10..=128 << 10,
            max_bytes: None,
            on_readable: None,
            on_writable: None,
        }
    }

    /// Bounds the bytes in the stream, and its memory, as [`bounded`] does.
    pub fn max_bytes(mut self, max_bytes: usize) -> Self {
        self.max_bytes = Some(max_bytes);
        self
    }

    /// Sets a hook, called on the writer's thread when a reader that
    /// [armed](ChunkReader::arm) can go on.
    pub fn on_readable(mut self, hook: Arc<dyn Notify>) -> Self {
        self.on_readable = Some(hook);
        self
    }

    /// Sets a hook, called on the reader's thread when a writer that
    /// [armed](ChunkWriter::arm) can go on.
    pub fn on_writable(mut self, hook: Arc<dyn Notify>) -> Self {
        self.on_writable = Some(hook);
        self
    }

    /// Sets the capacity in bytes of the first tail that a [`ByteWriter`](crate::ByteWriter) makes
    /// for itself, and of the largest; each is twice as large as the one before. A bounded stream
    /// makes no tail that is larger than its bound.
    ///
    /// # Panics
    /// If the first is zero or larger than the largest.
    pub fn chunk_size(mut self, range: RangeInclusive<usize>) -> Self {
        assert!(
            *range.start() > 0 && !range.is_empty(),
            "no chunk size in {range:?}"
        );
        self.chunk_size = range;
        self
    }

    /// Returns the two ends of a new stream.
    pub fn build<C: Chunk>(self) -> (ChunkWriter<C>, ChunkReader<C>) {
        let limit = Limit::new(self.max_bytes);
        // SAFETY: `Box::into_raw` never returns null.
        let shared = unsafe { NonNull::new_unchecked(Shared::new()) };
        // SAFETY: it is fresh; one writer and one reader.
        unsafe {
            let writer = ChunkWriter::new(shared, limit, self.on_readable);
            let reader = ChunkReader::new(shared, limit.is_some(), self.on_writable);
            (writer, reader)
        }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("chunk_size", &self.chunk_size)
            .field("max_bytes", &self.max_bytes)
            .field("on_readable", &self.on_readable.is_some())
            .field("on_writable", &self.on_writable.is_some())
            .finish()
    }
}
