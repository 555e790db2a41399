//! The end that puts bytes in.

mod open;

use core::fmt;
use core::marker::PhantomData;
use core::ptr::{self, NonNull};
use std::sync::Arc;

use efio_sync::shim::atomic::Ordering::Relaxed;

use crate::chunk::Chunk;
use crate::chunk_ref::Popped;
use crate::link::{End, Link};
use crate::node::{Extent, Node, Shared};
use crate::notify::Notify;
use crate::push_error::PushError;

use open::OpenTail;

/// The largest chunk: two bits of a word are taken.
const MAX_CHUNK: usize = usize::MAX >> 2;

/// Counters have one bit less than a word: no stream holds more bytes than that.
const COUNTER: usize = usize::MAX >> 1;

/// How much unused memory small chunks may have in total, with any bound.
const SLACK: usize = 16 << 10;

/// How much may be in a stream.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limit {
    bytes: usize,
    /// While there is more, no chunk is taken.
    memory: usize,
}

impl Limit {
    /// As many bytes as can be counted. Memory is not counted.
    const NONE: Self = Self {
        bytes: COUNTER,
        memory: usize::MAX,
    };

    pub(crate) fn new(max_bytes: Option<usize>) -> Self {
        match max_bytes {
            Some(bytes) if bytes < COUNTER => Self {
                bytes,
                memory: bytes + bytes.max(SLACK),
            },
            _ => Self::NONE,
        }
    }

    pub(crate) fn is_some(&self) -> bool {
        self.bytes != COUNTER
    }
}

/// The writing end of a stream of chunks.
///
/// One thread at a time has it; it is neither `Clone` nor `Sync`, so a second producer does not
/// compile. No method waits: each one finishes in a bounded number of its own steps whatever the
/// reader does (wait-free, except for the allocator: a chunk costs one small allocation).
///
/// Dropping it closes the stream; when its thread panics, it [aborts it](Self::abort).
///
/// ```compile_fail,E0599
/// let (writer, reader) = efio_chunks::unbounded::<Vec<u8>>();
/// let second = writer.clone();
/// ```
///
/// ```compile_fail,E0277
/// let (writer, reader) = efio_chunks::unbounded::<Vec<u8>>();
/// std::thread::scope(|s| {
///     s.spawn(|| writer.is_reader_gone());
///     s.spawn(|| writer.is_reader_gone());
/// });
/// ```
pub struct ChunkWriter<C: Chunk> {
    shared: NonNull<Shared<C>>,
    /// The last node, null before the first.
    tail: *mut Node<C>,
    /// The open tail's memory, or null and zeros when there is none.
    open: OpenTail,
    /// How many bytes were written, modulo the word.
    written: usize,
    /// How many the reader had consumed at the last load.
    consumed: usize,
    /// The memory of the chunks that came in and, at the last load, of those that left; modulo
    /// the word. Counted if there is a bound.
    charged: usize,
    freed: usize,
    limit: Limit,
    hook: Option<Arc<dyn Notify>>,
    _owns: PhantomData<C>,
}

// SAFETY: chunks are `Send`, what both ends share is reached only through the protocol of
// `node.rs`, and the hook is `Send + Sync`.
unsafe impl<C: Chunk> Send for ChunkWriter<C> {}

impl<C: Chunk> ChunkWriter<C> {
    /// # Safety
    /// `shared` is fresh and this is its only writer.
    pub(crate) unsafe fn new(
        shared: NonNull<Shared<C>>,
        limit: Limit,
        hook: Option<Arc<dyn Notify>>,
    ) -> Self {
        Self {
            shared,
            tail: ptr::null_mut(),
            open: OpenTail::NONE,
            written: 0,
            consumed: 0,
            charged: 0,
            freed: 0,
            limit,
            hook,
            _owns: PhantomData,
        }
    }

    /// Pushes a chunk without copying it. Seals the open tail before it, if there is one.
    ///
    /// A bounded stream takes a chunk if it then holds at most its limit of bytes and the chunks
    /// that are in it do not have too much [memory](Chunk::memory), or if it was empty: so a chunk
    /// that is larger than the limit passes too, as the only one. An empty chunk carries nothing
    /// and is dropped at once.
    ///
    /// # Errors
    /// The chunk comes back when the stream is full or has no reader any more. The open tail is
    /// still open then.
    ///
    /// # Panics
    /// On a chunk of more than a quarter of the address space.
    pub fn push(&mut self, chunk: C) -> Result<(), PushError<C>> {
        let end = chunk.len();
        self.push_range(chunk, 0, end)
    }

    /// Pushes a chunk that [`pop`](crate::ChunkReader::pop) returned, of which a part may be
    /// consumed: only the remaining bytes are in this stream. Otherwise like [`push`](Self::push).
    ///
    /// # Errors
    /// As for `push`.
    pub fn push_popped(&mut self, popped: Popped<C>) -> Result<(), PushError<Popped<C>>> {
        let (chunk, range) = popped.into_parts();
        self.push_range(chunk, range.start, range.end)
            .map_err(|error| {
                // SAFETY: it is the range that it came with.
                let again = |chunk| unsafe { Popped::new(chunk, range) };
                match error {
                    PushError::Full(chunk) => PushError::Full(again(chunk)),
                    PushError::ReaderGone(chunk) => PushError::ReaderGone(again(chunk)),
                }
            })
    }

