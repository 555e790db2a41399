//! What the driver does with one file, on the requests of its callers, by its timer, and after each
//! completion.

use super::Driven;
use super::incoming::NoMemory;
use super::lists::List;
use super::ops::Purpose;
use crate::backend::Backend;
use crate::error::Errno;
use crate::event::EventKind;
use crate::fd::{DRIVER, Interest, Requests};
use crate::memory;
use crate::op::{Op, Request};
use crate::plan::Step;
use crate::trace;

impl<B: Backend> Driven<'_, B> {
    /// Handles the requests of the callers.
    pub fn handle_requests(&mut self, bits: Requests) {
        let slot = self.slot;
        if bits.intersects(Requests::POSITIONAL) {
            self.file.take_positional(slot);
        }
        // The timer parks a file that is not read or written until it fires.
        let reads = bits.intersects(Requests::CONSUMED) && self.file.incoming().is_active();
        if bits.intersects(Requests::DIRTY) || reads {
            self.set_timer();
        }
        if bits.intersects(Requests::FLUSH) {
            self.io.shared.counters.flushes_asked.add(1);
            self.file.write().flush(slot.marks.accepted());
            self.notify_flusher();
        }
        if bits.intersects(Requests::SYNC) {
            self.io.shared.counters.flushes_sync.add(1);
            self.file.handle_syncs(slot);
        }
        if bits.intersects(Requests::WANT_DATA.union(Requests::WANT_MORE)) {
            self.on_want_data();
        }
        if bits.intersects(Requests::WANT_ROOM.union(Requests::WANT_SHARE)) {
            self.on_want_room();
        }
        if bits.intersects(Requests::CLOSE.union(Requests::CLOSE_SYNC)) {
            let accepted = slot.marks.accepted();
            // The tasks that wait for the file find that it is closed.
            self.take_waiters(Interest::ALL, u64::MAX);
            self.file.life().handle_close();
            self.file.incoming().handle_close();
            let has_backlog = u64::from(self.file.backlog(slot) > 0);
            self.io.shared.counters.flushes_close.add(has_backlog);
            self.file.write().flush(accepted);
            if bits.intersects(Requests::CLOSE_SYNC) {
                self.file.write().sync_silently(accepted);
            }
            self.on_close();
        }
        self.drive();
    }

    /// Flushes the file: its interval has passed.
    pub fn on_timer(&mut self) {
        let slot = self.slot;
        self.file.lists().leave(List::Timers);
        let has_backlog = slot.failure().is_none() && self.file.backlog(slot) > 0;
        if has_backlog || !self.stop_watching() {
            let accepted = slot.marks.accepted();
            // A backlog that is due already is no new flush: it is only not written yet.
            let flushes = u64::from(has_backlog && self.file.write().due() < accepted);
            self.io.shared.counters.flushes_interval.add(flushes);
            self.file.write().flush(accepted);
            self.set_timer();
        }
        self.drive();
    }

    /// Handles a read that found no data: starts the run that it asks for, or extends the window of
    /// the current one.
    fn on_want_data(&mut self) {
        let (epoch, from, after) = self.slot.requested_run();
        if epoch != self.file.incoming().epoch() {
            let (limits, run) = (self.io.limits.read, (epoch, from, after));
            let wasted = (self.file.incoming()).start(self.slot, limits, run, self.io.now);
            self.io.shared.counters.read_ahead_wasted.add(wasted);
            self.slot
                .count(wasted, |stats| &mut stats.read_ahead_wasted);
            let has_backlog = u64::from(self.file.written() < after);
            self.io.shared.counters.flushes_asked.add(has_backlog);
            self.file.write().flush(after);
        } else if !self.slot.run_ended(epoch) {
            self.file.incoming().handle_demand(self.slot);
        }
        if self.slot.failure().is_some() && self.file.written() < self.file.incoming().after() {
            // The bytes that the read waits for are lost: it returns the error.
            self.notify_reader();
        }
    }

    /// Submits every op that the plans of a file have now, and closes the file once it is drained.
    pub fn drive(&mut self) {
        if self.file.life().is_serving() {
            if !self.io.retries.is_paused(self.file.fd(), self.io.now) {
                self.drive_positional();
                self.drive_writes();
                self.drive_reads();
            }
            let in_flight = self.file.incoming().in_flight();
            self.slot.set_read_in_flight(in_flight);
            self.slot
                .set_write_in_flight(self.file.write().is_write_in_flight());
        } else if let Some(failure) = self.file.write().failure() {
            // The kernel refused to open it.
            self.cancel_positional(failure.errno);
        }
        self.settle_written();
        match self.file.poll_step(self.slot) {
            Step::Wait => {}
            Step::CloseKernelFile => {
                let op = self.file.close_op();
                self.submit(Purpose::Close, op);
            }
            Step::Finish(result) => self.finish(result),
        }
    }

    fn drive_writes(&mut self) {
        loop {
            let (file, slot, limits) = (&mut *self.file, self.slot, &self.io.limits);
            let next = file.poll_sync().or_else(|| file.poll_write(slot, limits));
            let Some((purpose, op)) = next else {
                return;
            };
            let is_due = self.file.write().due() > self.file.written();
            let is_full = purpose == Purpose::Write && !is_due;
            self.io.shared.counters.flushes_full.add(u64::from(is_full));
            self.submit(purpose, op);
        }
    }

    fn drive_reads(&mut self) {
        let incoming = self.file.incoming();
        if !incoming.is_active() {
            return;
        }
        incoming.handle_consumed(self.slot);
        if !self.io.readers.idle.is_empty() && incoming.is_short(&self.io.shared.pool) {
            // The driver reclaims memory from other files, and drives this one again.
            self.io.readers.short = Some(self.file.fd());
            return;
        }
        loop {
            match self.file.poll_read(&self.io.shared.pool) {
                Ok(Some((purpose, op))) => self.submit(purpose, op),
                Ok(None) => return,
                Err(NoMemory) => {
                    // Only a file with a pending read queues for memory. Many files are read once
                    // and stay open: with those in the queue each turn would drive them all.
                    if self.slot.has_interest(Interest::DATA) {
                        self.enqueue_reader();
                    }
                    return;
                }
            }
        }
    }

    /// Frees the slot of a file that is closed, and emits the result. The file leaves the table
    /// next.
    fn finish(&mut self, result: Result<(), Errno>) {
        let fd = self.file.fd();
        self.io.forget_sizes(fd);
        self.io.retries.remove(fd);
        self.take_waiters(Interest::ALL, u64::MAX);
        let sender = std::mem::take(self.file.close_sender());
        self.note_loss(result, sender.has_waker());
        self.io.shared.counters.reads_served.add(self.slot.clear());
        self.io.shared.table.release(fd.index());
        self.io.outbox.wakers.extend(sender.send(result));
        trace::closed(fd, result.err());
        self.emit(EventKind::Closed { result });
    }

    /// Submits an op of the file.
    pub fn submit(&mut self, purpose: Purpose, op: Op<B::File>) {
        if matches!(
            purpose,
            Purpose::Read(_) | Purpose::Write | Purpose::Sync | Purpose::Positional(_)
        ) {
            self.io.shared.counters.ops.add(1);
        }
        self.file.handle_submitted();
        let id = memory::grow(&mut self.io.ops).insert((self.file.fd(), purpose));
        memory::grow(&mut self.io.backlog).push_back(Request { id, op });
        self.io.submit_backlog();
    }

    /// Sets the file's interval timer, unless it is set.
    pub fn set_timer(&mut self) {
        if self.file.lists().enter(List::Timers) {
            // An interval too long for the clock never passes.
            let interval = self.io.shared.config.flush_interval;
            let due = self.io.now.saturating_add(interval);
            memory::grow(&mut self.io.timers).push_back((due, self.file.fd()));
        }
    }

    /// Attempts to stop the interval timer of a file with nothing to flush, and parks the file if
    /// it can. Returns `false`, and the timer goes on, when a caller holds the file's lock or wrote
    /// more. The next write requests the timer again (`DIRTY`).
    fn stop_watching(&mut self) -> bool {
        let slot = self.slot;
        let Ok(mut caller) = slot.caller.try_acquire(DRIVER) else {
            return false;
        };
        if caller.generation != self.file.fd().generation() {
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
        if clean && self.file.may_park() {
            let wasted = self.file.park(slot, &mut caller);
            self.io.shared.counters.read_ahead_wasted.add(wasted);
            slot.count(wasted, |stats| &mut stats.read_ahead_wasted);
        }
        clean
    }
}
