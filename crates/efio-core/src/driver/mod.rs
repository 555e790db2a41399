//! The driver: one thread, one loop, one step of which is [`Driver::turn`].
//!
//! ```text
//!  attention queue ─┐
//!  interval timers ─┼─► the file's plans ──► ops ──► backend
//!  completions ─────┘          │
//!                              └──────────► events
//! ```
//!
//! A turn never waits and reads no clock: time comes in as `now`, so that a simulation can drive
//! it with a disk and a time of its own.

mod file;
mod ops;
mod shutdown;

pub use shutdown::Report;

use crate::backend::Backend;
use crate::error::Errno;
use crate::event::EventKind;
use crate::fd::{Attention, DRIVER, Fd, OpenState, Slot, Waiting};
use crate::op::{Completion, Op, Outcome, Request, Route};
use crate::plan::{Step, Verdict};
use crate::shared::{Command, OpenCommand, Shared};
use file::OpenFile;
use ops::{OpTable, Purpose};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// The driver of an engine over backend `B`.
pub struct Driver<B: Backend> {
    shared: Arc<Shared>,
    backend: B,
    /// Open files by slot.
    files: Vec<Option<Box<OpenFile<B::File>>>>,
    live: usize,
    ops: OpTable,
    /// Requests that the backend had no room for.
    backlog: VecDeque<Request<B::File>>,
    /// When to flush which file; in order, for the interval is the same for all.
    timers: VecDeque<(Duration, Fd)>,
    /// Files that wait for memory.
    starved: VecDeque<Fd>,
    completions: Vec<Completion<B::File>>,
    now: Duration,
    /// Set by a shutdown: when to give up.
    deadline: Option<Duration>,
}

impl<B: Backend> Driver<B> {
    /// A driver with no files.
    pub fn new(shared: Arc<Shared>, backend: B) -> Self {
        Self {
            shared,
            backend,
            files: Vec::new(),
            live: 0,
            ops: OpTable::default(),
            backlog: VecDeque::new(),
            timers: VecDeque::new(),
            starved: VecDeque::new(),
            completions: Vec::new(),
            now: Duration::ZERO,
            deadline: None,
        }
    }

    /// One step: looks at what callers and the backend have to say, and acts on it. `now` is the
    /// time since some fixed moment. Returns whether there may be more to do at once.
    pub fn turn(&mut self, now: Duration) -> bool {
        self.now = now;
        self.shared.counters.turns.add(1);
        let heard = self.hear_callers();
        self.fire_timers();
        let reaped = self.reap();
        self.submit_backlog();
        if self.live > 0 {
            self.shared.pool.keep_ready();
        }
        self.feed_starved();
        heard || reaped
    }

    /// Sleeps until something happens or a timer is due.
    pub fn wait(&mut self) {
        let due = self.timers.front().map(|&(due, _)| due);
        let next = due.into_iter().chain(self.deadline).min();
        self.backend
            .wait(next.map(|next| next.saturating_sub(self.now)));
    }

    /// The backend, for whoever drives the turns.
    pub fn backend_mut(&mut self) -> &mut B {
        &mut self.backend
    }

    fn hear_callers(&mut self) -> bool {
        let mut heard = false;
        while let Some(command) = self.shared.attention.pop() {
            heard = true;
            match command {
                Command::Attend(index) => self.attend(index),
                Command::Open(command) => self.open(*command),
                Command::Shutdown(patience) => self.begin_shutdown(patience),
            }
        }
        heard
    }

    fn open(&mut self, command: OpenCommand) {
        let OpenCommand {
            fd,
            spec,
            writes,
            reads,
            prefetch,
        } = command;
        let index = fd.index() as usize;
        if self.files.len() <= index {
            self.files.resize_with(index + 1, || None);
        }
        let mut file = OpenFile::new(fd, &spec, writes, reads, &self.shared.config);
        if prefetch {
            file.read.start(1, 0);
        }
        self.files[index] = Some(Box::new(file));
        self.live += 1;
        self.submit(fd.index(), Purpose::Open, Op::Open(Box::new(spec)));
        if self.deadline.is_some() {
            self.close_for_shutdown(fd);
        }
    }

