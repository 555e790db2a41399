//! One file as the driver sees it: the streams' far ends, the plans, and the ops they ask for.

use super::ops::Purpose;
use crate::answer::Promise;
use crate::caller::Lost;
use crate::config::{Config, IoMode};
use crate::fd::{Fd, Slot};
use crate::op::{FileFacts, Op, OpenSpec, Route};
use crate::page::{Block, Page, PagePool, PageSlice, UNIT_BYTES, order_for};
use crate::plan::{
    Asked, Cut, Delivery, Fetch, Kind, Lifecycle, Positional, ReadAhead, ReadLimits, Ready, Routes,
    WriteBehind,
};
use efio_chunks::{ChunkReader, ChunkWriter};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// The most bytes in one write.
const MAX_CUT: usize = 8 << 20;
/// The most pages in one write: what one system call takes.
const MAX_SLICES: usize = crate::sys::file::MAX_SLICES;
/// What is shorter than this when it is first written, and in mode Auto, goes to the page cache.
const SMALL: u64 = 64 << 10;

/// A file whose kernel file is of type `F`.
pub struct OpenFile<F> {
    /// Its descriptor.
    pub fd: Fd,
    /// Where it stands.
    pub life: Lifecycle,
    /// What goes to disk.
    pub write: WriteBehind,
    /// What comes from disk.
    pub read: ReadAhead<Block>,
    /// Reads, writes and truncations at an offset, once there was one.
    pub at: Option<Box<Positional<Block>>>,
    /// What positional ops may use.
    pub routes: Routes,
    /// Positional changes heard of.
    changes: u32,
    /// The kernel's file, once open.
    pub kernel: Option<Arc<F>>,
    /// Ops in flight.
    pub busy: u32,
    /// The interval timer is set.
    pub timed: bool,
    /// In the list of files that wait for memory.
    pub starved: bool,
    /// Its events are for the tasks that poll it alone.
    pub wakers: bool,
    /// How many of the syncs that callers asked for the plan knows of.
    pub syncs_heard: u32,
    /// Who is told how the close went.
    pub tell_closed: Option<Promise<()>>,
    /// In the list of files with pages that were read ahead.
    pub listed: bool,
    /// What its consumer had taken at some look under pressure, and when that changed last.
    pub seen: (u64, Duration),
    /// Nothing is read before this many accepted bytes are written.
    pub read_after: u64,
    writes: Option<ChunkReader<Page>>,
    reads: Option<ChunkWriter<Page>>,
    /// Published bytes that wait for the kernel, oldest first.
    queue: VecDeque<PageSlice>,
    /// What was lost is with the caller.
    rescued: bool,
    append: bool,
    may_be_new: bool,
    io_mode: IoMode,
    /// Fewer bytes than this are a small file.
    small: u64,
    /// Bytes taken out of the write stream so far.
    collected: u64,
}

impl<F> OpenFile<F> {
    /// A file that is about to be opened as `spec` says.
    pub fn new(
        fd: Fd,
        spec: &OpenSpec,
        writes: Option<ChunkReader<Page>>,
        reads: Option<ChunkWriter<Page>>,
        config: &Config,
    ) -> Self {
        let append = spec.flags & libc::O_APPEND != 0;
        let limits = ReadLimits {
            window: config.read_ahead() as u64,
            first_order: order_for(config.first_read).min(config.most_order()),
            most_order: config.most_order(),
        };
        Self {
            fd,
            life: Lifecycle::new(),
            write: WriteBehind::new(append, MAX_CUT),
            read: ReadAhead::new(limits),
            at: None,
            routes: Routes {
                buffered: Route::Cached,
                block: 0,
            },
            changes: 0,
            kernel: None,
            busy: 0,
            timed: false,
            starved: false,
            wakers: false,
            syncs_heard: 0,
            tell_closed: None,
            listed: false,
            seen: (0, Duration::ZERO),
            read_after: 0,
            writes,
            reads,
            queue: VecDeque::new(),
            rescued: false,
            append,
            may_be_new: spec.flags & libc::O_CREAT != 0,
            io_mode: spec.io_mode,
            // A file with a small share must not wait for more than that.
            small: SMALL.min(config.write_behind() as u64 / 2),
            collected: 0,
        }
    }

    /// The kernel opened the file: the plans learn what it can do.
    pub fn opened(&mut self, kernel: F, facts: FileFacts) {
        let buffered = match self.io_mode {
            IoMode::Direct | IoMode::Uncached => Route::Uncached,
            IoMode::Auto if facts.block > 0 => Route::Uncached,
            IoMode::Auto | IoMode::Cached => Route::Cached,
        };
        let auto = self.io_mode == IoMode::Auto;
        let written = if auto && self.append {
            Route::Uncached
        } else {
            buffered
        };
        self.write.opened(written, facts.block, self.may_be_new);
        if auto {
            self.write.cache_below(self.small);
        }
        self.read.opened(buffered, facts.block, facts.size);
        self.routes = Routes {
            buffered,
            block: facts.block,
        };
        self.kernel = Some(Arc::new(kernel));
        self.life.opened();
    }

