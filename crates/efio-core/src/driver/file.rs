//! One file as the driver sees it: its state, its plans, and the ops that they submit.
//!
//! An idle file has no streams: [`Outgoing`] and [`Incoming`] create their ends when there is
//! something to write or read, and [`OpenFile::park`] drops them again.

use super::incoming::{Incoming, NoMemory};
use super::lists::Lists;
use super::opens::Opening;
use super::ops::Purpose;
use super::outgoing::{Outgoing, Queue};
use crate::command::OpenCommand;
use crate::config::Config;
use crate::error::{Errno, Failure};
use crate::event::{Event, EventKind};
use crate::fd::{CallerState, Fd, Requests, Slot};
use crate::io_mode::IoMode;
use crate::mode_status::ModeStatus;
use crate::oneshot::Sender;
use crate::op::{BlockRange, FileFacts, Memory, Op, Transfer};
use crate::page::{Block, PagePool, order_for};
use crate::plan::{
    IoCaps, Kind, Lifecycle, Next, Positional, ReadLimits, Step, Ticket, WriteBehind,
};
use std::sync::Arc;

/// In mode Auto a file that is shorter than this when it is first written goes to the page cache.
const SMALL: u64 = 64 << 10;

/// The limits that the plans of all files start with.
pub struct Limits {
    /// Of the read side.
    pub read: ReadLimits,
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
    fd: Fd,
    life: Lifecycle,
    /// Until it is served.
    opening: Option<Box<Opening<F>>>,
    outgoing: Outgoing,
    incoming: Incoming,
    /// Reads, writes and truncations at an offset, from the first one on.
    positional: Option<Box<Positional<Block>>>,
    /// The cache modes that it has.
    io_caps: IoCaps,
    /// Ops in flight.
    busy: u32,
    /// How many of the syncs that callers requested the plan has.
    syncs_seen: u32,
    /// The kernel's file, once open.
    kernel: Option<Arc<F>>,
    /// Sends the result of the close.
    close_sender: Sender<()>,
    /// The lists that it is in.
    lists: Lists,
    /// Only tasks wait for it: they are woken, and no events are emitted.
    wakers: bool,
    /// The caller's number for the file, which its events carry.
    user_data: u64,
    may_read: bool,
    io_mode: IoMode,
}

impl<F> OpenFile<F> {
    /// Creates the state of a file that is about to be opened.
    pub fn new(command: OpenCommand, ticket: Ticket) -> Self {
        let spec = command.spec;
        Self {
            fd: command.fd,
            life: Lifecycle::new(),
            outgoing: Outgoing::new(spec.flags & libc::O_APPEND != 0),
            incoming: Incoming::default(),
            positional: None,
            io_caps: IoCaps::CACHED,
            busy: 0,
            syncs_seen: 0,
            kernel: None,
            close_sender: Sender::default(),
            lists: Lists::default(),
            wakers: command.wakers,
            user_data: command.user_data,
            may_read: command.may_read,
            io_mode: spec.io_mode,
            opening: Some(Box::new(Opening::new(ticket, spec))),
        }
    }

    /// Returns its descriptor.
    pub fn fd(&self) -> Fd {
        self.fd
    }

    /// Returns where it is between open and closed.
    pub fn life(&mut self) -> &mut Lifecycle {
        &mut self.life
    }

    /// Returns the pending open.
    pub fn opening(&mut self) -> &mut Option<Box<Opening<F>>> {
        &mut self.opening
    }

    /// Returns the lists that it is in.
    pub fn lists(&mut self) -> &mut Lists {
        &mut self.lists
    }

    /// Returns whether only tasks wait for it, by their wakers.
    pub fn has_only_tasks(&self) -> bool {
        self.wakers
    }

    /// Returns the event to emit. A file of tasks has only completions: they return a buffer, which
    /// a waker cannot.
    pub fn event(&self, kind: EventKind) -> Option<Event> {
        let is_emitted = !self.wakers || matches!(kind, EventKind::Completed(_));
        is_emitted.then_some(Event {
            fd: self.fd,
            user_data: self.user_data,
            kind,
        })
    }

