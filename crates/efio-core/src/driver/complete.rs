//! Completions: what a completed op means for its file.

use super::Driver;
use super::file::OpenFile;
use super::ops::Purpose;
use crate::backend::Backend;
use crate::error::{Errno, Failure};
use crate::event::EventKind;
use crate::fd::{CallerState, DRIVER, Interest, Slot};
use crate::op::{Completion, NameSync, Outcome};
use crate::page::Block;
use crate::plan::Step;
use crate::stats::NameState;
use crate::trace;
use efio_sync::CasCellGuard;

impl<B: Backend> Driver<B> {
    pub(super) fn reap(&mut self) -> bool {
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
        let Completion {
            id,
            mut outcome,
            block,
        } = completion;
        let Some((index, purpose)) = self.ops.remove(id) else {
            self.shared.counters.driver.stray_completions.add(1);
            return;
        };
        self.with_file(index, |driver, slot, file| {
            file.busy -= u32::from(purpose != Purpose::Open);
            driver.note_retry(file, purpose, &outcome);
            if let Outcome::Failed(errno) = &mut outcome {
                let has_memory = block.is_some() || purpose == Purpose::Write;
                if has_memory && driver.fell_back(slot, file, purpose, *errno) {
                    // The plan submits the op again.
                    *errno = Errno(libc::EAGAIN);
                }
            }
            match (purpose, outcome) {
                (Purpose::Open, outcome) => driver.on_open(slot, file, outcome),
                (Purpose::Read(number), outcome) => {
                    driver.on_read(slot, file, number, outcome, block);
                }
                (Purpose::Positional(key), outcome) => {
                    driver.on_positional(slot, file, key, outcome, block)
                }
                (Purpose::Empty, outcome) => driver.on_empty(slot, file, outcome),
                (Purpose::Discard, _) => {}
                (Purpose::Size(key), outcome) => driver.on_size(slot, file, key, outcome),
                (Purpose::Write, outcome) => driver.on_write(slot, file, outcome),
                (Purpose::Sync, outcome) => driver.on_sync(slot, file, outcome),
                (Purpose::Close, outcome) => {
                    let result = match outcome {
                        Outcome::Failed(errno) => Err(errno.as_failure()),
                        _ => Ok(()),
                    };
                    if let Step::Finish(result) = file.life.handle_kernel_closed(result) {
                        driver.finish(file, result);
                    }
                    return;
                }
            }
            driver.drive(slot, file);
        });
    }

    /// Pauses the file after a transient error. The plan submits the op again after the pause.
    fn note_retry(
        &mut self,
        file: &OpenFile<B::File>,
        purpose: Purpose,
        outcome: &Outcome<B::File>,
    ) {
        match (purpose, outcome) {
            (_, Outcome::NotYet(_)) => {}
            (_, Outcome::Failed(errno)) if errno.is_transient() => self.pause(file.fd),
            _ => self.retries.reset(file.fd),
        }
    }

    fn on_read(
        &mut self,
        slot: &Slot,
        file: &mut OpenFile<B::File>,
        number: u64,
        outcome: Outcome<B::File>,
        block: Option<Block>,
    ) {
        let result = outcome.transferred();
        let Some(block) = block else {
            // The memory was lost with its op (F54); an error without memory ends the run.
            let errno = result.err().unwrap_or(Errno(libc::EIO));
            file.incoming.handle_lost(slot, errno);
            return self.notify_reader(slot, file);
        };
        if let Some(cache_mode) = file.incoming.cache_mode_of(number) {
            let bytes = result.unwrap_or(0) as u64;
            self.shared.counters.read.add(cache_mode, bytes);
            slot.count(bytes, |stats| stats.read.of(cache_mode));
        }
        let has_data = file.incoming.handle_read(slot, number, block, result);
        if file.incoming.is_over() {
            // The timer parks the file once its bytes are consumed.
            self.set_timer(file);
        }
        if has_data {
            self.list_reader(slot, file);
            self.notify_reader(slot, file);
        }
    }

    fn on_write(&mut self, slot: &Slot, file: &mut OpenFile<B::File>, outcome: Outcome<B::File>) {
        let cache_mode = file.write().cache_mode_in_flight();
        let result = match outcome {
            Outcome::Done(n) => {
                if let Some(cache_mode) = cache_mode {
                    self.shared.counters.written.add(cache_mode, n as u64);
                    slot.count(n as u64, |stats| stats.written.of(cache_mode));
                }
                file.handle_written(n)
            }
            Outcome::Failed(errno) => file.write().handle_write_error(errno),
            Outcome::Opened(..) | Outcome::Synced(_) | Outcome::NotYet(_) => {
                unreachable!("a write opens nothing")
            }
        };
        slot.marks.set_written(file.written());
        self.apply_write_error(slot, file, result);
        if slot.failure().is_some() {
            let caller = slot.caller.acquire(DRIVER);
            hand_over_unwritten(slot, file, caller);
            // A `take_unwritten` that waited for this write to complete finds the bytes now.
            self.notify_all(slot, file);
        }
        self.on_room_freed(slot, file);
        self.notify_flusher(slot, file);
        self.answer_sizes(slot, file);
    }

