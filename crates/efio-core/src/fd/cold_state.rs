//! What a slot has at times only, behind one lock that no call on the hot path takes.

use super::interest::Interest;
use super::questions::Questions;
use super::slot::Slot;
use super::sparse_counters::SparseCounters;
use crate::caller::Lost;
use crate::mode_status::ModeStatus;
use crate::page::Page;
use crate::stats::{FileStats, NameState};
use efio_chunks::{ChunkReader, ChunkWriter};

/// See the module.
#[derive(Default)]
pub struct ColdState {
    /// What was done for the file.
    counters: SparseCounters,
    handoff: Option<Box<Handoff>>,
}

/// What one side leaves for the other.
#[derive(Default)]
struct Handoff {
    /// For the driver: its end of a new write stream.
    writes: Option<Box<ChunkReader<Page>>>,
    /// For the driver: its end of a new read stream.
    reads: Option<Box<ChunkWriter<Page>>>,
    /// For callers: what was accepted and not written, after a failure.
    lost: Option<Box<Lost>>,
    /// Of callers: what they asked and did not fetch the answer of.
    questions: Questions,
    /// The lowest mark that somebody waits for to be written.
    awaited: Option<u64>,
}

impl Handoff {
    fn is_empty(&self) -> bool {
        let letters = self.writes.is_some() || self.reads.is_some() || self.lost.is_some();
        !letters && self.questions.is_empty() && self.awaited.is_none()
    }
}

impl Slot {
    /// Counts `n` more in the figure that `which` names.
    pub fn count(&self, n: u64, which: impl FnOnce(&mut FileStats) -> &mut u64) {
        if n > 0 {
            self.cold.lock().counters.add(n, which);
        }
    }

    /// What is known of the name of the file.
    pub fn set_name(&self, name: NameState) {
        self.cold.lock().counters.set_name(name);
    }

    /// What was done for the file so far.
    pub fn stats(&self) -> FileStats {
        let counted = self.cold.lock().counters.all();
        let ModeStatus {
            mode,
            why,
            on_workers,
        } = self.mode_status();
        FileStats {
            mode,
            mode_reason: why,
            on_workers,
            reads_served: self.reads_served.get(),
            ..counted
        }
    }

    /// The file is closed: nothing stays. How many reads it served.
    pub fn clear(&self) -> u64 {
        let rest = std::mem::take(&mut *self.cold.lock());
        drop(rest);
        self.reads_served.take()
    }

    /// Leaves the driver its end of a new write stream, before the first byte in it is accepted.
    pub fn put_writes(&self, stream: Box<ChunkReader<Page>>) {
        self.put_handoff(|handoff| &mut handoff.writes, stream);
    }

    /// The driver's end of a write stream that it did not have yet.
    pub fn take_writes(&self) -> Option<Box<ChunkReader<Page>>> {
        self.take_handoff(|handoff| &mut handoff.writes)
    }

    /// Leaves the driver its end of a new read stream, before the first run is asked for.
    pub fn put_reads(&self, stream: Box<ChunkWriter<Page>>) {
        self.put_handoff(|handoff| &mut handoff.reads, stream);
    }

    /// The driver's end of a read stream that it did not have yet.
    pub fn take_reads(&self) -> Option<Box<ChunkWriter<Page>>> {
        self.take_handoff(|handoff| &mut handoff.reads)
    }

    /// Leaves callers what was accepted for nothing. With custody.
    pub fn put_lost(&self, lost: Box<Lost>) {
        self.put_handoff(|handoff| &mut handoff.lost, lost);
    }

    /// What was accepted for nothing. With custody.
    pub fn take_lost(&self) -> Option<Box<Lost>> {
        self.take_handoff(|handoff| &mut handoff.lost)
    }

    /// The questions of callers.
    pub(super) fn with_questions<R>(&self, act: impl FnOnce(&mut Questions) -> R) -> R {
        let mut cold = self.cold.lock();
        let handoff = cold.handoff.get_or_insert_default();
        let result = act(&mut handoff.questions);
        if handoff.is_empty() {
            cold.handoff = None;
        }
        result
    }

    /// Somebody is about to wait until `mark` bytes are written. With custody, and an attention bit
    /// follows.
    pub fn wait_for_written(&self, mark: u64) {
        let mut cold = self.cold.lock();
        let awaited = &mut cold.handoff.get_or_insert_default().awaited;
        *awaited = Some(awaited.map_or(mark, |lowest| lowest.min(mark)));
    }

    /// Whether somebody waits for one of the first `written` bytes to be written, or for what is
    /// not known; then all that wait have to be told, and those for more come back.
    pub fn take_awaited(&self, written: u64) -> bool {
        if !self.has_interest(Interest::FLUSHED) {
            // Who is about to wait has the driver look again.
            return false;
        }
        let mut cold = self.cold.lock();
        let Some(handoff) = &mut cold.handoff else {
            return true;
        };
        if handoff.awaited.is_some_and(|mark| mark > written) {
            return false;
        }
        handoff.awaited = None;
        if handoff.is_empty() {
            cold.handoff = None;
        }
        true
    }

    /// The file is at rest, with every accepted byte written: nobody waits for a mark, though one
    /// may be left of a wait that was over before it began. With custody.
    pub fn forget_awaited(&self) {
        let mut cold = self.cold.lock();
        if let Some(handoff) = &mut cold.handoff {
            handoff.awaited = None;
            if handoff.is_empty() {
                cold.handoff = None;
            }
        }
    }

    fn put_handoff<T>(&self, field: impl FnOnce(&mut Handoff) -> &mut Option<T>, what: T) {
        let mut cold = self.cold.lock();
        let before = field(cold.handoff.get_or_insert_default()).replace(what);
        debug_assert!(before.is_none(), "one at a time");
    }

    fn take_handoff<T>(&self, field: impl FnOnce(&mut Handoff) -> &mut Option<T>) -> Option<T> {
        let mut cold = self.cold.lock();
        let handoff = cold.handoff.as_mut()?;
        let taken = field(handoff).take();
        if handoff.is_empty() {
            cold.handoff = None;
        }
        taken
    }
}
