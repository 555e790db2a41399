//! The driver: one thread, one loop, one step of which is [`Driver::turn`].
//!
//! ```text
//!  inbox of requests ─┐
//!  interval timers ───┼─► the file's plans ──► ops ──► backend
//!  completions ───────┘          │
//!                                └──────────► events
//! ```
//!
//! A turn never blocks and reads no clock: the time is an argument, `now`, so that a simulation can
//! drive it with a disk and a time of its own.

mod complete;
mod file;
mod incoming;
mod losses;
mod memory_waiters;
mod notify;
mod opens;
mod ops;
mod outgoing;
mod positional;
mod reclaim;
mod retry;
mod shutdown;
mod size;

use crate::backend::Backend;
use crate::command::Command;
use crate::current::CurrentDriver;
use crate::error::Errno;
use crate::event::{Callback, EventKind, Outbox};
use crate::fd::{DRIVER, Fd, Interest, Requests, Slot};
use crate::memory;
use crate::op::{Completion, Op, Request};
use crate::plan::{Precedence, Step};
use crate::shared::Shared;
use crate::slot_map::SlotMap;
use crate::sys::fork;
use crate::sys::signals::Mask;
use crate::trace;
use file::{Limits, OpenFile};
use incoming::NoMemory;
use losses::Losses;
use memory_waiters::MemoryWaiters;
use opens::Opening;
use ops::Purpose;
use reclaim::{HighWater, Readers};
use retry::Retries;
use size::Sizes;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// How long the driver polls the inbox after the last completion, while ops are in flight. A
/// deferrable request waits no longer than that.
const MAX_POLL: Duration = Duration::from_millis(2);

/// The driver of an engine over backend `B`.
pub struct Driver<B: Backend> {
    shared: Arc<Shared>,
    backend: B,
    /// Open files by slot.
    files: Vec<Option<Box<OpenFile<B::File>>>>,
    limits: Arc<Limits>,
    live: usize,
    /// The ops in flight: of which slot's file, and what for.
    ops: SlotMap<(u32, Purpose)>,
    /// Requests that the backend had no room for.
    backlog: VecDeque<Request<B::File>>,
    sizes: Sizes,
    /// The order of opens and closes.
    precedence: Precedence,
    /// The opens that are pending, by slot.
    openings: HashMap<u32, Box<Opening<B::File>>>,
    losses: Losses,
    /// When to flush which file, in order: the interval is the same for all.
    timers: VecDeque<(Duration, Fd)>,
    retries: Retries,
    /// Files that wait for memory.
    memory_waiters: MemoryWaiters,
    /// Files with pages that were read ahead.
    readers: Readers,
    high_water: HighWater,
    completions: Vec<Completion<B::File>>,
    /// When an op completed last.
    last_completion: Duration,
    outbox: Outbox,
    now: Duration,
    /// Set by a shutdown: when to stop waiting for files to close.
    deadline: Option<Duration>,
}

impl<B: Backend> Driver<B> {
    /// Creates a driver with no files.
    pub fn new(shared: Arc<Shared>, backend: B) -> Self {
        Self {
            limits: Arc::new(Limits::new(&shared.config)),
            shared,
            backend,
            files: Vec::new(),
            live: 0,
            ops: SlotMap::default(),
            backlog: VecDeque::new(),
            sizes: Sizes::default(),
            precedence: Precedence::default(),
            openings: HashMap::new(),
            losses: Losses::default(),
            timers: VecDeque::new(),
            retries: Retries::default(),
            memory_waiters: MemoryWaiters::default(),
            readers: Readers::default(),
            high_water: HighWater::default(),
            completions: Vec::new(),
            last_completion: Duration::ZERO,
            outbox: Outbox::default(),
            now: Duration::ZERO,
            deadline: None,
        }
    }

    /// Delivers events to `callback` instead of the queue from now on.
    pub fn on_event(&mut self, callback: Callback) {
        self.outbox = Outbox::for_callback(callback);
    }

    /// Sets the signal mask of the thread while the callback runs.
    pub fn set_callback_mask(&mut self, mask: Mask) {
        self.outbox.mask = Some(mask);
    }

    /// Runs one step: drains the inbox, reaps completions, submits ops, and runs the callback for
    /// the events of the turn. `now` is the time since some fixed moment. Returns whether there may
    /// be more to do at once.
    pub fn turn(&mut self, now: Duration) -> bool {
        let shared = Arc::clone(&self.shared);
        let _driving = CurrentDriver::of(&shared);
        self.now = now;
        self.shared.counters.driver.turns.add(1);
        let had_updates = self.drain_inbox();
        self.fire_timers();
        self.resume_paused();
        let reaped = self.reap();
        if reaped {
            self.last_completion = now;
        }
        self.resume_opens();
        self.submit_backlog();
        if self.live > 0 {
            self.shared.pool.keep_ready();
        }
        self.reclaim();
        self.grant_memory();
        self.release_slabs();
        self.flush_outbox();
        had_updates || reaped
    }

