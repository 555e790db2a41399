//! One file as the driver sees it: its state, its plans, and the ops that they submit.
//!
//! An idle file has neither streams nor plans: [`Outgoing`] and [`Incoming`] are created when there
//! is something to write or read, and [`OpenFile::park`] drops them again.

use super::incoming::{Incoming, NoMemory};
use super::ops::Purpose;
use super::outgoing::Outgoing;
use crate::caller::Lost;
use crate::config::{Config, IoMode};
use crate::error::Failure;
use crate::fd::{CallerState, Fd, Slot};
use crate::oneshot::Sender;
use crate::op::{CacheMode, FileFacts, Op, OpenSpec};
use crate::page::{Block, PagePool, order_for};
use crate::plan::{
    Asked, IoCaps, Kind, Lifecycle, ParkedRead, ParkedWrite, Positional, ReadAhead, ReadLimits,
    ReadRequest, WriteBehind, WriteRange,
};
use std::sync::Arc;

/// In mode Auto a file that is shorter than this when it is first written goes to the page cache.
const SMALL: u64 = 64 << 10;

/// The limits that the plans of all files start with.
pub struct Limits {
    read: ReadLimits,
    /// Fewer bytes than this are a small file.
    small: u64,
}

impl Limits {
    /// Takes the limits from the configuration.
    pub fn new(config: &Config) -> Self {
        let read = ReadLimits {
            window: config.read_ahead() as u64,
            first_order: order_for(config.first_read).min(config.most_order()),
            most_order: config.most_order(),
        };
        // A file with a small share must not wait for more bytes than the share allows.
        let small = SMALL.min(config.write_behind() as u64 / 2);
        Self { read, small }
    }
}

/// A file whose kernel file is of type `F`.
pub struct OpenFile<F> {
    /// Its descriptor.
    pub fd: Fd,
    /// Where it is between open and closed.
    pub life: Lifecycle,
    limits: Arc<Limits>,
    outgoing: Option<Box<Outgoing>>,
    /// The state of the write side, while there is no `outgoing`.
    written: ParkedWrite,
    /// The read side, from the first run on until the file is parked.
    pub incoming: Option<Box<Incoming>>,
    /// The state of the read side, while there is no `incoming`.
    read: ParkedRead,
    /// Reads, writes and truncations at an offset, from the first one on.
    pub positional: Option<Box<Positional<Block>>>,
    /// The cache modes that it has.
    pub io_caps: IoCaps,
    /// Sequenced ops that the plan has, modulo 2^32.
    sequenced_ops: u32,
    /// Ops in flight.
    pub busy: u32,
    /// How many of the syncs that callers requested the plan has.
    pub syncs_seen: u32,
    /// The kernel's file, once open.
    pub kernel: Option<Arc<F>>,
    /// Sends the result of the close.
    pub close_sender: Sender<()>,
    /// The interval timer is set.
    pub timed: bool,
    /// In the queue of readers that wait for memory.
    pub wants_page: bool,
    /// In the queue of writers that wait for memory.
    pub wants_room: bool,
    /// Only tasks wait for it: they are woken, and no events are emitted.
    pub wakers: bool,
    /// The caller's number for the file, which its events carry.
    pub user_data: u64,
    /// In a list of files with pages that were read ahead.
    pub listed: bool,
    may_read: bool,
    append: bool,
    io_mode: IoMode,
}

impl<F> OpenFile<F> {
    /// Creates the state of a file that is about to be opened as `spec` says.
    pub fn new(fd: Fd, spec: &OpenSpec, may_read: bool, limits: &Arc<Limits>) -> Self {
        let append = spec.flags & libc::O_APPEND != 0;
        Self {
            fd,
            life: Lifecycle::new(),
            limits: Arc::clone(limits),
            outgoing: None,
            written: ParkedWrite::new(),
            incoming: None,
            read: ParkedRead::new(),
            positional: None,
            io_caps: IoCaps::CACHED,
            sequenced_ops: 0,
            busy: 0,
            syncs_seen: 0,
            kernel: None,
            close_sender: Sender::default(),
            timed: false,
            wants_page: false,
            wants_room: false,
            wakers: false,
            user_data: 0,
            listed: false,
            may_read,
            append,
            io_mode: spec.io_mode,
        }
    }

