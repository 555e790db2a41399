//! Completions: what a completed op means for its file.

use super::ops::Purpose;
use super::{Driven, Driver};
use crate::backend::Backend;
use crate::error::{Errno, Failure};
use crate::event::EventKind;
use crate::fd::{DRIVER, Interest, OpenState};
use crate::op::{Completion, NameSync, Outcome};
use crate::page::Block;
use crate::stats::NameState;
use crate::trace;

impl<B: Backend> Driver<B> {
    pub(super) fn reap(&mut self) -> bool {
        let mut completions = std::mem::take(&mut self.io.completions);
        self.io.backend.reap(&mut completions);
        let any = !completions.is_empty();
        for completion in completions.drain(..) {
            self.complete(completion);
        }
        self.io.completions = completions;
        any
    }

    fn complete(&mut self, completion: Completion<B::File>) {
        let Some((fd, purpose)) = self.io.ops.remove(completion.id) else {
            self.io.shared.counters.driver.stray_completions.add(1);
            return;
        };
        self.with_file(fd, |driven| {
            driven.handle_completion(purpose, completion.outcome, completion.block);
        });
    }
}

impl<B: Backend> Driven<'_, B> {
    fn handle_completion(
        &mut self,
        purpose: Purpose,
        mut outcome: Outcome<B::File>,
        block: Option<Block>,
    ) {
        let (fd, now) = (self.file.fd(), self.io.now);
        self.file.handle_completed();
        match &outcome {
            Outcome::NotYet(_) => {}
            // The plan submits the op again after the pause.
            Outcome::Failed(errno) if errno.is_transient() => self.io.retries.handle_error(fd, now),
            _ => self.io.retries.handle_success(fd),
        }
        if let Outcome::Failed(errno) = &mut outcome {
            let has_memory = block.is_some() || purpose == Purpose::Write;
            if has_memory && self.fell_back(purpose, *errno) {
                // The plan submits the op again.
                *errno = Errno(libc::EAGAIN);
            }
        }
        match purpose {
            Purpose::Open => self.on_open(outcome),
            Purpose::Read(number) => self.on_read(number, outcome, block),
            Purpose::Positional(key) => self.on_positional(key, outcome, block),
            Purpose::Empty => self.on_empty(outcome),
            Purpose::Discard => {}
            Purpose::Size(key) => self.on_size(key, outcome),
            Purpose::Write => self.on_write(outcome),
            Purpose::Sync => self.on_sync(outcome),
            Purpose::Close => {
                let result = outcome.transferred().map_err(Errno::as_failure);
                self.file.life().handle_kernel_closed(result);
            }
        }
        self.drive();
    }

    fn on_read(&mut self, number: u64, outcome: Outcome<B::File>, block: Option<Block>) {
        let result = outcome.transferred();
        let (slot, incoming) = (self.slot, self.file.incoming());
        let Some(block) = block else {
            // The memory was lost with its op (F54); an error without memory ends the run.
            let errno = result.err().unwrap_or(Errno(libc::EIO));
            incoming.handle_lost(slot, errno);
            return self.notify_reader();
        };
        if let Some(cache_mode) = incoming.cache_mode_of(number) {
            let bytes = result.unwrap_or(0) as u64;
            self.io.shared.counters.read.add(cache_mode, bytes);
            slot.count(bytes, |stats| stats.read.of(cache_mode));
        }
        let has_data = incoming.handle_read(slot, number, block, result);
        if incoming.is_over() {
            // The timer parks the file once its bytes are consumed.
            self.set_timer();
        }
        if has_data {
            self.list_reader();
            self.notify_reader();
        }
    }

    fn on_write(&mut self, outcome: Outcome<B::File>) {
        let cache_mode = self.file.write().cache_mode_in_flight();
        let result = match outcome.transferred() {
            Ok(n) => {
                if let Some(cache_mode) = cache_mode {
                    self.io.shared.counters.written.add(cache_mode, n as u64);
                    self.slot
                        .count(n as u64, |stats| stats.written.of(cache_mode));
                }
                self.file.handle_written(n)
            }
            Err(errno) => self.file.write().handle_write_error(errno),
        };
        self.slot.marks.set_written(self.file.written());
        self.apply_write_error(result);
        if self.slot.failure().is_some() {
            let mut caller = self.slot.caller.acquire(DRIVER);
            self.file.hand_over_unwritten(self.slot, &mut caller);
        }
        self.on_room_freed();
        // A `take_unwritten` that waited for this write is notified as well.
        self.notify_flusher();
        self.answer_sizes();
    }

    fn on_sync(&mut self, outcome: Outcome<B::File>) {
        // The bytes are durable whatever the sync did for the name of a new file.
        let name_pending = match outcome {
            Outcome::Failed(errno) => {
                let result = self.file.write().handle_sync_error(errno.as_failure());
                return self.apply_write_error(result);
            }
            Outcome::Synced(NameSync::Unknown(errno)) => {
                self.io.shared.counters.names_unknown.add(1);
                self.slot.set_name(NameState::Unknown(errno));
                false
            }
            Outcome::Synced(NameSync::Durable) => {
                self.slot.set_name(NameState::Durable);
                false
            }
            outcome => matches!(outcome, Outcome::Synced(NameSync::NotYet)),
        };
        let (upto, is_asked) = self.file.write().handle_synced(name_pending);
        self.set_timer();
        self.slot.marks.set_durable(upto);
        self.file.answer_syncs(self.slot);
        self.io.shared.counters.syncs.add(1);
        // No `Synced` after `Failed`, though the mark itself is true; and none for the sync of a
        // close, which has an event of its own.
        if self.slot.failure().is_none() && is_asked {
            self.emit(EventKind::Synced { upto });
            self.notify(Interest::SYNCED, None);
        }
    }

    /// Returns whether the kernel refused the cache mode of the op with `errno`. If so, the file
    /// goes on without that mode (F28). Ops that were refused together count once.
    fn fell_back(&mut self, purpose: Purpose, errno: Errno) -> bool {
        let (file, slot) = (&mut *self.file, self.slot);
        let before = file.io_caps();
        let is_refused = file.refuse_mode_of(purpose, errno);
        if file.io_caps() != before {
            self.io.shared.counters.fallbacks.add(1);
            slot.count(1, |stats| &mut stats.fallbacks);
            slot.set_mode_status(
                slot.mode_status()
                    .with(file.io_caps(), file.write().appends()),
            );
            trace::fell_back(file.fd());
        }
        is_refused
    }

    /// Fails the file, if a plan says that its open, a write or a sync has failed for good, and
    /// hands the unwritten bytes over to the caller.
    pub fn apply_write_error(&mut self, result: Result<(), Failure>) {
        let Err(mut failure) = result else { return };
        if self.slot.failure().is_some() {
            return;
        }
        // The lock, so that the driver sees every byte that a call accepted. A caller holds it for
        // no longer than a memcpy.
        let mut caller = self.slot.caller.acquire(DRIVER);
        self.file.take_positional(self.slot);
        // What was accepted after the failed write is lost too, and its offset may be lower.
        let pending = self.file.lowest_pending(self.slot);
        failure.offset = pending.map_or(failure.offset, |low| low.min(failure.offset));
        self.slot.fail(failure);
        self.file.hand_over_unwritten(self.slot, &mut caller);
        drop(caller);
        self.file.life().handle_error(failure.errno);
        if !self.file.life().is_serving() {
            self.slot.set_open_state(OpenState::Refused);
        }
        trace::failed(self.file.fd(), &failure);
        self.emit(EventKind::Failed(failure));
        self.on_failure_emitted();
        self.notify_all();
        self.answer_sizes();
    }
}
