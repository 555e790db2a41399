//! The callers' state of a file, with their ends of its streams.
//!
//! A stream is created with its first bytes and dropped when the file has been idle for an
//! interval: most of the files that are open at a time transfer nothing.
//!
//! ```text
//!  caller, with the file's lock                           driver
//!  first byte written: creates the stream ─ handoff ─►    takes it when bytes are accepted
//!  a run of reads begins: creates it ────── handoff ─►    takes it with the requested run
//!                                                         idle: takes the lock, drops both ends
//! ```

use super::Slot;
use super::interest::Notify;
use crate::error::Errno;
use crate::op::ReadNow;
use crate::page::Page;
use efio_chunks::{ChunkReader, ChunkWriter, unbounded};
use std::sync::Arc;

/// The callers' state of a file, guarded by the file's lock.
#[derive(Default)]
pub struct CallerState {
    /// The generation of the open file; 0 while the slot is free.
    pub generation: u32,
    /// The current run.
    pub epoch: u32,
    /// The order of the next page to write into.
    pub order: u8,
    /// Whether the file is open for reading.
    pub may_read: bool,
    /// Whether the file is open for writing.
    pub may_write: bool,
    /// Whether writes go to the end of the file.
    pub append: bool,
    /// The position is the end of the file, which only the kernel knows after an append. Then no
    /// run serves it.
    pub at_end: bool,
    /// The driver checks this file by itself within the flush interval.
    watched: bool,
    /// There is a question that a write may void; see [`Question`](super::questions::Question).
    asked: bool,
    /// A write has nothing to notify: `watched`, and not `asked`.
    quiet: bool,
    /// A run of read-ahead serves `position`.
    pub reading: bool,
    /// The position of the next read or write, unless `at_end`.
    pub position: u64,
    /// The write stream, once something was written.
    writer: Option<Box<ChunkWriter<Page>>>,
    /// The read stream, once a run has begun.
    reader: Option<Box<ChunkReader<Page>>>,
    /// The kernel's file, once open for reading: it knows where the file ends.
    pub kernel: Option<Arc<dyn ReadNow>>,
    /// Whether calls read from `kernel` what is in the page cache, as in cached mode.
    pub reads_now: bool,
    /// What began the current run.
    pub run: RunBy,
}

/// What began a run: it decides whether the consumer asked for the run's end (F65).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RunBy {
    /// The open, before the first read.
    #[default]
    Open,
    /// A call that found nothing to read.
    Call,
    /// A call that came to the end of a run, and found that the file does not end there any more.
    CallAtTheEnd,
}

/// Writing. See `caller/write.rs` for the calls.
impl CallerState {
    /// Checks whether a write of `len` bytes is allowed.
    #[inline]
    pub fn check_write(&self, slot: &Slot, len: usize) -> Result<(), Errno> {
        if !self.may_write {
            return Err(Errno(libc::EBADF));
        }
        if let Some(failure) = slot.report_failure() {
            return Err(failure.errno);
        }
        let end = self.position.checked_add(len as u64);
        if end.is_none_or(|end| end > i64::MAX as u64) {
            return Err(Errno(libc::EINVAL));
        }
        Ok(())
    }

    /// Copies bytes into the open page, as far as there is room. Returns how many.
    #[inline(always)]
    pub fn append(&mut self, bytes: &[u8]) -> usize {
        match &mut self.writer {
            Some(writer) => writer.append(bytes),
            // Without a stream yet there is no room, as in a full page.
            None => 0,
        }
    }

    /// Accepts `n` bytes that are in the stream: advances the position and the mark. Returns
    /// whether the driver's interval timer has to be requested, because it is not set.
    #[inline(always)]
    pub fn accept(&mut self, slot: &Slot, n: usize, notify: Notify<'_>) -> bool {
        self.position += n as u64;
        self.at_end = self.append;
        slot.marks.set_accepted(slot.marks.accepted() + n as u64);
        !self.quiet && self.handle_bytes(slot, notify)
    }

    /// Voids the pending questions of `notify`, which its bytes make stale, and sets `watched`.
    /// Returns whether that is new.
    #[cold]
    fn handle_bytes(&mut self, slot: &Slot, notify: Notify<'_>) -> bool {
        self.void_questions(slot, notify);
        let is_new = !self.watched;
        self.set_watched(true);
        is_new
    }

    /// Voids the pending questions of `notify`.
    pub fn void_questions(&mut self, slot: &Slot, notify: Notify<'_>) {
        if self.asked {
            self.set_asked(slot.void_questions(notify));
        }
    }

    /// Voids everybody's pending questions.
    pub fn void_all_questions(&mut self, slot: &Slot) {
        if self.asked {
            slot.void_all_questions();
            self.set_asked(false);
        }
    }

