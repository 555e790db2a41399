//! Positional ops between the callers, their plan and the backend.

use super::Driver;
use super::file::OpenFile;
use super::ops::Purpose;
use crate::backend::Backend;
use crate::error::Errno;
use crate::event::{Completed, EventKind};
use crate::fd::Slot;
use crate::op::{self, BlockRange, Memory, Op, Outcome};
use crate::page::{Block, Buffer};
use crate::plan::{Finished, Kind, Next, Transfer};
use crate::slot_map::Key;
use std::sync::Arc;

impl<B: Backend> Driver<B> {
    /// Submits or completes every op that the plan has now.
    pub(super) fn drive_positional(&mut self, slot: &Slot, file: &mut OpenFile<B::File>) {
        loop {
            let written = file.written();
            let failure = file.failure().map(|failure| failure.errno);
            let Some(positional) = &mut file.positional else {
                return;
            };
            let Some(next) = positional.poll_op(written, failure, file.io_caps) else {
                return;
            };
            match next {
                Next::Submit(transfer) => {
                    let Some(kernel) = file.kernel() else {
                        unreachable!("a file is served only while it is open")
                    };
                    let key = transfer.key;
                    file.busy += 1;
                    self.submit(
                        file.fd.index(),
                        Purpose::Positional(key),
                        op_of(transfer, kernel),
                    );
                }
                Next::Finish(finished) => self.finish_positional(slot, file, finished),
            }
        }
    }

    /// Completes every op that the kernel does not hold, with `errno`.
    pub(super) fn cancel_positional(&mut self, file: &mut OpenFile<B::File>, errno: Errno) {
        while let Some(finished) = file
            .positional
            .as_mut()
            .and_then(|positional| positional.cancel(errno))
        {
            self.emit_completed(file, finished);
        }
    }

    /// Completes every remaining op of the file at the shutdown deadline:
    ///
    /// | op | result | effect | buffer |
    /// |---|---|---|---|
    /// | not submitted | `ECANCELED` | none | returned |
    /// | held by the kernel | `ETIMEDOUT` | unknown | not returned |
    pub(super) fn complete_all_positional(&mut self, file: &mut OpenFile<B::File>) {
        self.cancel_positional(file, Errno(libc::ECANCELED));
        let unknown = Errno(libc::ETIMEDOUT);
        while let Some(finished) = file
            .positional
            .as_mut()
            .and_then(|positional| positional.give_up(unknown))
        {
            self.emit_completed(file, finished);
        }
    }

    /// Handles the completion of a transfer.
    pub(super) fn on_positional(
        &mut self,
        slot: &Slot,
        file: &mut OpenFile<B::File>,
        key: Key,
        outcome: Outcome<B::File>,
        block: Option<Block>,
    ) {
        let result = outcome.transferred();
        let Some(positional) = &mut file.positional else {
            unreachable!("the plan stays")
        };
        let (kind, cache_mode) = positional.kind_and_cache_mode(key);
        let bytes = result.unwrap_or(0) as u64;
        let counters = &self.shared.counters;
        match kind {
            Kind::Read => {
                counters.read.add(cache_mode, bytes);
                slot.count(bytes, |stats| stats.read.of(cache_mode));
            }
            Kind::Write => {
                counters.written.add(cache_mode, bytes);
                slot.count(bytes, |stats| stats.written.of(cache_mode));
            }
            Kind::Truncate => {}
        }
        if let Some(finished) = positional.handle_completed(key, block, result) {
            self.finish_positional(slot, file, finished);
        }
    }

    /// Applies a completed op to its file, and emits its result.
    fn finish_positional(
        &mut self,
        slot: &Slot,
        file: &mut OpenFile<B::File>,
        finished: Finished<Block>,
    ) {
        let Finished {
            kind,
            offset,
            len_done,
            result,
            ..
        } = finished;
        if kind == Kind::Read {
            return self.emit_completed(file, finished);
        }
        match result {
            Ok(()) => {
                file.on_sequenced_op(kind, offset);
                slot.marks.set_written(file.written());
                self.set_timer(file);
                self.emit_completed(file, finished);
                self.on_room_freed(slot, file);
                self.notify_flusher(slot, file);
                self.answer_sizes(slot, file);
            }
            Err(errno) => {
                let unwritten = offset + len_done as u64;
                let result = file.write().handle_positional_error(errno, unwritten);
                // The file is marked as failed before the event of the op.
                self.apply_write_error(slot, file, result);
                self.emit_completed(file, finished);
            }
        }
    }

    fn emit_completed(&mut self, file: &OpenFile<B::File>, finished: Finished<Block>) {
        let Finished {
            kind,
            token,
            offset,
            len,
            len_done,
            result,
            memory,
        } = finished;
        let updates = match (kind, result) {
            (Kind::Truncate, Ok(())) => EventKind::Truncated { len: offset },
            // The event is `Failed`.
            (Kind::Truncate, Err(_)) => return,
            _ => EventKind::Completed(Completed {
                token,
                result: result.map(|()| len_done),
                buffer: Buffer::of(memory, len),
            }),
        };
        self.emit(file, updates);
    }
}

fn op_of<F>(transfer: Transfer<Block>, file: Arc<F>) -> Op<F> {
    let Transfer {
        kind,
        offset,
        start,
        len,
        cache_mode,
        memory,
        ..
    } = transfer;
    let range = memory.map(|block| BlockRange::new(block, start, len));
    let memory = match (kind, range) {
        (Kind::Read, Some(range)) => Memory::Fill(range),
        (Kind::Write, Some(range)) => Memory::Block(range),
        (Kind::Truncate, _) => return Op::Truncate { file, len: offset },
        (_, None) => unreachable!("bytes have memory"),
    };
    Op::Transfer(op::Transfer {
        file,
        cache_mode,
        offset,
        memory,
    })
}