    /// Delivers the events and wakes the tasks of this turn. Both run code of the program, which
    /// may take long, so the ops are flushed to the kernel first.
    fn flush_outbox(&mut self) {
        if self.outbox.is_empty() {
            return;
        }
        self.backend.flush();
        let shared = &self.shared;
        let panics = self.outbox.flush(|| {
            if shared.check_process().is_err() {
                // The callback forked and returned in the child, where this is the only thread: it
                // must not continue with the parent's files (F68).
                fork::end_child();
            }
        });
        self.shared.counters.callback_panics.add(panics);
    }

    /// Blocks until the doorbell rings, an op completes or a timer is due.
    ///
    /// | ops in flight | last completion | the driver | a deferrable request |
    /// |---|---|---|---|
    /// | none | any | sleeps until the next timer | rings the doorbell |
    /// | some | under 2 ms ago | wakes by itself before the 2 ms are over | rings nothing |
    /// | some | 2 ms ago or more: the disk is slow | sleeps until the next timer | rings |
    ///
    /// A request that is not deferrable rings in any case.
    pub fn wait(&mut self) {
        if self.watch_memory() {
            self.sleep();
        }
        self.unwatch_memory();
    }

    fn sleep(&mut self) {
        let due = self.timers.front().map(|&(due, _)| due);
        let due = due
            .into_iter()
            .chain(self.deadline)
            .chain(self.retries.next())
            .chain(self.precedence.next_timeout());
        let next = due.chain(self.next_reclaim()).min();
        let next = next.map(|next| next.saturating_sub(self.now));
        let poll_left = self
            .last_completion
            .saturating_add(MAX_POLL)
            .saturating_sub(self.now);
        if self.ops.len() > 0 && !poll_left.is_zero() {
            let next = next.map_or(poll_left, |next| next.min(poll_left));
            self.shared.inbox.enter_poll();
            self.backend.wait(Some(next));
            self.shared.inbox.leave_poll();
        } else {
            self.backend.wait(next);
        }
    }

    /// Returns the backend.
    pub fn backend_mut(&mut self) -> &mut B {
        &mut self.backend
    }

    fn drain_inbox(&mut self) -> bool {
        let mut had_updates = false;
        while let Some(command) = self.shared.inbox.pop() {
            had_updates = true;
            match command {
                Command::Requests(index) => self.handle_requests(index),
                Command::AllRequests => self.handle_all_requests(),
                Command::Open(command) => self.open(*command),
                Command::NotifyClosed(fd, sender) => {
                    self.with_file(fd.index(), |_, _, file| file.close_sender = sender);
                }
                Command::Size(asked) => self.ask_size(asked),
                Command::Shutdown(timeout) => self.begin_shutdown(timeout),
            }
        }
        had_updates
    }

    /// Handles the requests of every file: there was no memory to queue which file has any.
    fn handle_all_requests(&mut self) {
        let shared = Arc::clone(&self.shared);
        let slots = (0..).map_while(|index| Some((index, shared.table.get(index)?)));
        for (index, slot) in slots {
            if slot.has_requests() {
                self.handle_requests(index);
            }
        }
    }

