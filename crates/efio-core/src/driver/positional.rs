//! Positional ops between the callers, their plan and the backend.

use super::Driven;
use super::ops::Purpose;
use crate::backend::Backend;
use crate::error::Errno;
use crate::event::{Completed, EventKind};
use crate::op::{self, BlockRange, Memory, Op, Outcome};
use crate::page::{Block, Buffer};
use crate::plan::{Finished, Kind, Next, Transfer};
use crate::slot_map::Key;
use std::sync::Arc;

impl<B: Backend> Driven<'_, B> {
    /// Submits or completes every op that the plan has now.
    pub fn drive_positional(&mut self) {
        while let Some(next) = self.file.poll_positional() {
            match next {
                Next::Submit(transfer) => {
                    let Some(kernel) = self.file.kernel().map(Arc::clone) else {
                        unreachable!("a file is served only while it is open")
                    };
                    let purpose = Purpose::Positional(transfer.key);
                    self.submit(purpose, op_of(transfer, kernel));
                }
                Next::Finish(finished) => self.finish_positional(finished),
            }
        }
    }

    /// Completes every op that the kernel does not hold, with `errno`.
    pub fn cancel_positional(&mut self, errno: Errno) {
        while let Some(finished) = self.file.positional().and_then(|plan| plan.cancel(errno)) {
            self.emit_completed(finished);
        }
    }

    /// Completes every remaining op of the file at the shutdown deadline:
    ///
    /// | op | result | effect | buffer |
    /// |---|---|---|---|
    /// | not submitted | `ECANCELED` | none | returned |
    /// | held by the kernel | `ETIMEDOUT` | unknown | not returned |
    pub fn complete_all_positional(&mut self) {
        self.cancel_positional(Errno(libc::ECANCELED));
        let unknown = Errno(libc::ETIMEDOUT);
        while let Some(finished) = self
            .file
            .positional()
            .and_then(|plan| plan.give_up(unknown))
        {
            self.emit_completed(finished);
        }
    }

    /// Handles the completion of a transfer.
    pub fn on_positional(&mut self, key: Key, outcome: Outcome<B::File>, block: Option<Block>) {
        let result = outcome.transferred();
        let Some(positional) = self.file.positional() else {
            unreachable!("the plan stays")
        };
        let (kind, cache_mode) = positional.kind_and_cache_mode(key);
        let bytes = result.unwrap_or(0) as u64;
        let counters = &self.io.shared.counters;
        match kind {
            Kind::Read => {
                counters.read.add(cache_mode, bytes);
                self.slot.count(bytes, |stats| stats.read.of(cache_mode));
            }
            Kind::Write => {
                counters.written.add(cache_mode, bytes);
                self.slot.count(bytes, |stats| stats.written.of(cache_mode));
            }
            Kind::Truncate => {}
        }
        if let Some(finished) = positional.handle_completed(key, block, result) {
            self.finish_positional(finished);
        }
    }

    /// Applies a completed op to its file, and emits its result.
    fn finish_positional(&mut self, finished: Finished<Block>) {
        match finished.result {
            _ if finished.kind == Kind::Read => self.emit_completed(finished),
            Ok(()) => {
                self.file.on_sequenced_op(finished.kind, finished.offset);
                self.slot.marks.set_written(self.file.written());
                self.set_timer();
                self.emit_completed(finished);
                self.on_room_freed();
                self.notify_flusher();
                self.answer_sizes();
            }
            Err(errno) => {
                let unwritten = finished.offset + finished.len_done as u64;
                let result = self.file.write().handle_positional_error(errno, unwritten);
                // The file is marked as failed before the event of the op.
                self.apply_write_error(result);
                self.emit_completed(finished);
            }
        }
    }

    fn emit_completed(&mut self, finished: Finished<Block>) {
        let event = match (finished.kind, finished.result) {
            (Kind::Truncate, Ok(())) => EventKind::Truncated {
                len: finished.offset,
            },
            // The event is `Failed`.
            (Kind::Truncate, Err(_)) => return,
            (_, result) => EventKind::Completed(Completed {
                token: finished.token,
                result: result.map(|()| finished.len_done),
                buffer: Buffer::of(finished.memory, finished.len),
            }),
        };
        self.emit(event);
    }
}

fn op_of<F>(transfer: Transfer<Block>, file: Arc<F>) -> Op<F> {
    let Transfer { kind, offset, .. } = transfer;
    let range = |block| BlockRange::new(block, transfer.start, transfer.len);
    let memory = match (kind, transfer.memory.map(range)) {
        (Kind::Read, Some(range)) => Memory::Fill(range),
        (Kind::Write, Some(range)) => Memory::Block(range),
        (Kind::Truncate, _) => return Op::Truncate { file, len: offset },
        (_, None) => unreachable!("bytes have memory"),
    };
    Op::Transfer(op::Transfer {
        file,
        cache_mode: transfer.cache_mode,
        offset,
        memory,
    })
}