    /// Looks at why a file wants attention.
    fn attend(&mut self, index: u32) {
        self.with_file(index, |driver, slot, file| {
            let bits = slot.take_attention();
            if bits.has(Attention::DIRTY) && !file.timed {
                file.timed = true;
                driver
                    .timers
                    .push_back((driver.now + driver.shared.config.flush_interval, file.fd));
            }
            if bits.has(Attention::FLUSH) {
                file.write.flush(slot.marks.accepted());
                driver.notify_flusher(slot, file);
            }
            if bits.has(Attention::SYNC) {
                file.write.sync(slot.requested_sync());
            }
            if bits.has(Attention::WANT_DATA) {
                driver.want_data(slot, file);
            }
            if bits.has(Attention::WANT_ROOM) {
                driver.starve(file);
            }
            if bits.has(Attention::CLOSE.and(Attention::CLOSE_SYNC)) {
                let accepted = slot.marks.accepted();
                // The caller's ends are gone, and with this the last other user of the file.
                slot.offer_read_now(None);
                file.life.ask_close();
                file.stop_reading();
                file.write.flush(accepted);
                if bits.has(Attention::CLOSE_SYNC) {
                    file.write.sync(accepted);
                }
            }
            driver.pump(slot, file);
        });
    }

    /// A read found nothing: begin the run it asks for, or go on with it.
    fn want_data(&self, slot: &Slot, file: &mut OpenFile<B::File>) {
        let (epoch, from, after) = slot.requested_run();
        if epoch != file.read.epoch() {
            self.shared
                .counters
                .read_ahead_wasted
                .add(file.read.unconsumed());
            file.read.start(epoch, from);
            file.read_after = after;
            file.write.flush(after);
        } else if !slot.run_ended(epoch) {
            file.read.consumed(slot.consumed());
            file.read.wanted();
        }
        if slot.failure().is_some() && file.write.written() < file.read_after {
            // What the read waits for will not come: it gets the error.
            self.notify_reader(slot, file.fd);
        }
    }