    /// Returns the write stream. A new one is created if there is none, and its other end handed to
    /// the driver.
    pub fn writer(&mut self, slot: &Slot) -> &mut ChunkWriter<Page> {
        self.writer.get_or_insert_with(|| {
            let (writer, reader) = unbounded();
            slot.put_writes(Box::new(reader));
            Box::new(writer)
        })
    }

    /// Whether there is a write stream.
    pub fn has_writer(&self) -> bool {
        self.writer.is_some()
    }

    /// Drops both ends of the write stream.
    pub fn drop_writer(&mut self, slot: &Slot) {
        drop((self.writer.take(), slot.take_writes()));
    }

    /// Returns the place of the stream's next byte: its file offset, or in append mode, where only
    /// the kernel knows the offset, its place among the accepted bytes.
    pub fn next_seq(&self, slot: &Slot) -> u64 {
        if self.append {
            slot.marks.accepted()
        } else {
            self.position
        }
    }

    /// Returns how many bytes the open page has room for.
    pub fn room(&mut self) -> usize {
        self.writer.as_mut().map_or(0, |writer| writer.room())
    }

    /// Seals the open page, if there is one: the next byte begins a new page.
    pub fn seal(&mut self) {
        if let Some(writer) = &mut self.writer {
            writer.seal();
        }
    }

    /// Sets whether the driver checks this file by itself.
    pub fn set_watched(&mut self, watched: bool) {
        self.watched = watched;
        self.quiet = watched && !self.asked;
    }

    /// Whether there are questions that a write may void.
    pub fn is_asked(&self) -> bool {
        self.asked
    }

    /// Sets whether there are such questions.
    pub fn set_asked(&mut self, asked: bool) {
        self.asked = asked;
        self.quiet = self.watched && !asked;
    }
}

/// Reading. See `caller/read.rs` for the calls.
impl CallerState {
    /// Starts a run at the position. Accepted bytes are written first, so that the run reads them
    /// (F19).
    pub fn begin_run(&mut self, slot: &Slot, by: RunBy) {
        // Reading moves the position: the next byte written starts a page of its own.
        self.seal();
        self.reader.get_or_insert_with(|| {
            let (writer, reader) = unbounded();
            slot.put_reads(Box::new(writer));
            Box::new(reader)
        });
        self.epoch += 1;
        self.reading = true;
        self.run = by;
        slot.request_run(self.epoch, self.position, slot.marks.accepted());
    }

    /// Ends the run, because the position moved, the file changed or memory is short: frees what
    /// was read ahead. Returns whether there was anything. The next read starts a new run.
    pub fn end_run(&mut self) -> bool {
        self.reading = false;
        let mut freed = false;
        if let Some(reader) = &mut self.reader {
            while let Some(len) = reader.front().map(|chunk| chunk.bytes().len()) {
                reader.consume(len);
                freed = true;
            }
        }
        freed
    }

    /// Copies what is available of the current run. Returns how many bytes, and whether a page was
    /// freed.
    #[inline]
    pub fn copy_out(&mut self, slot: &Slot, buf: &mut [u8]) -> (usize, bool) {
        let Some(reader) = &mut self.reader else {
            return (0, false);
        };
        let (front, page_done) = drop_stale(reader, self.epoch);
        if front == 0 {
            return (0, page_done);
        }
        let n = reader.read(buf);
        self.advance(slot, n);
        (n, page_done || n >= front)
    }

    /// Moves the position over `n` bytes that were taken from the run.
    #[inline]
    pub fn advance(&mut self, slot: &Slot, n: usize) {
        self.position += n as u64;
        slot.set_consumed(slot.consumed() + n as u64);
    }

    /// Drops pages of an earlier run that was in flight when the position moved (F18). Returns how
    /// many bytes the first chunk of the current run has, and whether a page was freed.
    pub fn drop_stale(&mut self) -> (usize, bool) {
        let (reader, epoch) = (self.reader.as_mut(), self.epoch);
        reader.map_or((0, false), |reader| drop_stale(reader, epoch))
    }

    /// Returns the read stream, if there is one.
    pub fn reader(&mut self) -> Option<&mut ChunkReader<Page>> {
        self.reader.as_deref_mut()
    }

    /// Drops both ends of the read stream.
    pub fn drop_reader(&mut self, slot: &Slot) {
        drop((self.reader.take(), slot.take_reads()));
    }

    /// Whether no read bytes are available.
    pub fn nothing_to_read(&self) -> bool {
        self.reader.as_ref().is_none_or(|reader| reader.is_empty())
    }
}

/// As [`CallerState::drop_stale`], for run `epoch`.
#[inline]
fn drop_stale(reader: &mut ChunkReader<Page>, epoch: u32) -> (usize, bool) {
    let mut page_done = false;
    while let Some(chunk) = reader.front() {
        let len = chunk.bytes().len();
        if chunk.chunk().epoch() == epoch {
            return (len, page_done);
        }
        reader.consume(len);
        page_done = true;
    }
    (0, page_done)
}