    /// Takes the kernel's file, and gives the plans what is known of it. Returns the mode that it
    /// has.
    pub fn handle_opened(&mut self, kernel: Arc<F>, facts: FileFacts) -> ModeStatus {
        self.outgoing.plan.handle_opened(facts.is_new);
        self.incoming.handle_resized(facts.size);
        let (io_mode, append) = (self.io_mode, self.outgoing.plan.appends());
        self.io_caps = IoCaps::at_open(io_mode, append, facts.dio_align);
        self.kernel = Some(kernel);
        self.life.handle_opened();
        let mut status = ModeStatus::at_open(io_mode, append, facts.dio_align);
        status.on_workers = facts.on_workers;
        status
    }

    /// Returns the read side.
    pub fn incoming(&mut self) -> &mut Incoming {
        &mut self.incoming
    }

    /// Returns the plan of the write side.
    pub fn write(&mut self) -> &mut WriteBehind<Queue> {
        &mut self.outgoing.plan
    }

    /// Handles the syncs that callers requested.
    pub fn handle_syncs(&mut self, slot: &Slot) {
        self.syncs_seen = slot.syncs_asked();
        self.write().sync(slot.requested_sync());
    }

    /// Answers them if they are all complete.
    pub fn answer_syncs(&self, slot: &Slot) {
        if self.outgoing.plan.syncs_are_answered() {
            slot.answer_syncs(self.syncs_seen);
        }
    }

    /// Returns how many bytes the kernel has taken.
    pub fn written(&self) -> u64 {
        self.outgoing.plan.written()
    }

    /// Returns whether all `accepted` bytes are written or lost, and no positional op is pending.
    pub fn is_written(&self, accepted: u64) -> bool {
        self.outgoing.plan.is_written(accepted) && !self.has_positional()
    }