    /// Pushes the chunk's bytes from `begin` on, which need not be its first: a frame whose
    /// header takes less than the space kept for it starts late. Otherwise like
    /// [`push`](Self::push).
    ///
    /// # Errors
    /// As for `push`.
    ///
    /// # Panics
    /// As `push`, and if `begin` is past the end of the chunk.
    pub fn push_from(&mut self, chunk: C, begin: usize) -> Result<(), PushError<C>> {
        let end = chunk.len();
        assert!(
            begin <= end,
            "begin {begin} is past the end of the chunk, {end}"
        );
        self.push_range(chunk, begin, end)
    }

    /// `chunk[begin..end]` is initialised.
    fn push_range(&mut self, chunk: C, begin: usize, end: usize) -> Result<(), PushError<C>> {
        let chunk = self.check_room(chunk, end - begin)?;
        if begin == end {
            return Ok(());
        }
        assert!(end <= MAX_CHUNK, "chunk too large");
        self.charge(&chunk, end - begin);
        let woken = self.link(Node::new(chunk, begin, Extent { end, sealed: true }));
        self.notify_if(woken);
        Ok(())
    }

    /// Counts a chunk that is taken.
    fn charge(&mut self, chunk: &C, bytes: usize) {
        self.written = self.written.wrapping_add(bytes);
        if self.limit.is_some() {
            self.charged = self.charged.wrapping_add(Node::memory(chunk));
        }
    }

    /// Returns the chunk as an error if there is no room for its `bytes` bytes.
    fn check_room(&mut self, chunk: C, bytes: usize) -> Result<C, PushError<C>> {
        if self.is_reader_gone() {
            Err(PushError::ReaderGone(chunk))
        } else if self.has_room_for(bytes) {
            Ok(chunk)
        } else {
            Err(PushError::Full(chunk))
        }
    }

    /// Returns whether the stream would take a chunk of `bytes` bytes now. If so it stays so: the
    /// reader can only make more room (unless it leaves).
    pub fn has_room_for(&mut self, bytes: usize) -> bool {
        let fits = |this: &Self| bytes <= this.left() && this.has_memory();
        if fits(self) {
            return true;
        }
        // One load for both checks: `arm` relies on the answer being about the very values that it
        // then requests a wake-up for.
        self.refresh();
        // A stream that is empty takes a chunk of any size, even beyond the limit.
        self.held() == 0 || fits(self)
    }

    /// Returns whether the chunks in the stream leave memory for one more, at the last load.
    fn has_memory(&self) -> bool {
        self.charged.wrapping_sub(self.freed) <= self.limit.memory
    }

    /// Loads what the reader returned.
    fn refresh(&mut self) {
        self.consumed = self.shared().returned.0.bytes.get();
        self.freed = self.freed_now();
    }

    /// Returns the memory that the reader freed, at least what it had freed when `returned.bytes`
    /// was read.
    fn freed_now(&self) -> usize {
        // Relaxed: what belongs to the bytes was published with them.
        self.shared().returned.0.memory.load(Relaxed)
    }

    /// Seals the open tail, makes `node` the tail and publishes it. Returns whether the reader was
    /// waiting. The caller then notifies it, last: the hook is foreign code, which may panic.
    fn link(&mut self, node: *mut Node<C>) -> bool {
        let sealed = self.seal_quietly();
        let previous = self.tail;
        self.tail = node;
        let linked = self.link_after(previous).set(node, self.hook.is_some());
        sealed || linked
    }

    /// Returns the link after `node`. The writer may set it once, and then never touches `node`
    /// again.
    fn link_after(&self, node: *mut Node<C>) -> &Link<Node<C>> {
        if node.is_null() {
            self.shared().first()
        } else {
            // SAFETY: the reader frees a node only after its link was set, and it was not.
            unsafe { &(*node).next }
        }
    }

    #[inline(always)]
    fn notify_if(&self, woken: bool) {
        if woken {
            if let Some(hook) = &self.hook {
                hook.notify();
            }
        }
    }

    #[inline(always)]
    fn shared(&self) -> &Shared<C> {
        // SAFETY: the last end to leave frees it, and this one has not left.
        unsafe { self.shared.as_ref() }
    }

    /// Makes the open tail's length final, so that the reader can have the chunk. Without an open
    /// tail it does nothing.
    pub fn seal(&mut self) {
        let woken = self.seal_quietly();
        self.notify_if(woken);
    }

    /// Like `seal`, but returns whether the reader waits, for the caller to notify it.
    fn seal_quietly(&mut self) -> bool {
        self.open.is_open() && {
            let woken = self.publish(true);
            self.open = OpenTail::NONE;
            woken
        }
    }

