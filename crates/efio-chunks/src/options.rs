//! How a stream is made.

use core::fmt;
use core::ptr::NonNull;
use std::sync::Arc;

use crate::chunk::Chunk;
use crate::node::Shared;
use crate::notify::Notify;
use crate::reader::ChunkReader;
use crate::writer::ChunkWriter;

/// A stream without a bound.
pub fn unbounded<C: Chunk>() -> (ChunkWriter<C>, ChunkReader<C>) {
    Options::new().build()
}

/// A stream that holds at most `max_bytes` bytes, or one chunk that is larger.
///
/// With zero it takes one chunk at a time and no [`append`](ChunkWriter::append).
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
#[derive(Clone, Default)]
pub struct Options {
    max_bytes: Option<usize>,
    on_readable: Option<Arc<dyn Notify>>,
    on_writable: Option<Arc<dyn Notify>>,
}

impl Options {
    /// Unbounded, without hooks.
    pub fn new() -> Self {
        Self::default()
    }

    /// Bounds the bytes in the stream, as [`bounded`] does.
    pub fn max_bytes(mut self, max_bytes: usize) -> Self {
        self.max_bytes = Some(max_bytes);
        self
    }

    /// Called by the writer's thread when a reader that [armed](ChunkReader::arm) can go on.
    pub fn on_readable(mut self, hook: Arc<dyn Notify>) -> Self {
        self.on_readable = Some(hook);
        self
    }

    /// Called by the reader's thread when a writer that [armed](ChunkWriter::arm) can go on.
    pub fn on_writable(mut self, hook: Arc<dyn Notify>) -> Self {
        self.on_writable = Some(hook);
        self
    }

    /// The two ends of a new stream.
    pub fn build<C: Chunk>(self) -> (ChunkWriter<C>, ChunkReader<C>) {
        let limit = self.max_bytes.unwrap_or(usize::MAX);
        // SAFETY: `Box::into_raw` never returns null.
        let shared = unsafe { NonNull::new_unchecked(Shared::new()) };
        // SAFETY: it is fresh; one writer and one reader.
        unsafe {
            let writer = ChunkWriter::new(shared, limit, self.on_readable);
            (writer, ChunkReader::new(shared, self.on_writable))
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("max_bytes", &self.max_bytes)
            .field("on_readable", &self.on_readable.is_some())
            .field("on_writable", &self.on_writable.is_some())
            .finish()
    }
}