    /// Returns the mode that the caller asked for.
    pub fn io_mode(&self) -> IoMode {
        self.io_mode
    }

    /// Returns whether writes go to the end of the file.
    pub fn appends(&self) -> bool {
        self.append
    }

    /// Takes the kernel's file, and gives the plans what is known of it.
    pub fn on_opened(&mut self, kernel: Arc<F>, facts: FileFacts) {
        match &mut self.outgoing {
            Some(outgoing) => outgoing.plan.handle_opened(facts.is_new),
            None => self.written.opened(facts.is_new),
        }
        self.on_resized(facts.size);
        self.io_caps = IoCaps::at_open(self.io_mode, self.append, facts.dio_align);
        self.kernel = Some(kernel);
        self.life.handle_opened();
    }

    fn on_resized(&mut self, size: u64) {
        match &mut self.incoming {
            Some(incoming) => incoming.plan.handle_resized(size),
            None => self.read.resized(size),
        }
    }

    /// Returns the write side, unparked.
    pub fn outgoing(&mut self) -> &mut Outgoing {
        self.outgoing.get_or_insert_with(|| {
            let small = (self.io_mode == IoMode::Auto).then_some(self.limits.small);
            Box::new(Outgoing::new(self.append, small, self.written))
        })
    }

    /// Returns the plan of the write side, unparked.
    pub fn write(&mut self) -> &mut WriteBehind {
        &mut self.outgoing().plan
    }

    /// Makes everything up to `mark` due: it is written without waiting for more.
    pub fn flush(&mut self, mark: u64) {
        if mark > self.written() {
            self.write().flush(mark);
        }
    }

    /// Returns how many bytes the kernel has taken.
    pub fn written(&self) -> u64 {
        let plan = self.outgoing.as_ref().map(|outgoing| &outgoing.plan);
        plan.map_or(self.written.written(), WriteBehind::written)
    }

    /// Returns the error that the file failed with.
    pub fn failure(&self) -> Option<Failure> {
        self.outgoing.as_ref()?.plan.failure()
    }

    /// Returns whether all `accepted` bytes are written, and synced where that was requested, or
    /// lost; and no positional op is pending.
    pub fn is_drained(&self, accepted: u64) -> bool {
        let drained = match &self.outgoing {
            Some(outgoing) => outgoing.plan.is_drained(accepted),
            None => self.written.written() == accepted,
        };
        drained && !self.has_positional()
    }

    /// Returns whether all `accepted` bytes are written or lost, and no positional op is pending.
    pub fn is_written(&self, accepted: u64) -> bool {
        let written = match &self.outgoing {
            Some(outgoing) => outgoing.plan.is_written(accepted),
            None => self.written.written() == accepted,
        };
        written && !self.has_positional()
    }

    /// Returns the read side, unparked.
    pub fn incoming(&mut self) -> &mut Incoming {
        let (limits, parked) = (self.limits.read, self.read);
        self.incoming
            .get_or_insert_with(|| Box::new(Incoming::new(limits, parked)))
    }

    /// Returns the epoch of the last run.
    pub fn epoch(&self) -> u32 {
        let plan = self.incoming.as_ref().map(|incoming| &incoming.plan);
        plan.map_or(self.read.epoch(), ReadAhead::epoch)
    }

    /// Returns the epoch of the run that has a read in flight.
    pub fn read_in_flight(&self) -> Option<u32> {
        let plan = self.incoming.as_ref().map(|incoming| &incoming.plan);
        plan.filter(|plan| plan.is_reading()).map(ReadAhead::epoch)
    }