    /// Returns whether no op is in flight, so that no completion needs a plan.
    pub fn may_park(&self) -> bool {
        self.busy == 0 && self.life.is_serving() && self.outgoing.plan.failure().is_none()
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
    pub fn poll_write(&mut self, slot: &Slot, limits: &Limits) -> Option<(Purpose, Op<F>)> {
        let accepted = slot.marks.accepted();
        if accepted == self.written() || slot.has_requested(Requests::POSITIONAL) {
            // Nothing to write, or an op that comes before some of the bytes is still in the slot.
            return None;
        }
        // From there on stream bytes wait for a sequenced op.
        let limit = self.positional.as_ref().map_or(u64::MAX, |at| at.limit());
        let (writable, file) = (accepted.min(limit), self.kernel.as_ref()?);
        let is_auto = self.io_mode == IoMode::Auto;
        let small = if is_auto { limits.small } else { 0 };
        let outgoing = &mut self.outgoing;
        let (range, slices) = outgoing.poll_write(slot, writable, self.io_caps, small)?;
        let write = Transfer {
            file: Arc::clone(file),
            cache_mode: range.cache_mode,
            offset: range.offset,
            memory: Memory::Slices(slices),
        };
        Some((Purpose::Write, Op::Transfer(write)))
    }

    /// Takes the positional ops that callers submitted.
    pub fn take_positional(&mut self, slot: &Slot) {
        slot.take_positional(|asked| {
            // Everything that was accepted before the op has to be written first.
            self.write().flush(asked.seq);
            self.positional
                .get_or_insert_with(|| Box::new(Positional::new()))
                .push(asked);
        });
    }

    /// Returns the plan of the positional ops, from the first one on.
    pub fn positional(&mut self) -> Option<&mut Positional<Block>> {
        self.positional.as_deref_mut()
    }

    /// Returns what to do next for a positional op.
    pub fn poll_positional(&mut self) -> Option<Next<Block>> {
        let failure = self.write().failure().map(|failure| failure.errno);
        let positional = self.positional.as_mut()?;
        positional.poll_op(self.outgoing.plan.written(), failure, self.io_caps)
    }

    /// Handles the success of a sequenced op: advances the written mark over it, if all before it
    /// is written.
    pub fn on_sequenced_op(&mut self, kind: Kind, offset: u64) {
        self.write().handle_positional(offset);
        if kind == Kind::Truncate {
            self.incoming.handle_resized(offset);
        }
        let written = self.written();
        let positional = self.positional.as_mut();
        let settled = positional.map_or(written, |positional| positional.settle(written));
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
        let ops = self.positional.as_ref().and_then(|at| at.lowest_pending());
        let start = self.write().appends().then(|| self.written());
        let ops = ops.map(|offset| start.unwrap_or(offset));
        queued.into_iter().chain(ops).min()
    }

    /// Puts the unwritten bytes where the caller takes them, unless the file is closed or a write
    /// is in flight.
    pub fn hand_over_unwritten(&mut self, slot: &Slot, caller: &mut CallerState) {
        if caller.generation != self.fd.generation() {
            // Closed: no call can take them any more.
            return;
        }
        caller.seal();
        if let Some(lost) = self.outgoing.take_lost(slot) {
            slot.put_lost(lost);
        }
    }

    /// See [`Outgoing::handle_written`].
    pub fn handle_written(&mut self, n: usize) -> Result<(), Failure> {
        self.outgoing.handle_written(n)
    }

    /// Handles the submission of an op.
    pub fn handle_submitted(&mut self) {
        self.busy += 1;
    }

    /// Handles the completion of an op.
    pub fn handle_completed(&mut self) {
        self.busy -= 1;
    }

    /// Returns the sender of the close's result.
    pub fn close_sender(&mut self) -> &mut Sender<()> {
        &mut self.close_sender
    }

    /// Returns the next step to close the file.
    pub fn poll_step(&mut self, slot: &Slot) -> Step {
        let plan = &self.outgoing.plan;
        let is_drained = plan.is_drained(slot.marks.accepted()) && !self.has_positional();
        self.life.poll_step(is_drained, self.busy > 0)
    }

    /// Takes the kernel's file to close it.
    pub fn close_op(&mut self) -> Op<F> {
        let kernel = self.kernel.take().and_then(Arc::into_inner);
        Op::Close(kernel.expect("no op is in flight, so nothing shares the kernel's file"))
    }

    /// Returns the kernel's file, once open.
    pub fn kernel(&self) -> Option<&Arc<F>> {
        self.kernel.as_ref()
    }

    /// Returns the cache modes that it has.
    pub fn io_caps(&self) -> IoCaps {
        self.io_caps
    }

    /// Removes the cache mode of the op if `errno` means that the kernel does not support it for
    /// this file. Returns whether it does mean that.
    pub fn refuse_mode_of(&mut self, purpose: Purpose, errno: Errno) -> bool {
        let positional = self.positional.as_ref();
        let cache_mode = match purpose {
            Purpose::Read(number) => self.incoming.cache_mode_of(number),
            Purpose::Write => self.outgoing.plan.cache_mode_in_flight(),
            Purpose::Positional(key) => positional.map(|at| at.kind_and_cache_mode(key).1),
            _ => None,
        };
        cache_mode.is_some_and(|cache_mode| self.io_caps.refuse(cache_mode, errno))
    }

    /// Returns the kernel's file if it is open for reading.
    pub fn kernel_to_read(&self) -> Option<&Arc<F>> {
        self.kernel.as_ref().filter(|_| self.may_read)
    }

    /// Returns the sync to submit.
    pub fn poll_sync(&mut self) -> Option<(Purpose, Op<F>)> {
        let file = self.kernel.as_ref()?;
        let name_too = self.outgoing.plan.poll_sync()?;
        let file = Arc::clone(file);
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
        let transfer = Transfer {
            file: Arc::clone(file),
            cache_mode: read.cache_mode,
            offset: read.offset,
            memory: Memory::Fill(BlockRange::new(block, 0, read.len)),
        };
        Ok(Some((Purpose::Read(read.number), Op::Transfer(transfer))))
    }

    /// Returns how many bytes are accepted and not yet written.
    pub fn backlog(&self, slot: &Slot) -> u64 {
        slot.marks.accepted().saturating_sub(self.written())
    }
}