    /// Handles the requests of the file at `index`.
    fn handle_requests(&mut self, index: u32) {
        // The bits of a file that was closed may belong to the next file in the slot already.
        let is_open = matches!(self.files.get(index as usize), Some(Some(_)));
        let Some(slot) = self.shared.table.get(index).filter(|_| is_open) else {
            return;
        };
        let bits = slot.take_requests();
        self.with_file(index, |driver, slot, file| {
            if bits.intersects(Requests::POSITIONAL) {
                file.take_positional(slot);
            }
            // The timer parks a file that is not read or written until it fires.
            let reads = bits.intersects(Requests::CONSUMED) && file.incoming.is_active();
            if bits.intersects(Requests::DIRTY) || reads {
                driver.set_timer(file);
            }
            if bits.intersects(Requests::FLUSH) {
                driver.shared.counters.flushes_asked.add(1);
                file.flush(slot.marks.accepted());
                driver.notify_flusher(slot, file);
            }
            if bits.intersects(Requests::SYNC) {
                driver.shared.counters.flushes_sync.add(1);
                file.syncs_seen = slot.syncs_asked();
                file.write().sync(slot.requested_sync());
            }
            if bits.intersects(Requests::WANT_DATA.union(Requests::WANT_MORE)) {
                driver.on_want_data(slot, file);
            }
            if bits.intersects(Requests::WANT_ROOM.union(Requests::WANT_SHARE)) {
                driver.on_want_room(slot, file);
            }
            if bits.intersects(Requests::CLOSE.union(Requests::CLOSE_SYNC)) {
                let accepted = slot.marks.accepted();
                // The tasks that wait for the file find that it is closed.
                driver.wake(slot, Interest::ALL);
                file.life.handle_close();
                file.incoming.handle_close();
                let has_backlog = u64::from(file.backlog(slot) > 0);
                driver.shared.counters.flushes_close.add(has_backlog);
                file.flush(accepted);
                if bits.intersects(Requests::CLOSE_SYNC) {
                    file.write().sync_silently(accepted);
                }
                driver.on_close(slot, file);
            }
            driver.drive(slot, file);
        });
    }

    /// Handles a read that found no data: starts the run that it asks for, or extends the window of
    /// the current one.
    fn on_want_data(&mut self, slot: &Slot, file: &mut OpenFile<B::File>) {
        let (epoch, from, after) = slot.requested_run();
        if epoch != file.incoming.epoch() {
            let wasted = file.start_run(slot, (epoch, from, after), self.now);
            self.shared.counters.read_ahead_wasted.add(wasted);
            slot.count(wasted, |stats| &mut stats.read_ahead_wasted);
            let has_backlog = u64::from(file.written() < after);
            self.shared.counters.flushes_asked.add(has_backlog);
            file.flush(after);
        } else if !slot.run_ended(epoch) {
            file.incoming.handle_demand(slot);
        }
        if slot.failure().is_some() && file.written() < file.incoming.after() {
            // The bytes that the read waits for are lost: it returns the error.
            self.notify_reader(slot, file);
        }
    }

    /// Flushes the files whose interval has passed.
    fn fire_timers(&mut self) {
        while self.timers.front().is_some_and(|&(due, _)| due <= self.now) {
            let Some((_, fd)) = self.timers.pop_front() else {
                return;
            };
            self.with_file(fd.index(), |driver, slot, file| {
                if file.fd != fd {
                    return;
                }
                file.timed = false;
                let has_backlog = slot.failure().is_none() && file.backlog(slot) > 0;
                if has_backlog || !driver.stop_watching(slot, file) {
                    let accepted = slot.marks.accepted();
                    // A backlog that is due already is no new flush: it is only not written yet.
                    let flushes = has_backlog && file.write().due() < accepted;
                    driver
                        .shared
                        .counters
                        .flushes_interval
                        .add(u64::from(flushes));
                    file.flush(accepted);
                    driver.set_timer(file);
                }
                driver.drive(slot, file);
            });
        }
    }

    /// Submits every op that the plans of a file have now, and closes the file once it is drained.
    fn drive(&mut self, slot: &Slot, file: &mut OpenFile<B::File>) {
        let index = file.fd.index();
        if file.life.is_serving() && self.retries.is_paused(file.fd, self.now) {
            slot.set_read_in_flight(file.incoming.in_flight());
            slot.set_write_in_flight(file.is_write_in_flight());
        } else if file.life.is_serving() {
            self.drive_positional(slot, file);
            while let Some((purpose, op)) = file.poll_sync().or_else(|| file.poll_write(slot)) {
                file.busy += 1;
                let full = purpose == Purpose::Write && file.write().due() <= file.written();
                self.shared.counters.flushes_full.add(u64::from(full));
                self.submit(index, purpose, op);
            }
            self.drive_reads(slot, file);
            slot.set_read_in_flight(file.incoming.in_flight());
            slot.set_write_in_flight(file.is_write_in_flight());
        } else if let Some(failure) = file.failure() {
            // The kernel refused to open it.
            self.cancel_positional(file, failure.errno);
        }
        self.settle_written(slot, file);
        let drained = file.is_drained(slot.marks.accepted());
        match file.life.poll_step(drained, file.busy > 0) {
            Step::Wait => {}
            Step::CloseKernelFile => {
                let kernel = file.kernel.take().and_then(Arc::into_inner);
                let kernel =
                    kernel.expect("no op is in flight, so nothing shares the kernel's file");
                file.busy += 1;
                self.submit(index, Purpose::Close, Op::Close(kernel));
            }
            Step::Finish(result) => self.finish(file, result),
        }
    }