    /// Returns whether a write is in flight.
    pub fn is_write_in_flight(&self) -> bool {
        let plan = self.outgoing.as_ref().map(|outgoing| &outgoing.plan);
        plan.is_some_and(|plan| plan.cache_mode_in_flight().is_some())
    }

    /// Returns whether no op is in flight, so that no completion needs a plan.
    pub fn may_park(&self) -> bool {
        self.busy == 0 && self.life.is_serving() && self.failure().is_none()
    }

    /// Drops the plans that have nothing to do, with both ends of their streams, and keeps a few
    /// words to unpark from: so an idle file costs little memory. All bytes of `caller` are
    /// written. Returns how many bytes that were read ahead are dropped with that.
    pub fn park(&mut self, slot: &Slot, caller: &mut CallerState) -> u64 {
        slot.forget_awaited();
        if let Some(parked) = self.outgoing.as_ref().and_then(|outgoing| outgoing.park()) {
            self.written = parked;
            self.outgoing = None;
        }
        if self.outgoing.is_none() {
            drop((caller.writer.take(), slot.take_writes()));
        }
        if !self.has_positional() {
            self.positional = None;
        }
        self.park_reading(slot, caller)
    }

    fn park_reading(&mut self, slot: &Slot, caller: &mut CallerState) -> u64 {
        let Some(incoming) = &mut self.incoming else {
            return 0;
        };
        let plan = &mut incoming.plan;
        plan.handle_consumed(slot.consumed());
        // Another run is requested, or this one is not over and the next read continues it.
        let is_wanted = plan.epoch() != caller.epoch || (caller.reading && !plan.is_over());
        if is_wanted || !caller.nothing_to_read() {
            return 0;
        }
        plan.stop();
        let wasted = plan.unconsumed();
        self.read = plan.park();
        self.incoming = None;
        drop((caller.reader.take(), slot.take_reads()));
        wasted
    }

    /// Returns the next write to submit.
    pub fn poll_write(&mut self, slot: &Slot) -> Option<(Purpose, Op<F>)> {
        let accepted = slot.marks.accepted();
        if accepted == self.written() || slot.sequenced_ops() != self.sequenced_ops {
            // Nothing to write, or a sequenced op that comes before some of the bytes is still in
            // the inbox.
            return None;
        }
        let (limit, io_caps, file) = (self.limit(), self.io_caps, self.kernel()?);
        let outgoing = self.outgoing();
        outgoing.collect(slot, accepted.min(limit));
        let range = outgoing.plan.poll_write(outgoing.pending()?, io_caps)?;
        let WriteRange {
            offset, cache_mode, ..
        } = range;
        let slices = outgoing.slices(range);
        Some((
            Purpose::Write,
            Op::Write {
                file,
                cache_mode,
                offset,
                slices,
            },
        ))
    }

    /// Adds a positional op.
    pub fn push_positional(&mut self, asked: Asked<Block>) {
        // Everything that was accepted before the op has to be written first.
        self.flush(asked.seq);
        self.sequenced_ops = self
            .sequenced_ops
            .wrapping_add(u32::from(asked.seq_len() > 0));
        self.positional
            .get_or_insert_with(|| Box::new(Positional::new()))
            .push(asked);
    }

    /// Takes back a positional op that the backend never had.
    pub fn take_back(&mut self, key: u32, memory: Option<Block>) {
        if let Some(positional) = &mut self.positional {
            positional.take_back(key, memory);
        }
    }

    /// Returns the seq from which on stream bytes wait for a sequenced op.
    fn limit(&self) -> u64 {
        self.positional
            .as_ref()
            .map_or(u64::MAX, |positional| positional.limit())
    }

