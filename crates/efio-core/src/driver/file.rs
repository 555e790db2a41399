//! One file as the driver sees it: its state, its plans, and the ops that they submit.
//!
//! An idle file has no streams: [`Outgoing`] and [`Incoming`] create their ends when there is
//! something to write or read, and [`OpenFile::park`] drops them again.

use super::incoming::{Incoming, NoMemory};
use super::ops::Purpose;
use super::outgoing::{Outgoing, Queue};
use crate::config::Config;
use crate::error::Failure;
use crate::fd::{CallerState, Fd, Lost, Requests, Slot};
use crate::io_mode::IoMode;
use crate::oneshot::Sender;
use crate::op::{BlockRange, CacheMode, FileFacts, Memory, Op, OpenSpec, Transfer};
use crate::page::{Block, PagePool, order_for};
use crate::plan::{
    IoCaps, Kind, Lifecycle, Positional, ReadLimits, ReadRequest, WriteBehind, WriteRange,
};
use crate::slot_map::Key;
use std::sync::Arc;
use std::time::Duration;

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
    outgoing: Outgoing,
    /// The read side.
    pub incoming: Incoming,
    /// Reads, writes and truncations at an offset, from the first one on.
    pub positional: Option<Box<Positional<Block>>>,
    /// The cache modes that it has.
    pub io_caps: IoCaps,
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
    io_mode: IoMode,
}

impl<F> OpenFile<F> {
    /// Creates the state of a file that is about to be opened as `spec` says.
    pub fn new(fd: Fd, spec: &OpenSpec, may_read: bool, limits: &Arc<Limits>) -> Self {
        Self {
            fd,
            life: Lifecycle::new(),
            limits: Arc::clone(limits),
            outgoing: Outgoing::new(spec.flags & libc::O_APPEND != 0),
            incoming: Incoming::default(),
            positional: None,
            io_caps: IoCaps::CACHED,
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
            io_mode: spec.io_mode,
        }
    }

    /// Returns the mode that the caller asked for.
    pub fn io_mode(&self) -> IoMode {
        self.io_mode
    }

    /// Returns whether writes go to the end of the file.
    pub fn appends(&self) -> bool {
        self.outgoing.plan.appends()
    }

    /// Takes the kernel's file, and gives the plans what is known of it.
    pub fn on_opened(&mut self, kernel: Arc<F>, facts: FileFacts) {
        self.outgoing.plan.handle_opened(facts.is_new);
        self.incoming.handle_resized(facts.size);
        self.io_caps = IoCaps::at_open(self.io_mode, self.appends(), facts.dio_align);
        self.kernel = Some(kernel);
        self.life.handle_opened();
    }

    /// Returns the plan of the write side.
    pub fn write(&mut self) -> &mut WriteBehind<Queue> {
        &mut self.outgoing.plan
    }

    /// Makes everything up to `mark` due: it is written without waiting for more.
    pub fn flush(&mut self, mark: u64) {
        self.write().flush(mark);
    }

    /// Returns how many bytes the kernel has taken.
    pub fn written(&self) -> u64 {
        self.outgoing.plan.written()
    }

    /// Returns the error that the file failed with.
    pub fn failure(&self) -> Option<Failure> {
        self.outgoing.plan.failure()
    }

    /// Returns whether all `accepted` bytes are written, and synced where that was requested, or
    /// lost; and no positional op is pending.
    pub fn is_drained(&self, accepted: u64) -> bool {
        self.outgoing.plan.is_drained(accepted) && !self.has_positional()
    }

    /// Returns whether all `accepted` bytes are written or lost, and no positional op is pending.
    pub fn is_written(&self, accepted: u64) -> bool {
        self.outgoing.plan.is_written(accepted) && !self.has_positional()
    }

    /// Starts a run: its epoch, its position, and how many accepted bytes are written before it.
    /// Returns how many bytes of the last run were not consumed.
    pub fn start_run(&mut self, slot: &Slot, run: (u32, u64, u64), now: Duration) -> u64 {
        self.incoming.start(slot, self.limits.read, run, now)
    }

    /// Returns whether a write is in flight.
    pub fn is_write_in_flight(&self) -> bool {
        self.outgoing.plan.is_write_in_flight()
    }

    /// Returns whether no op is in flight, so that no completion needs a plan.
    pub fn may_park(&self) -> bool {
        self.busy == 0 && self.life.is_serving() && self.failure().is_none()
    }

    /// Drops what has nothing to do, with both ends of the streams: so an idle file costs little
    /// memory. All bytes of `caller` are written. Returns how many bytes that were read ahead are
    /// dropped with that.
    pub fn park(&mut self, slot: &Slot, caller: &mut CallerState) -> u64 {
        slot.park();
        self.outgoing.park(slot, caller);
        if !self.has_positional() {
            self.positional = None;
        }
        self.incoming.park(slot, caller)
    }

