//! The read side of a file in the driver: the plan of its read-ahead and the read stream. Both are
//! created by the first run of reads, and dropped when the file is idle.

use crate::error::Errno;
use crate::fd::{CallerState, Slot};
use crate::op::CacheMode;
use crate::page::{Block, Page, PagePool};
use crate::plan::{Delivered, IoCaps, ReadAhead, ReadLimits, ReadRequest};
use efio_chunks::ChunkWriter;
use std::sync::Arc;
use std::time::Duration;

/// The read side of a file.
#[derive(Default)]
pub struct Incoming {
    /// The file's size when it was opened, or the end found since.
    size: u64,
    /// The epoch of the last run.
    epoch: u32,
    /// From the first run on, until the file is idle.
    run: Option<Box<Run>>,
}

/// A run of read-ahead.
struct Run {
    plan: ReadAhead<Block>,
    /// The driver's end of the read stream, until the file is closed.
    stream: Option<Box<ChunkWriter<Page>>>,
    /// Nothing is read before this many accepted bytes are written.
    after: u64,
    /// How much the consumer had taken at the last scan, and when that changed last.
    seen: (u64, Duration),
}

impl Incoming {
    /// Handles the open of the file, or a truncation: it is about `size` bytes long.
    pub fn handle_resized(&mut self, size: u64) {
        self.size = size;
    }

    /// Starts a run at `from` that waits until `after` accepted bytes are written. Returns how many
    /// bytes of the last run were not consumed.
    pub fn start(
        &mut self,
        slot: &Slot,
        limits: ReadLimits,
        (epoch, from, after): (u32, u64, u64),
        now: Duration,
    ) -> u64 {
        self.epoch = epoch;
        let run = self.run.get_or_insert_with(|| {
            Box::new(Run {
                plan: ReadAhead::new(limits),
                stream: None,
                after,
                seen: (0, now),
            })
        });
        if run.stream.is_none() {
            run.stream = slot.take_reads();
        }
        let wasted = run.plan.unconsumed();
        run.plan.start(from);
        (run.after, run.seen) = (after, (0, now));
        wasted
    }

    /// Cancels read-ahead: the caller closed the file.
    pub fn handle_close(&mut self) {
        if let Some(run) = &mut self.run {
            run.plan.stop();
            run.stream = None;
        }
    }

    /// Handles a consumer that found no data in this run.
    pub fn handle_demand(&mut self, slot: &Slot) {
        if let Some(run) = &mut self.run {
            run.plan.handle_consumed(slot.consumed());
            run.plan.handle_demand();
        }
    }

    /// Handles the progress of the consumer.
    pub fn handle_consumed(&mut self, slot: &Slot) {
        if let Some(run) = &mut self.run {
            run.plan.handle_consumed(slot.consumed());
        }
    }

    /// Returns the epoch of the last run.
    pub fn epoch(&self) -> u32 {
        self.epoch
    }

    /// Returns whether there is a run.
    pub fn is_active(&self) -> bool {
        self.run.is_some()
    }

    /// Returns how many accepted bytes must be written before the run reads.
    pub fn after(&self) -> u64 {
        self.run.as_ref().map_or(0, |run| run.after)
    }

    /// Returns whether the run delivers nothing more.
    pub fn is_over(&self) -> bool {
        self.run.as_ref().is_none_or(|run| run.plan.is_over())
    }

    /// Returns the epoch of the run that has a read in flight.
    pub fn in_flight(&self) -> Option<u32> {
        let run = self.run.as_ref()?;
        run.plan.is_reading().then_some(self.epoch)
    }

    /// Returns the mode of a read of the current run.
    pub fn cache_mode_of(&self, number: u64) -> Option<CacheMode> {
        self.run.as_ref()?.plan.cache_mode_of(number)
    }

    /// Returns whether the run would read further ahead if there was more memory.
    pub fn is_short(&self, pool: &PagePool) -> bool {
        let run = self.run.as_ref();
        run.is_some_and(|run| run.plan.is_short_of(share(pool), self.size))
    }

    /// Notes at `now` whether the consumer took anything since the last scan, or waits for more.
    pub fn scan_consumer(&mut self, slot: &Slot, is_waiting: bool, now: Duration) {
        if let Some(run) = &mut self.run {
            let consumed = slot.consumed();
            run.plan.handle_consumed(consumed);
            if is_waiting || consumed != run.seen.0 {
                run.seen = (consumed, now);
            }
        }
    }

    /// Returns since when the consumer has taken nothing, and whether it took anything of this run;
    /// `None` when nothing is read ahead for it.
    pub fn idle_since(&self) -> Option<(Duration, bool)> {
        let run = self.run.as_ref().filter(|run| !run.plan.is_stalled())?;
        Some((run.seen.1, run.plan.is_begun()))
    }