    fn on_sync(&mut self, slot: &Slot, file: &mut OpenFile<B::File>, outcome: Outcome<B::File>) {
        match outcome {
            Outcome::Failed(errno) => {
                let result = file.write().handle_sync_error(errno.as_failure());
                self.apply_write_error(slot, file, result);
            }
            outcome => {
                let name = match outcome {
                    Outcome::Synced(name) => Some(name),
                    _ => None,
                };
                self.name_synced(slot, name);
                let name_pending = name == Some(NameSync::NotYet);
                let (upto, is_asked) = file.write().handle_synced(name_pending);
                self.set_timer(file);
                slot.marks.set_durable(upto);
                if file.write().syncs_are_answered() {
                    slot.answer_syncs(file.syncs_seen);
                }
                self.shared.counters.syncs.add(1);
                // No `Synced` after `Failed`, though the mark itself is true; and none for the sync
                // of a close, which has an event of its own.
                if slot.failure().is_none() && is_asked {
                    self.emit(file, EventKind::Synced { upto });
                    self.notify(slot, file, Interest::SYNCED, None);
                }
            }
        }
    }

    /// Records what a sync did for the name of a new file. The bytes are durable in any case.
    fn name_synced(&self, slot: &Slot, name: Option<NameSync>) {
        match name {
            Some(NameSync::Durable) => slot.set_name(NameState::Durable),
            Some(NameSync::Unknown(errno)) => {
                self.shared.counters.names_unknown.add(1);
                slot.set_name(NameState::Unknown(errno));
            }
            Some(NameSync::NotYet) | None => {}
        }
    }

    /// Marks the file as failed, and hands the unwritten bytes over to the caller. Holds the file's
    /// lock, so that it sees every byte that a call accepted; a caller holds the lock for no longer
    /// than a memcpy.
    pub(super) fn fail(
        &mut self,
        slot: &Slot,
        file: &mut OpenFile<B::File>,
        failure: &mut Failure,
    ) {
        let caller = slot.caller.acquire(DRIVER);
        file.take_positional(slot);
        // What was accepted after the failed write is lost too, and its offset may be lower.
        let pending = file.lowest_pending(slot);
        failure.offset = pending.map_or(failure.offset, |low| low.min(failure.offset));
        slot.fail(*failure);
        hand_over_unwritten(slot, file, caller);
    }

    /// Returns whether the kernel refused the cache mode of the op with `errno`. If so, the file
    /// goes on without that mode (F28). Ops that were refused together count once.
    fn fell_back(
        &self,
        slot: &Slot,
        file: &mut OpenFile<B::File>,
        purpose: Purpose,
        errno: Errno,
    ) -> bool {
        let before = file.io_caps;
        let cache_mode = file.cache_mode_of(purpose);
        let is_refused = cache_mode.is_some_and(|mode| file.io_caps.refuse(mode, errno));
        if file.io_caps != before {
            self.shared.counters.fallbacks.add(1);
            slot.count(1, |stats| &mut stats.fallbacks);
            slot.set_mode_status(slot.mode_status().with(file.io_caps, file.appends()));
            trace::fell_back(file.fd);
        }
        is_refused
    }

    /// Fails the file, if a plan says that a write or sync has failed for good.
    pub(super) fn apply_write_error(
        &mut self,
        slot: &Slot,
        file: &mut OpenFile<B::File>,
        result: Result<(), Failure>,
    ) {
        let Err(mut failure) = result else { return };
        if slot.failure().is_none() {
            self.fail(slot, file, &mut failure);
            file.life.handle_error(failure.errno);
            trace::failed(file.fd, &failure);
            self.emit(file, EventKind::Failed(failure));
            self.on_failure_emitted(file);
            self.notify_all(slot, file);
            self.answer_sizes(slot, file);
        }
    }
}

/// Puts the unwritten bytes where the caller takes them, unless the file is closed or a write is in
/// flight.
fn hand_over_unwritten<F>(
    slot: &Slot,
    file: &mut OpenFile<F>,
    mut caller: CasCellGuard<'_, CallerState>,
) {
    if caller.generation != file.fd.generation() {
        // Closed: no call can take them any more.
        return;
    }
    caller.seal();
    if let Some(lost) = file.take_lost(slot) {
        slot.put_lost(lost);
    }
}