    /// Publishes the open tail's bytes. Returns whether the reader was waiting.
    #[inline(always)]
    fn publish(&self, sealed: bool) -> bool {
        debug_assert!(self.open.is_open());
        // SAFETY: the tail is open, so its link is not set and the reader keeps it.
        let node = unsafe { &*self.tail };
        node.publish(
            Extent {
                end: self.open.len,
                sealed,
            },
            self.hook.is_some(),
        )
    }

    /// Returns how many bytes fit after the open tail's bytes now: zero when there is no open tail,
    /// when it is full, when a bounded stream is full, and when there is no reader any more.
    pub fn room(&mut self) -> usize {
        self.grant(self.open.room())
    }

    /// Returns how many of `wanted` bytes a bounded stream takes now. Without a bound, all of them.
    pub fn allowance(&mut self, wanted: usize) -> usize {
        if wanted <= self.left() {
            return wanted;
        }
        self.refresh();
        wanted.min(self.left())
    }

    /// Returns how many bytes more fit into the stream, at the last load.
    #[inline(always)]
    fn left(&self) -> usize {
        self.limit.bytes.saturating_sub(self.held())
    }

    /// Returns how many of `wanted` bytes fit now, zero without a reader.
    #[inline(always)]
    fn grant(&mut self, wanted: usize) -> usize {
        if self.shared().reader_gone() {
            0
        } else {
            self.allowance(wanted)
        }
    }

    /// Returns the bytes in the stream at the last load of the reader's counter.
    #[inline(always)]
    fn held(&self) -> usize {
        self.written.wrapping_sub(self.consumed) & COUNTER
    }

    /// Returns how many bytes are in the stream, not consumed yet. The reader may consume more at
    /// any moment; it is never less than the truth.
    pub fn buffered(&mut self) -> usize {
        self.refresh();
        self.held()
    }

    /// Returns the limit given to [`bounded`](crate::bounded), `None` for an unbounded stream.
    pub fn max_bytes(&self) -> Option<usize> {
        self.limit.is_some().then_some(self.limit.bytes)
    }

    /// Returns whether the reading end was dropped. No byte written from now on will be read.
    #[inline]
    pub fn is_reader_gone(&self) -> bool {
        self.shared().reader_gone()
    }

    /// Requests one call of the hook of [`Options::on_writable`](crate::Options::on_writable): when
    /// the reader has consumed bytes or is gone.
    ///
    /// Returns `false`, without a request, if there is room for `bytes` bytes by now or the reader
    /// is gone: try again instead of waiting. Without a hook there is no call.
    pub fn arm(&mut self, bytes: usize) -> bool {
        loop {
            if self.is_reader_gone() || self.has_room_for(bytes) {
                return false;
            }
            // `consumed` is what `has_room_for` has just found too little.
            if self.shared().returned.0.bytes.request_wakeup(self.consumed) {
                // Between the load and the request the reader may have left, or freed a chunk with
                // no byte left to consume.
                return !self.is_reader_gone() && self.freed == self.freed_now();
            }
        }
    }

    /// Closes the stream: after the bytes that are in it the reader finds the end of file.
    ///
    /// Dropping the writer does the same, unless its thread panics.
    pub fn close(self) {
        self.end(End::Closed);
    }

    /// Aborts the stream: the reader still gets the bytes that are in it, and then finds
    /// that they are not all ([`ChunkReader::is_aborted`](crate::ChunkReader::is_aborted)).
    pub fn abort(self) {
        self.end(End::Aborted);
    }

    fn end(self, end: End) {
        /// Drops the hook, also when what comes before panics.
        struct Hook<C: Chunk>(core::mem::ManuallyDrop<ChunkWriter<C>>);

        impl<C: Chunk> Drop for Hook<C> {
            fn drop(&mut self) {
                // SAFETY: never used again; the hook is the one field that needs dropping.
                drop(unsafe { ptr::read(&self.0.hook) });
            }
        }

        Hook(core::mem::ManuallyDrop::new(self)).0.leave(end);
    }

    fn leave(&mut self, end: End) {
        /// Notifies, also when the drop of a chunk that will not be read panics.
        struct Notified<'h>(Option<&'h dyn Notify>);

        impl Drop for Notified<'_> {
            fn drop(&mut self) {
                if let Some(hook) = self.0 {
                    hook.notify();
                }
            }
        }

        let sealed = self.seal_quietly();
        let ended = self.link_after(self.tail).end(end, self.hook.is_some());
        let _last = Notified(self.hook.as_deref().filter(|_| sealed || ended));
        // SAFETY: called once, from drop or in its place, after the list was ended.
        unsafe { Shared::writer_leaves(self.shared.as_ptr()) };
    }
}

impl<C: Chunk> Drop for ChunkWriter<C> {
    fn drop(&mut self) {
        self.leave(if std::thread::panicking() {
            End::Aborted
        } else {
            End::Closed
        });
    }
}

impl<C: Chunk> fmt::Debug for ChunkWriter<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChunkWriter")
            .field("max_bytes", &self.max_bytes())
            .field("open", &self.open.is_open())
            .field("reader_gone", &self.is_reader_gone())
            .finish_non_exhaustive()
    }
}