    /// Flushes the files whose interval is over.
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
                let owes = slot.failure().is_none() && file.backlog(slot) > 0;
                if owes || !stop_watching(slot, fd) {
                    driver.shared.counters.interval_flushes.add(1);
                    file.write.flush(slot.marks.accepted());
                    file.timed = true;
                    let due = driver.now + driver.shared.config.flush_interval;
                    driver.timers.push_back((due, fd));
                }
                driver.pump(slot, file);
            });
        }
    }

    /// Does all that the plans of a file ask for now.
    fn pump(&mut self, slot: &Slot, file: &mut OpenFile<B::File>) {
        let index = file.fd.index();
        if file.life.is_serving() {
            while let Some((purpose, op)) = file.next_write(slot).or_else(|| file.next_sync()) {
                file.busy += 1;
                self.submit(index, purpose, op);
            }
            self.pump_reads(slot, file);
        }
        let accepted = slot.marks.accepted();
        match file
            .life
            .step(file.write.is_drained(accepted), file.busy > 0)
        {
            Step::Wait => {}
            Step::CloseKernelFile => {
                let kernel = file.kernel.take().and_then(Arc::into_inner);
                let kernel =
                    kernel.expect("no op is in flight, so nobody shares the kernel's file");
                file.busy += 1;
                self.submit(index, Purpose::Close, Op::Close(kernel));
            }
            Step::Finish(result) => self.finish(file, result),
        }
    }

    fn pump_reads(&mut self, slot: &Slot, file: &mut OpenFile<B::File>) {
        file.read.consumed(slot.consumed());
        loop {
            match file.next_fetch(&self.shared.pool) {
                Ok(Some((purpose, op))) => {
                    file.busy += 1;
                    self.submit(file.fd.index(), purpose, op);
                }
                Ok(None) => return,
                Err(file::Starved) => return self.starve(file),
            }
        }
    }

    /// The file is closed: frees its slot and says so.
    fn finish(&mut self, file: &mut OpenFile<B::File>, result: Result<(), Errno>) {
        self.files[file.fd.index() as usize] = None;
        self.live -= 1;
        self.shared.table.release(file.fd.index());
        self.shared.emit(
            file.fd,
            EventKind::Closed {
                error: result.err(),
            },
        );
    }

    fn submit(&mut self, index: u32, purpose: Purpose, op: Op<B::File>) {
        if matches!(purpose, Purpose::Fetch(_) | Purpose::Write | Purpose::Sync) {
            self.shared.counters.ops.add(1);
        }
        let request = Request {
            id: self.ops.insert(index, purpose),
            op,
        };
        self.backlog.push_back(request);
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

    fn reap(&mut self) -> bool {
        let mut completions = std::mem::take(&mut self.completions);
        self.backend.reap(&mut completions);
        let any = !completions.is_empty();
        for completion in completions.drain(..) {
            self.complete(completion);
        }
        self.completions = completions;
        any
    }

    fn complete(&mut self, completion: Completion<B::File>) {
        let Completion { id, outcome, block } = completion;
        let Some((index, purpose)) = self.ops.remove(id) else {
            self.shared.counters.stray_completions.add(1);
            return;
        };
        self.with_file(index, |driver, slot, file| {
            file.busy -= u32::from(purpose != Purpose::Open);
            match (purpose, outcome) {
                (Purpose::Open, outcome) => driver.opened(slot, file, outcome),
                (Purpose::Fetch(number), outcome) => {
                    driver.fetched(slot, file, number, outcome, block);
                }
                (Purpose::Write, outcome) => driver.wrote(slot, file, outcome),
                (Purpose::Sync, outcome) => driver.synced(slot, file, outcome),
                (Purpose::Close, outcome) => {
                    let result = match outcome {
                        Outcome::Failed(errno) => Err(errno),
                        _ => Ok(()),
                    };
                    if let Step::Finish(result) = file.life.kernel_closed(result) {
                        driver.finish(file, result);
                    }
                    return;
                }
            }
            driver.pump(slot, file);
        });
    }

    fn opened(&mut self, slot: &Slot, file: &mut OpenFile<B::File>, outcome: Outcome<B::File>) {
        match outcome {
            Outcome::Opened(kernel, facts) => {
                self.shared
                    .counters
                    .fallbacks
                    .add(u64::from(facts.fell_back));
                file.opened(kernel, facts);
                if let Some(kernel) = file.cached_kernel() {
                    slot.offer_read_now(B::read_now(kernel));
                }
                slot.set_open_state(OpenState::Open);
                self.shared.emit(file.fd, EventKind::Opened);
            }
            Outcome::Failed(errno) => {
                let failure = file.write.refused(errno);
                file.life.refused(errno);
                slot.poison(failure);
                slot.set_open_state(OpenState::Refused);
                self.shared.emit(file.fd, EventKind::Failed(failure));
                self.notify_all(slot, file.fd);
            }
            Outcome::Done(_) => unreachable!("an open gives a file or an error"),
        }
    }

    fn fetched(
        &mut self,
        slot: &Slot,
        file: &mut OpenFile<B::File>,
        number: u64,
        outcome: Outcome<B::File>,
        block: Option<crate::page::Block>,
    ) {
        let result = match outcome {
            Outcome::Done(n) => Ok(n),
            Outcome::Failed(errno) => Err(errno),
            Outcome::Opened(..) => unreachable!("a read opens nothing"),
        };
        let Some(block) = block else {
            // The memory was lost with its op (F54); an error without memory ends the run.
            slot.end_run(
                file.read.epoch(),
                Err(result.err().unwrap_or(Errno(libc::EIO))),
            );
            file.read.stop();
            return self.notify_reader(slot, file.fd);
        };
        if let Some(route) = file.read.route_of(number) {
            let counters = &self.shared.counters;
            let bytes = result.unwrap_or(0) as u64;
            match route {
                Route::Direct => counters.read_direct.add(bytes),
                Route::Uncached | Route::Cached => counters.read_buffered.add(bytes),
            }
        }
        // Memory of a run that was given up goes back to the pool here.
        drop(file.read.arrived(number, block, result));
        let delivered = file.deliver(slot);
        self.shared.counters.fallbacks.add(delivered.fallbacks);
        if delivered.news {
            self.notify_reader(slot, file.fd);
        }
    }

    fn wrote(&mut self, slot: &Slot, file: &mut OpenFile<B::File>, outcome: Outcome<B::File>) {
        let route = file.write.route_in_flight();
        let verdict = match outcome {
            Outcome::Done(n) => {
                let counters = &self.shared.counters;
                match route {
                    Some(Route::Direct) => counters.written_direct.add(n as u64),
                    _ => counters.written_buffered.add(n as u64),
                }
                file.wrote(n);
                file.write.write_done(n as u64)
            }
            Outcome::Failed(errno) => file.write.write_failed(errno),
            Outcome::Opened(..) => unreachable!("a write opens nothing"),
        };
        slot.marks.set_written(file.write.written());
        self.judge(slot, file, verdict);
        self.notify_writer(slot, file);
        self.notify_flusher(slot, file);
    }

    fn synced(&mut self, slot: &Slot, file: &mut OpenFile<B::File>, outcome: Outcome<B::File>) {
        match outcome {
            Outcome::Failed(errno) => {
                let verdict = file.write.sync_failed(errno);
                self.judge(slot, file, verdict);
            }
            _ => {
                let upto = file.write.sync_done();
                slot.marks.set_durable(upto);
                self.shared.counters.syncs.add(1);
                // After `Failed` no success is told any more; the mark itself is true.
                if slot.failure().is_none() {
                    self.shared.emit(file.fd, EventKind::Synced { upto });
                }
            }
        }
    }

    /// Acts on what an error means for the file.
    fn judge(&mut self, slot: &Slot, file: &mut OpenFile<B::File>, verdict: Verdict) {
        match verdict {
            Verdict::Retry => {}
            Verdict::FellBack => self.shared.counters.fallbacks.add(1),
            Verdict::Failed(mut failure) => {
                if slot.failure().is_none() {
                    // What waits behind the failed write is lost as well, and may lie before it.
                    let pending = file.lowest_pending(slot.marks.accepted());
                    failure.offset = pending.map_or(failure.offset, |low| low.min(failure.offset));
                    slot.poison(failure);
                    file.life.failed(failure.errno);
                    self.shared.emit(file.fd, EventKind::Failed(failure));
                    self.notify_all(slot, file.fd);
                }
            }
        }
    }

    fn notify_reader(&self, slot: &Slot, fd: Fd) {
        if slot.take_waiting(Waiting::DATA) {
            self.shared.emit(fd, EventKind::Readable);
        }
    }

    /// Room in the file's share was freed: half of it has to be free before a writer is told, so
    /// that it does not come back for a few bytes at a time.
    fn notify_writer(&self, slot: &Slot, file: &OpenFile<B::File>) {
        let share = self.shared.config.write_behind() as u64;
        let roomy = file.backlog(slot) <= share / 2 && self.shared.pool.has_room();
        if roomy && slot.take_waiting(Waiting::ROOM) {
            self.shared.emit(file.fd, EventKind::Writable);
        }
    }

    /// Everything accepted is written: who waits for that is told.
    fn notify_flusher(&self, slot: &Slot, file: &OpenFile<B::File>) {
        if file.backlog(slot) == 0 && slot.take_waiting(Waiting::FLUSHED) {
            self.shared.emit(file.fd, EventKind::Writable);
        }
    }

    /// Whoever waits for the file gets its error now.
    fn notify_all(&self, slot: &Slot, fd: Fd) {
        self.notify_reader(slot, fd);
        if slot.take_waiting(Waiting::ROOM.and(Waiting::FLUSHED)) {
            self.shared.emit(fd, EventKind::Writable);
        }
    }

    /// Puts a file on the list of those that wait for memory.
    fn starve(&mut self, file: &mut OpenFile<B::File>) {
        if !file.starved {
            file.starved = true;
            self.starved.push_back(file.fd);
        }
    }

    /// Lets the files that wait for memory try again, each once, in order.
    fn feed_starved(&mut self) {
        if self.starved.is_empty() {
            return;
        }
        self.shared.pool.keep_ready();
        for _ in 0..self.starved.len() {
            let Some(fd) = self.starved.pop_front() else {
                return;
            };
            self.with_file(fd.index(), |driver, slot, file| {
                if file.fd != fd {
                    return;
                }
                file.starved = false;
                driver.notify_writer(slot, file);
                driver.pump(slot, file);
            });
        }
    }

    /// Runs `act` with the file at `index`, if one is open there, taken out of the table so that
    /// the driver can be used beside it.
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
}

/// Nothing is left to flush: takes the file off the timers, unless a caller has it right now or
/// wrote more. The next write will say so again (`DIRTY`). Whether that was done.
fn stop_watching(slot: &Slot, fd: Fd) -> bool {
    let Ok(mut ends) = slot.ends.try_acquire(DRIVER) else {
        return false;
    };
    if ends.generation != fd.generation() {
        // Closed: the close brings the driver back.
        return true;
    }
    let clean = slot.marks.accepted() == slot.marks.written() || slot.failure().is_some();
    ends.watched = !clean;
    clean
}