    /// Handles the success of a sequenced op: advances the written mark over it, if all before it
    /// is written.
    pub fn on_sequenced_op(&mut self, kind: Kind, offset: u64) {
        self.write().handle_positional(offset);
        if kind == Kind::Truncate {
            self.on_resized(offset);
        }
        let written = self.written();
        let settled = self
            .positional
            .as_mut()
            .map_or(written, |positional| positional.settle(written));
        if settled > written {
            self.outgoing().skip_to(settled);
        }
    }

    /// Returns whether a positional op is pending.
    pub fn has_positional(&self) -> bool {
        self.positional.as_ref().is_some_and(|at| !at.is_idle())
    }

    /// Returns the lowest file offset of all accepted bytes that the kernel does not have, or in
    /// append mode how many bytes come before them in the sequence.
    pub fn lowest_pending(&mut self, slot: &Slot) -> Option<u64> {
        let queued = self.outgoing().lowest_queued(slot);
        let ops = self
            .positional
            .as_ref()
            .and_then(|positional| positional.lowest_pending());
        let start = self.append.then(|| self.written());
        let ops = ops.map(|offset| start.unwrap_or(offset));
        queued.into_iter().chain(ops).min()
    }

    /// See [`Outgoing::take_lost`].
    pub fn take_lost(&mut self, slot: &Slot) -> Option<Box<Lost>> {
        self.outgoing.as_mut()?.take_lost(slot)
    }

    /// Returns the kernel's file for an op.
    pub fn kernel(&self) -> Option<Arc<F>> {
        self.kernel.as_ref().map(Arc::clone)
    }

    /// Returns the kernel's file if it is open for reading.
    pub fn kernel_to_read(&self) -> Option<&Arc<F>> {
        self.kernel.as_ref().filter(|_| self.may_read)
    }

    /// Returns the mode of an op in flight that transfers bytes.
    pub fn cache_mode_of(&self, purpose: Purpose) -> Option<CacheMode> {
        match purpose {
            Purpose::Read(number) => self.incoming.as_ref()?.plan.cache_mode_of(number),
            Purpose::Write => self.outgoing.as_ref()?.plan.cache_mode_in_flight(),
            Purpose::Positional(key) => Some(self.positional.as_ref()?.kind_and_cache_mode(key).1),
            _ => None,
        }
    }

    /// Returns the sync to submit.
    pub fn poll_sync(&mut self) -> Option<(Purpose, Op<F>)> {
        let file = self.kernel()?;
        let name_too = self.outgoing.as_mut()?.plan.poll_sync()?;
        Some((Purpose::Sync, Op::Sync { file, name_too }))
    }

    /// Returns the next read to submit; `Err` when there is no memory for it.
    pub fn poll_read(
        &mut self,
        pool: &Arc<PagePool>,
    ) -> Result<Option<(Purpose, Op<F>)>, NoMemory> {
        let written = self.written();
        let (Some(incoming), Some(file)) = (&mut self.incoming, &self.kernel) else {
            return Ok(None);
        };
        if self.life.is_draining() || written < incoming.after {
            return Ok(None);
        }
        let Some((read, block)) = incoming.poll_read(pool, self.io_caps)? else {
            return Ok(None);
        };
        let ReadRequest {
            number,
            offset,
            len,
            cache_mode,
            ..
        } = read;
        Ok(Some((
            Purpose::Read(number),
            Op::Read {
                file: Arc::clone(file),
                cache_mode,
                offset,
                block,
                start: 0,
                len,
            },
        )))
    }

    /// See [`Incoming::publish_read`].
    pub fn publish_read(&mut self, slot: &Slot) -> bool {
        let incoming = self.incoming.as_mut();
        incoming.is_some_and(|incoming| incoming.publish_read(slot))
    }

    /// Cancels read-ahead: the caller closed the file.
    pub fn stop_reading(&mut self) {
        if let Some(incoming) = &mut self.incoming {
            incoming.stop();
        }
    }

    /// Returns how many bytes are accepted and not yet written.
    pub fn backlog(&self, slot: &Slot) -> u64 {
        slot.marks.accepted().saturating_sub(self.written())
    }
}