    /// Ends the run: its unconsumed bytes were dropped. Returns how many that were.
    pub fn handle_reclaimed(&mut self) -> u64 {
        let run = self.run.as_mut();
        run.map_or(0, |run| run.plan.handle_reclaimed())
    }

    /// Drops the run, with both ends of its stream, if its consumer has nothing to read and needs
    /// no more of it. No read is in flight. Returns how many bytes that were read ahead are dropped
    /// with that.
    pub fn park(&mut self, slot: &Slot, caller: &mut CallerState) -> u64 {
        self.handle_consumed(slot);
        // Another run is requested, or this one is not over and the next read continues it.
        let is_wanted = self.epoch != caller.epoch || (caller.reading && !self.is_over());
        if is_wanted || !caller.nothing_to_read() {
            return 0;
        }
        let Some(run) = self.run.take() else {
            return 0;
        };
        caller.drop_reader(slot);
        run.plan.unconsumed()
    }

    /// Returns the next read with memory for it; `Err` when there is none.
    pub fn poll_read(
        &mut self,
        pool: &Arc<PagePool>,
        io_caps: IoCaps,
    ) -> Result<Option<(ReadRequest, Block)>, NoMemory> {
        let Some(run) = &mut self.run else {
            return Ok(None);
        };
        let share = run.share(pool);
        let Some(mut read) = run.plan.poll_read(share, self.size, io_caps) else {
            return Ok(None);
        };
        let block = if read.len as u64 <= share {
            pool.take_or_grow(read.order)
        } else if run.plan.is_stalled() {
            // A file with nothing to consume gets a small page in any case.
            pool.take_or_grow(0)
        } else {
            None
        };
        let block = block.ok_or(NoMemory)?;
        read.len = read.len.min(block.len());
        run.plan.submitted(read);
        Ok(Some((read, block)))
    }

    /// Handles the completion of a read: publishes what is completed to the consumer, in file
    /// order. Returns whether the consumer has new data or a new end.
    pub fn handle_read(
        &mut self,
        slot: &Slot,
        number: u64,
        block: Block,
        result: Result<usize, Errno>,
    ) -> bool {
        let Some(run) = &mut self.run else {
            unreachable!("a run stays while a read is in flight")
        };
        // The memory of a cancelled run returns to the pool here.
        drop(run.plan.handle_read(number, block, result));
        let mut has_data = false;
        while let Some(delivery) = run.plan.poll_delivery(&mut self.size) {
            match delivery {
                Delivered::Data {
                    memory,
                    offset,
                    skip,
                    len,
                } => {
                    let page = Page::filled(memory, offset, skip, len, self.epoch);
                    let Some(stream) = &mut run.stream else {
                        continue;
                    };
                    // Fails when the reader is dropped: the page returns to the pool.
                    has_data |= stream.push(page).is_ok();
                }
                Delivered::End(result) => {
                    slot.end_run(self.epoch, result);
                    has_data = true;
                }
            }
        }
        has_data
    }

    /// Handles a read whose memory was lost with its op: it ends the run (F54).
    pub fn handle_lost(&mut self, slot: &Slot, errno: Errno) {
        slot.end_run(self.epoch, Err(errno));
        if let Some(run) = &mut self.run {
            run.plan.stop();
        }
    }
}

impl Run {
    /// Returns how many bytes the file may be ahead of its consumer. Once half of the budget is
    /// used, that is at most what the consumer has earned ([`ReadAhead::earned`]).
    fn share(&self, pool: &PagePool) -> u64 {
        let share = share(pool);
        if pool.used() > pool.budget() / 2 {
            return share.min(self.plan.earned());
        }
        share
    }
}

/// Returns how many bytes one file may be ahead of its consumer: as many as all files together
/// leave free of three quarters of the budget. For writers it is the same with the whole budget
/// ([`Shared::share`]). The last quarter is mainly for writers: a reader gets an eighth of what is
/// free.
///
/// | budget | readers | used by others | share of each reader |
/// |---|---|---|---|
/// | 64 MiB | 1 | 0 | 48 MiB, more than its window of 8 MiB |
/// | 64 MiB | 12 | 0 | 48 / 13 = 3.7 MiB |
/// | 64 MiB | 1 | 48 MiB of writers | (64 − 48) / 8 = 2 MiB |
///
/// [`Shared::share`]: crate::shared::Shared::share
fn share(pool: &PagePool) -> u64 {
    let ceiling = pool.budget() / 4 * 3;
    ceiling.saturating_sub(pool.used()).max(pool.free() / 8) as u64
}

/// There was no page for a read.
pub struct NoMemory;
