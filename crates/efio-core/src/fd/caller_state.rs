//! The caller's ends of a file.
//!
//! Its streams are made when their first bytes are on the way, and are gone again when the file has
//! been at rest for an interval: most of the files that are open at a time carry nothing.
//!
//! ```text
//!  caller, with custody                               driver
//!  first byte written: makes the stream ─ mail ─►     looks for it when bytes are accepted
//!  a run of reads begins: makes the stream ─ mail ─►  looks for it when it hears of the run
//!                                                     at rest: takes custody, drops both ends
//! ```

use super::slot::Slot;
use crate::op::ReadNow;
use crate::page::Page;
use efio_chunks::{ChunkReader, ChunkWriter, unbounded};
use std::sync::Arc;

/// The caller's ends of a file, guarded by custody.
#[derive(Default)]
pub struct CallerState {
    /// Whose ends they are; 0 while the slot is free.
    pub generation: u32,
    /// The current run.
    pub epoch: u32,
    /// Positional changes asked for so far.
    pub sequenced_ops: u32,
    /// The order of the next page to write into.
    pub order: u8,
    /// Whether the file is open for reading.
    pub may_read: bool,
    /// Whether the file is open for writing.
    pub may_write: bool,
    /// Whether writes go to the end of the file.
    pub append: bool,
    /// The position is the end of the file, which only the kernel knows: something was appended.
    /// Then no run serves it.
    pub at_end: bool,
    /// The driver comes back to this file by itself within the flush interval.
    pub watched: bool,
    /// Somebody asked a question that a write may void; see [`Question`](super::Question).
    pub asked: bool,
    /// A write has nobody to tell: `watched`, and not `asked`.
    pub quiet: bool,
    /// A run of read-ahead serves `position`.
    pub reading: bool,
    /// The position of the next read or write, unless `at_end`.
    pub position: u64,
    /// The write stream, once something was written.
    pub writer: Option<Box<ChunkWriter<Page>>>,
    /// The read stream, once a run has begun.
    pub reader: Option<Box<ChunkReader<Page>>>,
    /// The kernel's file, once open, if it is read: for where it ends.
    pub kernel: Option<Arc<dyn ReadNow>>,
    /// In cached mode: also for what is in memory.
    pub reads_now: bool,
    /// Who began the current run.
    pub run: RunBy,
}

/// Who began a run: whether its end is one that the consumer asked for (F65).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RunBy {
    /// The open, before anybody read.
    #[default]
    Open,
    /// A call that found nothing to read.
    Call,
    /// A call that came to the end of a run, and found that the file does not end there any more.
    CallAtTheEnd,
}

impl CallerState {
    /// The write stream; if there is none yet, it is made, and its other end left for the driver.
    pub fn writer(&mut self, slot: &Slot) -> &mut ChunkWriter<Page> {
        self.writer.get_or_insert_with(|| {
            let (writer, reader) = unbounded();
            slot.put_writes(Box::new(reader));
            Box::new(writer)
        })
    }

    /// Where the next byte of the stream belongs: its file offset, or in append mode, where only the
    /// kernel knows that, its place among the accepted bytes.
    pub fn next_seq(&self, slot: &Slot) -> u64 {
        if self.append {
            slot.marks.accepted()
        } else {
            self.position
        }
    }

    /// Bytes for which the open page has room.
    pub fn room(&mut self) -> usize {
        self.writer.as_mut().map_or(0, |writer| writer.room())
    }

    /// The open page, if there is one, gets no more: the next byte begins a page of its own.
    pub fn seal(&mut self) {
        if let Some(writer) = &mut self.writer {
            writer.seal();
        }
    }

    /// Makes sure that there is a read stream; the other end of a new one is left for the driver.
    pub fn make_reader(&mut self, slot: &Slot) {
        if self.reader.is_none() {
            let (writer, reader) = unbounded();
            slot.put_reads(Box::new(writer));
            self.reader = Some(Box::new(reader));
        }
    }

    /// Sets whether the driver comes back to this file.
    pub fn set_watched(&mut self, watched: bool) {
        self.watched = watched;
        self.quiet = watched && !self.asked;
    }

    /// Sets whether questions are kept that a write may void.
    pub fn set_asked(&mut self, asked: bool) {
        self.asked = asked;
        self.quiet = self.watched && !asked;
    }

    /// Whether nothing that was read waits to be taken.
    pub fn nothing_to_read(&self) -> bool {
        self.reader.as_ref().is_none_or(|reader| reader.is_empty())
    }
}
