//! The parts of a slot that are rarely used, behind one lock. No call on the hot path takes it; the
//! driver takes it when it has published something, to look for waiters.

use super::Slot;
use super::questions::Questions;
use super::waiters::Waiters;
use crate::fd::requests::Requests;
use crate::fd::sparse_counters::SparseCounters;
use crate::fd::unwritten::Lost;
use crate::mode_status::ModeStatus;
use crate::page::{Block, Page};
use crate::plan::Asked;
use crate::stats::{FileStats, NameState};
use efio_chunks::{ChunkReader, ChunkWriter};
use efio_sync::shim::atomic::Ordering;

/// The rarely used state; see the module.
#[derive(Default)]
pub struct ColdState {
    /// The file's statistics.
    counters: SparseCounters,
    handoff: Option<Box<Handoff>>,
    /// Who waits for the file.
    waiters: Waiters,
}

/// What one side hands to the other.
#[derive(Default)]
struct Handoff {
    /// For the driver: its end of a new write stream.
    writes: Option<Box<ChunkReader<Page>>>,
    /// For the driver: its end of a new read stream.
    reads: Option<Box<ChunkWriter<Page>>>,
    /// For the driver: positional ops in the order of the calls. The list keeps its memory until
    /// the file is idle.
    positional: Vec<Asked<Block>>,
    /// For callers: the bytes that were accepted and not written, after a failure.
    lost: Option<Box<Lost>>,
    /// Of callers: their questions whose answers they have not taken.
    questions: Questions,
}

impl Handoff {
    fn is_empty(&self) -> bool {
        let has_item = self.writes.is_some() || self.reads.is_some() || self.lost.is_some();
        let has_list = self.positional.capacity() > 0 || !self.questions.is_empty();
        !has_item && !has_list
    }
}

impl Slot {
    /// Adds `n` to the counter that `which` returns.
    pub fn count(&self, n: u64, which: impl FnOnce(&mut FileStats) -> &mut u64) {
        if n > 0 {
            self.cold.lock().counters.add(n, which);
        }
    }

    /// Sets the state of the file's name.
    pub fn set_name(&self, name: NameState) {
        self.cold.lock().counters.set_name(name);
    }

    /// Returns the file's statistics.
    pub fn stats(&self) -> FileStats {
        let counters = self.cold.lock().counters.all();
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
            ..counters
        }
    }

    /// Clears the state of a closed file, and returns how many reads it served.
    pub fn clear(&self) -> u64 {
        let old = std::mem::take(&mut *self.cold.lock());
        drop(old);
        self.reads_served.take()
    }

    /// Hands the driver its end of a new write stream, before the first byte in it is accepted.
    pub fn put_writes(&self, stream: Box<ChunkReader<Page>>) {
        self.put_handoff(|handoff| &mut handoff.writes, stream);
    }

    /// Takes the driver's end of a new write stream.
    pub fn take_writes(&self) -> Option<Box<ChunkReader<Page>>> {
        self.take_handoff(|handoff| &mut handoff.writes)
    }

    /// Hands the driver its end of a new read stream, before the first run is requested.
    pub fn put_reads(&self, stream: Box<ChunkWriter<Page>>) {
        self.put_handoff(|handoff| &mut handoff.reads, stream);
    }

    /// Takes the driver's end of a new read stream.
    pub fn take_reads(&self) -> Option<Box<ChunkWriter<Page>>> {
        self.take_handoff(|handoff| &mut handoff.reads)
    }

    /// Hands the driver a positional op, and raises the accepted mark over it. Returns the request
    /// bits that were set before, with which the caller notifies the driver. The holder of the
    /// file's lock calls this.
    ///
    /// # Errors
    ///
    /// The op, if there is no memory to queue it.
    pub fn put_positional(&self, asked: Asked<Block>) -> Result<Requests, Asked<Block>> {
        let mut cold = self.cold.lock();
        let ops = &mut cold.handoff.get_or_insert_default().positional;
        if ops.try_reserve(1).is_err() {
            return Err(asked);
        }
        // In this order, so that a driver that sees the mark has the op, or sees the bit
        // ([`has_requested`](Self::has_requested)), or has taken the bit and waits for the lock.
        let before = self.request(Requests::POSITIONAL);
        let seq_len = asked.seq_len();
        if seq_len > 0 {
            self.marks.set_accepted(asked.seq + seq_len);
        }
        ops.push(asked);
        Ok(before)
    }

    /// Passes the positional ops to `act`, in the order of the calls.
    pub fn take_positional(&self, act: impl FnMut(Asked<Block>)) {
        let mut cold = self.cold.lock();
        if let Some(handoff) = &mut cold.handoff {
            handoff.positional.drain(..).for_each(act);
        }
    }

    /// Hands callers the accepted bytes that will not be written. The holder of the file's lock
    /// calls this.
    pub fn put_lost(&self, lost: Box<Lost>) {
        self.put_handoff(|handoff| &mut handoff.lost, lost);
    }

    /// Takes the accepted bytes that will not be written. The holder of the file's lock calls this.
    pub fn take_lost(&self) -> Option<Box<Lost>> {
        self.take_handoff(|handoff| &mut handoff.lost)
    }

    /// Passes the callers' questions to `act`.
    pub(super) fn with_questions<R>(&self, act: impl FnOnce(&mut Questions) -> R) -> R {
        let mut cold = self.cold.lock();
        let handoff = cold.handoff.get_or_insert_default();
        let result = act(&mut handoff.questions);
        if handoff.is_empty() {
            cold.handoff = None;
        }
        result
    }

    /// Passes the waiters to `act`.
    pub(super) fn with_waiters<R>(&self, act: impl FnOnce(&mut Waiters) -> R) -> R {
        let mut cold = self.cold.lock();
        let result = act(&mut cold.waiters);
        // Relaxed: a hint; see `has_interest`.
        self.interest
            .store(cold.waiters.interest().0, Ordering::Relaxed);
        result
    }

    /// Frees the memory of the list of positional ops, which an idle file does not need. The holder
    /// of the file's lock calls this.
    pub fn park(&self) {
        let mut cold = self.cold.lock();
        if let Some(handoff) = &mut cold.handoff {
            handoff.positional.shrink_to_fit();
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