    /// Returns the next write to submit.
    pub fn poll_write(&mut self, slot: &Slot) -> Option<(Purpose, Op<F>)> {
        let accepted = slot.marks.accepted();
        if accepted == self.written() || slot.has_requested(Requests::POSITIONAL) {
            // Nothing to write, or an op that comes before some of the bytes is still in the slot.
            return None;
        }
        let (limit, file) = (self.limit(), self.kernel()?);
        let is_auto = self.io_mode == IoMode::Auto;
        let small = if is_auto { self.limits.small } else { 0 };
        let writable = accepted.min(limit);
        let next = self
            .outgoing
            .poll_write(slot, writable, self.io_caps, small);
        let (range, slices) = next?;
        let WriteRange {
            offset, cache_mode, ..
        } = range;
        let write = Transfer {
            file,
            cache_mode,
            offset,
            memory: Memory::Slices(slices),
        };
        Some((Purpose::Write, Op::Transfer(write)))
    }

    /// Takes the positional ops that callers submitted.
    pub fn take_positional(&mut self, slot: &Slot) {
        slot.take_positional(|asked| {
            // Everything that was accepted before the op has to be written first.
            self.flush(asked.seq);
            self.positional
                .get_or_insert_with(|| Box::new(Positional::new()))
                .push(asked);
        });
    }

    /// Takes back a positional op that the backend never had.
    pub fn take_back(&mut self, key: Key, memory: Option<Block>) {
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
            self.incoming.handle_resized(offset);
        }
        let written = self.written();
        let settled = self
            .positional
            .as_mut()
            .map_or(written, |positional| positional.settle(written));
        if settled > written {
            self.write().skip_to(settled);
        }
    }

    /// Returns whether a positional op is pending.
    pub fn has_positional(&self) -> bool {
        self.positional.as_ref().is_some_and(|at| !at.is_idle())
    }

    /// Returns the lowest file offset of all accepted bytes that the kernel does not have, or in
    /// append mode how many bytes come before them in the sequence.
    pub fn lowest_pending(&mut self, slot: &Slot) -> Option<u64> {
        let queued = self.outgoing.lowest_queued(slot);
        let ops = self
            .positional
            .as_ref()
            .and_then(|positional| positional.lowest_pending());
        let start = self.appends().then(|| self.written());
        let ops = ops.map(|offset| start.unwrap_or(offset));
        queued.into_iter().chain(ops).min()
    }

    /// See [`Outgoing::take_lost`].
    pub fn take_lost(&mut self, slot: &Slot) -> Option<Box<Lost>> {
        self.outgoing.take_lost(slot)
    }

    /// See [`Outgoing::handle_written`].
    pub fn handle_written(&mut self, n: usize) -> Result<(), Failure> {
        self.outgoing.handle_written(n)
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
            Purpose::Read(number) => self.incoming.cache_mode_of(number),
            Purpose::Write => self.outgoing.plan.cache_mode_in_flight(),
            Purpose::Positional(key) => Some(self.positional.as_ref()?.kind_and_cache_mode(key).1),
            _ => None,
        }
    }

    /// Returns the sync to submit.
    pub fn poll_sync(&mut self) -> Option<(Purpose, Op<F>)> {
        let file = self.kernel()?;
        let name_too = self.write().poll_sync()?;
        Some((Purpose::Sync, Op::Sync { file, name_too }))
    }

    /// Returns the next read to submit; `Err` when there is no memory for it.
    pub fn poll_read(
        &mut self,
        pool: &Arc<PagePool>,
    ) -> Result<Option<(Purpose, Op<F>)>, NoMemory> {
        let written = self.written();
        let Some(file) = &self.kernel else {
            return Ok(None);
        };
        if self.life.is_draining() || written < self.incoming.after() {
            return Ok(None);
        }
        let Some((read, block)) = self.incoming.poll_read(pool, self.io_caps)? else {
            return Ok(None);
        };
        let ReadRequest {
            number,
            offset,
            len,
            cache_mode,
            ..
        } = read;
        let transfer = Transfer {
            file: Arc::clone(file),
            cache_mode,
            offset,
            memory: Memory::Fill(BlockRange::new(block, 0, len)),
        };
        Ok(Some((Purpose::Read(number), Op::Transfer(transfer))))
    }

    /// Returns how many bytes are accepted and not yet written.
    pub fn backlog(&self, slot: &Slot) -> u64 {
        slot.marks.accepted().saturating_sub(self.written())
    }
}
