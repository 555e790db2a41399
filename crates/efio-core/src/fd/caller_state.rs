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

use super::slot::Slot;
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
    pub watched: bool,
    /// There is a question that a write may void; see [`Question`](super::Question).
    pub asked: bool,
    /// A write has nothing to notify: `watched`, and not `asked`.
    pub quiet: bool,
    /// A run of read-ahead serves `position`.
    pub reading: bool,
    /// The position of the next read or write, unless `at_end`.
    pub position: u64,
    /// The write stream, once something was written.
    pub writer: Option<Box<ChunkWriter<Page>>>,
    /// The read stream, once a run has begun.
    pub reader: Option<Box<ChunkReader<Page>>>,
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

impl CallerState {
    /// Returns the write stream. A new one is created if there is none, and its other end handed to
    /// the driver.
    pub fn writer(&mut self, slot: &Slot) -> &mut ChunkWriter<Page> {
        self.writer.get_or_insert_with(|| {
            let (writer, reader) = unbounded();
            slot.put_writes(Box::new(reader));
            Box::new(writer)
        })
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

    /// Creates a read stream if there is none, and hands its other end to the driver.
    pub fn make_reader(&mut self, slot: &Slot) {
        if self.reader.is_none() {
            let (writer, reader) = unbounded();
            slot.put_reads(Box::new(writer));
            self.reader = Some(Box::new(reader));
        }
    }

    /// Sets whether the driver checks this file by itself.
    pub fn set_watched(&mut self, watched: bool) {
        self.watched = watched;
        self.quiet = watched && !self.asked;
    }

    /// Sets whether there are questions that a write may void.
    pub fn set_asked(&mut self, asked: bool) {
        self.asked = asked;
        self.quiet = self.watched && !asked;
    }

    /// Whether no read bytes are available.
    pub fn nothing_to_read(&self) -> bool {
        self.reader.as_ref().is_none_or(|reader| reader.is_empty())
    }
}