    fn drive_reads(&mut self, slot: &Slot, file: &mut OpenFile<B::File>) {
        if !file.incoming.is_active() {
            return;
        }
        file.incoming.handle_consumed(slot);
        self.reclaim_for_reader(file);
        loop {
            match file.poll_read(&self.shared.pool) {
                Ok(Some((purpose, op))) => {
                    file.busy += 1;
                    self.submit(file.fd.index(), purpose, op);
                }
                Ok(None) => return,
                Err(NoMemory) => {
                    // Only a file with a pending read queues for memory. Many files are read once
                    // and stay open: with those in the queue each turn would drive them all.
                    if slot.has_interest(Interest::DATA) {
                        self.enqueue_reader(file);
                    }
                    return;
                }
            }
        }
    }

    /// Frees the slot of a file that is closed, and emits the result.
    fn finish(&mut self, file: &mut OpenFile<B::File>, result: Result<(), Errno>) {
        self.files[file.fd.index() as usize] = None;
        self.live -= 1;
        self.forget_sizes(file.fd);
        self.retries.remove(file.fd);
        let shared = Arc::clone(&self.shared);
        if let Some(slot) = shared.table.get(file.fd.index()) {
            slot.waiters.clear(&mut self.outbox.wakers);
            let is_reported = file.close_sender.has_waker();
            self.note_loss(slot, file, result, is_reported);
            self.shared.counters.reads_served.add(slot.clear());
        }
        self.shared.table.release(file.fd.index());
        let waker = std::mem::take(&mut file.close_sender).send(result);
        self.outbox.wakers.extend(waker);
        trace::closed(file.fd, result.err());
        self.emit(file, EventKind::Closed { result });
    }

    fn submit(&mut self, index: u32, purpose: Purpose, op: Op<B::File>) {
        if matches!(
            purpose,
            Purpose::Read(_) | Purpose::Write | Purpose::Sync | Purpose::Positional(_)
        ) {
            self.shared.counters.ops.add(1);
        }
        let request = Request {
            id: memory::grow(&mut self.ops).insert((index, purpose)),
            op,
        };
        memory::grow(&mut self.backlog).push_back(request);
        self.submit_backlog();
    }

    fn submit_backlog(&mut self) {
        while let Some(request) = self.backlog.pop_front() {
            if let Err(refused) = self.backend.submit(request) {
                self.backlog.push_front(refused);
                return;
            }
        }
    }

    /// Runs `act` with the file at `index`, if one is open there. The file is out of the table
    /// meanwhile, so that `act` can borrow both the file and the driver.
    fn with_file(
        &mut self,
        index: u32,
        act: impl FnOnce(&mut Self, &Slot, &mut OpenFile<B::File>),
    ) {
        let Some(mut file) = self.files.get_mut(index as usize).and_then(Option::take) else {
            return;
        };
        let shared = Arc::clone(&self.shared);
        let Some(slot) = shared.table.get(index) else {
            unreachable!("a file has a slot")
        };
        let live = self.live;
        act(self, slot, &mut file);
        if self.live == live {
            self.files[index as usize] = Some(file);
        }
    }

    /// Sets the file's interval timer, unless it is set.
    fn set_timer(&mut self, file: &mut OpenFile<B::File>) {
        if !file.timed {
            file.timed = true;
            // An interval too long for the clock never passes.
            let interval = self.shared.config.flush_interval;
            let due = self.now.saturating_add(interval);
            memory::grow(&mut self.timers).push_back((due, file.fd));
        }
    }

    /// Attempts to stop the interval timer of a file with nothing to flush, and parks the file if
    /// it can. Returns `false`, and the timer goes on, when a caller holds the file's lock or wrote
    /// more. The next write requests the timer again (`DIRTY`).
    fn stop_watching(&mut self, slot: &Slot, file: &mut OpenFile<B::File>) -> bool {
        let Ok(mut caller) = slot.caller.try_acquire(DRIVER) else {
            return false;
        };
        if caller.generation != file.fd.generation() {
            // Closed: the driver handles the close next.
            return true;
        }
        let clean = slot.marks.accepted() == slot.marks.written() || slot.failure().is_some();
        caller.set_watched(!clean);
        if clean {
            // The open page returns to the pool: the next write starts with a small one again.
            caller.seal();
            caller.order = 0;
        }
        if clean && file.may_park() {
            let wasted = file.park(slot, &mut caller);
            self.shared.counters.read_ahead_wasted.add(wasted);
            slot.count(wasted, |stats| &mut stats.read_ahead_wasted);
        }
        clean
    }
}
