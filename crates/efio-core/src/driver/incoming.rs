//! The read side of a file in the driver: the plan of its read-ahead and the read stream. It is
//! created by the first run of reads, and dropped when the file is parked.

use crate::fd::Slot;
use crate::page::{Block, Page, PagePool};
use crate::plan::{Delivered, IoCaps, ParkedRead, ReadAhead, ReadLimits, ReadRequest};
use efio_chunks::ChunkWriter;
use std::sync::Arc;
use std::time::Duration;

/// The driver's end of the read stream, and the plan that fills it.
pub struct Incoming {
    /// Decides what to read.
    pub plan: ReadAhead<Block>,
    /// From when the caller has put it in the slot until the file is closed.
    stream: Option<Box<ChunkWriter<Page>>>,
    /// Nothing is read before this many accepted bytes are written.
    pub after: u64,
    /// How much the consumer had taken at the last scan, and when that changed last.
    pub seen: (u64, Duration),
}

impl Incoming {
    /// Unparks the read side.
    pub fn new(limits: ReadLimits, parked: ParkedRead) -> Self {
        let mut plan = ReadAhead::new(limits);
        plan.unpark(parked);
        Self {
            plan,
            stream: None,
            after: 0,
            seen: (0, Duration::ZERO),
        }
    }

    /// Starts a run; see [`ReadAhead::start`].
    pub fn start(&mut self, slot: &Slot, epoch: u32, from: u64, after: u64) {
        if self.stream.is_none() {
            self.stream = slot.take_reads();
        }
        self.plan.start(epoch, from);
        self.after = after;
    }

    /// Cancels read-ahead: the caller closed the file.
    pub fn stop(&mut self) {
        self.plan.stop();
        self.stream = None;
    }

    /// Returns whether the run would read further ahead if there was more memory.
    pub fn is_short(&self, pool: &PagePool) -> bool {
        self.plan.is_short_of(share(pool))
    }

    /// Returns how many bytes the file may be ahead of its consumer. Once half of the budget is
    /// used, that is at most what the consumer has earned ([`ReadAhead::earned`]).
    fn share(&self, pool: &PagePool) -> u64 {
        let share = share(pool);
        if pool.used() > pool.budget() / 2 {
            return share.min(self.plan.earned());
        }
        share
    }

    /// Returns the next read with memory for it; `Err` when there is none.
    pub fn poll_read(
        &mut self,
        pool: &Arc<PagePool>,
        io_caps: IoCaps,
    ) -> Result<Option<(ReadRequest, Block)>, NoMemory> {
        let share = self.share(pool);
        let Some(mut read) = self.plan.poll_read(share, io_caps) else {
            return Ok(None);
        };
        let block = if read.len as u64 <= share {
            pool.take_or_grow(read.order)
        } else if self.plan.is_stalled() {
            // A file with nothing to consume gets a small page in any case.
            pool.take_or_grow(0)
        } else {
            None
        };
        let block = block.ok_or(NoMemory)?;
        read.len = read.len.min(block.len());
        self.plan.submitted(read);
        Ok(Some((read, block)))
    }

    /// Publishes the completed reads to the consumer, in file order. Returns whether the consumer
    /// has new data or a new end.
    pub fn publish_read(&mut self, slot: &Slot) -> bool {
        let mut has_data = false;
        while let Some(delivery) = self.plan.poll_delivery() {
            match delivery {
                Delivered::Data {
                    memory,
                    offset,
                    skip,
                    len,
                } => {
                    let page = Page::filled(memory, offset, skip, len, self.plan.epoch());
                    let Some(stream) = &mut self.stream else {
                        continue;
                    };
                    // Fails when the reader is dropped: the page returns to the pool.
                    has_data |= stream.push(page).is_ok();
                }
                Delivered::End(result) => {
                    slot.end_run(self.plan.epoch(), result);
                    has_data = true;
                }
            }
        }
        has_data
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