    /// The next write to submit.
    pub fn next_write(&mut self, slot: &Slot) -> Option<(Purpose, Op<F>)> {
        let accepted = slot.marks.accepted();
        if slot.changes() != self.changes {
            // Some of what is accepted stands behind a change that was not heard of yet.
            return None;
        }
        self.collect(accepted.min(self.limit()));
        let cut = self.write.next_write(self.ready()?)?;
        let Cut { offset, route, .. } = cut;
        let (file, slices) = (self.kernel()?, self.slices(cut));
        Some((
            Purpose::Write,
            Op::Write {
                file,
                route,
                offset,
                slices,
            },
        ))
    }

    /// Moves accepted bytes from the stream to the queue: whole pages, and the open one as far as
    /// it goes if it is due. In append mode the open one goes along with a whole one: what is taken
    /// then ends where a call of the caller ended, and a line that lies across two pages is not
    /// torn by somebody else who appends.
    fn collect(&mut self, accepted: u64) {
        let Some(stream) = &mut self.writes else {
            return;
        };
        let mut open_too = self.write.due() > self.collected;
        while let Some(piece) = stream.front() {
            // The stream may be ahead of the mark, which the caller raises last.
            let rest =
                usize::try_from(accepted.saturating_sub(self.collected)).unwrap_or(usize::MAX);
            let (start, len) = (piece.offset(), piece.bytes().len().min(rest));
            if len == 0 || !(piece.is_sealed() || open_too) {
                return;
            }
            // SAFETY: the stream published these bytes, and a stream never changes what it has
            // published; the slice keeps the page alive.
            let slice = unsafe { PageSlice::new(piece.chunk().clone(), start, len) };
            open_too |= self.append && piece.is_sealed();
            stream.consume(len);
            self.collected += len as u64;
            // One slice per page, so that direct IO finds its memory aligned.
            let slice = match self.queue.back_mut() {
                Some(last) => last.extend(slice).err(),
                None => Some(slice),
            };
            self.queue.extend(slice);
        }
    }

    /// Takes a positional op.
    pub fn ask(&mut self, asked: Asked<Block>) {
        // What was accepted before it has to be written first.
        self.write.flush(asked.place);
        self.changes = self.changes.wrapping_add(u32::from(asked.width() > 0));
        self.at
            .get_or_insert_with(|| Box::new(Positional::new()))
            .push(asked);
    }

    /// Stream bytes from this place of the sequence on wait for a positional change.
    fn limit(&self) -> u64 {
        self.at.as_ref().map_or(u64::MAX, |at| at.limit())
    }

    /// A positional change ended well; it may count as written now.
    pub fn changed(&mut self, kind: Kind, offset: u64) {
        let Some(at) = &mut self.at else { return };
        self.write.changed(offset);
        if kind == Kind::Truncate {
            self.read.resized(offset);
        }
        let written = at.settle(self.write.written());
        if written > self.write.written() {
            // After a failure the rest was collected to tell what is lost.
            self.collected = self.collected.max(written);
            self.write.skip_to(written);
        }
    }

    /// Whether a positional op is not over.
    pub fn has_positional(&self) -> bool {
        self.at.as_ref().is_some_and(|at| !at.is_idle())
    }

    /// The lowest file offset of all accepted bytes that the kernel does not have; `None` in append
    /// mode, where only the kernel knows offsets.
    pub fn lowest_pending(&mut self) -> Option<u64> {
        self.write.flush(u64::MAX);
        self.collect(u64::MAX);
        let queued = self.queue.iter().filter(|_| !self.append);
        let changes = self.at.as_ref().and_then(|at| at.lowest_pending());
        queued.map(PageSlice::offset).chain(changes).min()
    }

    /// All accepted bytes that the kernel did not take, after a failure, once no write is in flight.
    /// The caller's end of the stream has sealed its open page.
    pub fn take_lost(&mut self) -> Option<Box<Lost>> {
        if self.rescued || self.write.route_in_flight().is_some() || self.write.failure().is_none()
        {
            return None;
        }
        self.rescued = true;
        self.collect(u64::MAX);
        Some(Box::new(Lost {
            slices: std::mem::take(&mut self.queue),
            place: self.append.then(|| self.write.written()),
        }))
    }

