//! What a file has on its way from the disk. It is there from the first run of reads on, and gone
//! again when the file rests.

use crate::fd::Slot;
use crate::page::{Block, Page, PagePool};
use crate::plan::{Delivered, ParkedRead, ReadAhead, ReadLimits, ReadRequest};
use efio_chunks::ChunkWriter;
use std::sync::Arc;
use std::time::Duration;

/// The driver's end of the read stream, and where its bytes come from.
pub struct Incoming {
    /// What comes from disk.
    pub plan: ReadAhead<Block>,
    /// Once the caller has left it; until the caller has closed the file.
    stream: Option<Box<ChunkWriter<Page>>>,
    /// Nothing is read before this many accepted bytes are written.
    pub after: u64,
    /// What its consumer had taken at some look under pressure, and when that changed last.
    pub seen: (u64, Duration),
}

impl Incoming {
    /// Goes on from `rest`.
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

    /// Begins a run; see [`ReadAhead::start`].
    pub fn start(&mut self, slot: &Slot, epoch: u32, from: u64, after: u64) {
        if self.stream.is_none() {
            self.stream = slot.take_reads();
        }
        self.plan.start(epoch, from);
        self.after = after;
    }

    /// The caller closed the file: nothing is read any more.
    pub fn stop(&mut self) {
        self.plan.stop();
        self.stream = None;
    }

    /// Whether the run would read further ahead if there was more memory.
    pub fn is_short(&self, pool: &PagePool) -> bool {
        self.plan.is_short_of(share(pool))
    }

    /// Bytes that the file may be ahead of its consumer. Once half of the memory is used a consumer
    /// has to earn them.
    fn share(&self, pool: &PagePool) -> u64 {
        let share = share(pool);
        if pool.used() > pool.budget() / 2 {
            return share.min(self.plan.earned());
        }
        share
    }

    /// The next read, with memory for it; `Err` when there is none.
    pub fn poll_read(
        &mut self,
        pool: &Arc<PagePool>,
    ) -> Result<Option<(ReadRequest, Block)>, NoMemory> {
        let share = self.share(pool);
        let Some(mut read) = self.plan.poll_read(share) else {
            return Ok(None);
        };
        let block = if read.len as u64 <= share {
            pool.take_or_grow(read.order)
        } else if self.plan.is_stalled() {
            // A file that has nothing at all gets a small page in any case.
            pool.take_or_grow(0)
        } else {
            None
        };
        let block = block.ok_or(NoMemory)?;
        read.len = read.len.min(block.len());
        self.plan.submitted(read);
        Ok(Some((read, block)))
    }

    /// Hands what arrived to the consumer; says whether it has something new to look at, and how
    /// often a route was given up.
    pub fn publish_read(&mut self, slot: &Slot) -> Progress {
        let mut progress = Progress::default();
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
                    // Refused when the reader is gone: the page goes back to the pool.
                    progress.has_data |= stream.push(page).is_ok();
                }
                Delivered::End(result) => {
                    slot.end_run(self.plan.epoch(), result);
                    progress.has_data = true;
                }
                Delivered::FellBack => progress.fell_back = true,
            }
        }
        progress
    }
}

/// Bytes that one file may be ahead of its consumer: as many as all files together leave free of
/// three quarters of the budget, as it is for writers with the whole ([`Shared::share`]). The last
/// quarter is for writers above all: a file gets an eighth of what is free of it.
///
/// Of 64 MiB, one reader may have its window of 8 MiB; twelve get 48 / 13 = 3.7 MiB each. Beside
/// writers that have 48 MiB a reader gets 2 MiB.
///
/// [`Shared::share`]: crate::shared::Shared::share
fn share(pool: &PagePool) -> u64 {
    let ceiling = pool.budget() / 4 * 3;
    ceiling.saturating_sub(pool.used()).max(pool.free() / 8) as u64
}

/// There was no page for a read.
pub struct NoMemory;

/// What [`Incoming::deliver`] did.
#[derive(Default)]
pub struct Progress {
    /// The consumer has something to look at.
    pub has_data: bool,
    /// The kernel refused a route, and the run begins anew.
    pub fell_back: bool,
}