    /// The bytes at the head of the queue that can go in one write.
    fn ready(&self) -> Option<Ready> {
        let offset = self.queue.front()?.offset();
        let mut len = 0;
        let mut complete = false;
        for slice in &self.queue {
            let end = offset + len;
            // Elsewhere in the file, or a page that does not begin at a block boundary.
            let apart = slice.offset() != end || end % UNIT_BYTES as u64 != 0;
            if !self.append && len > 0 && apart {
                complete = true;
                break;
            }
            len += slice.len() as u64;
        }
        Some(Ready {
            offset,
            len,
            complete,
        })
    }

    /// The memory of a cut; the queue keeps it until the write is done.
    fn slices(&self, cut: Cut) -> Vec<PageSlice> {
        let mut rest = cut.len as usize;
        let mut slices = Vec::new();
        for slice in self.queue.iter().take(MAX_SLICES) {
            let part = slice.first(slice.len().min(rest));
            rest -= part.len();
            slices.push(part);
            if rest == 0 {
                break;
            }
        }
        slices
    }

    /// The kernel took `n` bytes: their memory is free.
    pub fn wrote(&mut self, mut n: usize) {
        while n > 0 {
            let Some(slice) = self.queue.front_mut() else {
                unreachable!("the kernel wrote more than it was given")
            };
            let part = slice.len().min(n);
            slice.advance(part);
            n -= part;
            if slice.is_empty() {
                self.queue.pop_front();
            }
        }
    }

    /// The kernel's file, to be used by an op.
    pub fn kernel(&self) -> Option<Arc<F>> {
        self.kernel.as_ref().map(Arc::clone)
    }

    /// The kernel's file, if bytes that it keeps in memory are to be read from there.
    pub fn cached_kernel(&self) -> Option<&Arc<F>> {
        self.kernel
            .as_ref()
            .filter(|_| self.reads.is_some() && self.read.is_cached())
    }

    /// The sync to submit.
    pub fn next_sync(&mut self) -> Option<(Purpose, Op<F>)> {
        let file = self.kernel()?;
        let name_too = self.write.next_sync()?;
        Some((Purpose::Sync, Op::Sync { file, name_too }))
    }

    /// The next read to submit; `Err` when there is no memory for it.
    pub fn next_fetch(
        &mut self,
        pool: &Arc<PagePool>,
    ) -> Result<Option<(Purpose, Op<F>)>, Starved> {
        if self.reads.is_none() || self.life.is_draining() || self.write.written() < self.read_after
        {
            return Ok(None);
        }
        let (Some(mut fetch), Some(file)) = (self.read.next_fetch(), self.kernel()) else {
            return Ok(None);
        };
        let block = self.memory_for(&fetch, pool).ok_or(Starved)?;
        fetch.len = fetch.len.min(block.len());
        self.read.submitted(fetch);
        let Fetch {
            number,
            offset,
            len,
            route,
            ..
        } = fetch;
        Ok(Some((
            Purpose::Fetch(number),
            Op::Read {
                file,
                route,
                offset,
                block,
                start: 0,
                len,
            },
        )))
    }

    /// A page for a read. Reading ahead leaves a quarter of the budget to writers; a file that has
    /// nothing at all gets a small page in any case.
    fn memory_for(&self, fetch: &Fetch, pool: &Arc<PagePool>) -> Option<Block> {
        let ceiling = pool.budget() / 4 * 3;
        if pool.used() + fetch.len <= ceiling {
            return pool.take_or_grow(fetch.order);
        }
        self.read
            .stands_still()
            .then(|| pool.take_or_grow(0))
            .flatten()
    }

    /// Hands what arrived to the consumer; says whether it has something new to look at, and how
    /// often a route was given up.
    pub fn deliver(&mut self, slot: &Slot) -> Delivered {
        let mut delivered = Delivered::default();
        while let Some(delivery) = self.read.next_delivery() {
            match delivery {
                Delivery::Data {
                    memory,
                    offset,
                    skip,
                    len,
                } => {
                    let page = Page::filled(memory, offset, skip, len, self.read.epoch());
                    let Some(stream) = &mut self.reads else {
                        continue;
                    };
                    // Refused when the reader is gone: the page goes back to the pool.
                    delivered.news |= stream.push(page).is_ok();
                }
                Delivery::End(result) => {
                    slot.end_run(self.read.epoch(), result);
                    delivered.news = true;
                }
                Delivery::FellBack => delivered.fallbacks += 1,
            }
        }
        delivered
    }

    /// The caller closed the file: nothing is read any more.
    pub fn stop_reading(&mut self) {
        self.read.stop();
        self.reads = None;
    }

    /// Bytes accepted and not yet written.
    pub fn backlog(&self, slot: &Slot) -> u64 {
        slot.marks.accepted().saturating_sub(self.write.written())
    }
}

/// There was no page for a read.
pub struct Starved;

/// What [`OpenFile::deliver`] did.
#[derive(Default)]
pub struct Delivered {
    /// The consumer has something to look at.
    pub news: bool,
    /// Routes that the kernel refused.
    pub fallbacks: u64,
}
