//! The sim backend: a disk in memory whose faults follow from a seed.
//!
//! ```text
//!  submit ──► in flight ── latency, any order ──► reap
//!     │                          │
//!     └ refused, aborted         └ short, failed, interrupted; twice; not during a stall
//! ```
//!
//! The faults: ops complete late and in any order, transfers are short, calls fail once or for
//! good, completions come twice, the disk is full or hangs, the power fails.
//!
//! The disk also checks its users:
//!
//! 1. Direct IO is aligned.
//! 2. The memory of a write does not change while it is in flight.
//! 3. No sync is submitted while a write of the same file is in flight.
//! 4. No op is lost.

mod check;
mod checksum;
mod disk;
mod faults;
mod kernel;
mod memory;
mod random;

pub use disk::{Foreign, SimInode, SimOpen, SimStore};
pub use faults::SimOptions;
pub use kernel::SimFile;
pub use memory::{Memory, SimMemory};

use super::Backend;
use crate::error::Errno;
use crate::op::{Completion, FileId, Op, OpId, Outcome, ReadNow, Request};
use checksum::checksum;
use disk::lock;
use kernel::put;
use random::Random;
use std::sync::Arc;
use std::time::Duration;

/// The longest time that the disk hangs, in turns.
const LONGEST_STALL: u64 = 200;

/// A seeded disk.
pub struct SimDisk {
    options: SimOptions,
    random: Random,
    store: SimStore,
    in_flight: Vec<InFlightOp>,
    turn: u64,
    now: Duration,
    /// Nothing completes before this turn.
    hangs_until: u64,
    open: usize,
    /// Completions that come a second time, and the turns when they do.
    duplicates: Vec<(u64, OpId)>,
}

struct InFlightOp {
    due: u64,
    submitted: u64,
    request: Request<SimFile>,
    /// Checksum of a write's bytes when it was submitted.
    sum: u64,
}

impl SimDisk {
    /// Creates a disk with the files of `store` whose behaviour follows from `seed`.
    pub fn new(seed: u64, options: SimOptions, store: SimStore) -> Self {
        Self {
            options,
            random: Random::new(seed),
            store,
            in_flight: Vec::new(),
            turn: 0,
            now: Duration::ZERO,
            hangs_until: 0,
            open: 0,
            duplicates: Vec::new(),
        }
    }

    /// Returns the files.
    pub fn store(&self) -> &SimStore {
        &self.store
    }

    /// Sets the current time.
    pub fn set_time(&mut self, now: Duration) {
        self.now = now;
    }

    /// Completes nothing until [`stop_faults`](Self::stop_faults).
    pub fn hang(&mut self) {
        self.hangs_until = u64::MAX;
    }

    /// Limits the capacity to `room` bytes more than all files together have now.
    pub fn fill_up(&mut self, room: u64) {
        self.options.capacity = self.store.used() + room;
    }

    /// Refuses all requests until [`stop_faults`](Self::stop_faults).
    pub fn refuse(&mut self) {
        self.options.refusals = 1000;
    }

    /// Ends all faults, lasting ones too.
    pub fn stop_faults(&mut self) {
        self.options = self.options.without_faults();
        self.hangs_until = 0;
        self.store.mend();
    }

    /// Returns the numbers of ops in flight and of open kernel files.
    pub fn at_work(&self) -> (usize, usize) {
        (self.in_flight.len(), self.open)
    }

    /// Kills the process. The kernel completes the ops in flight, all, a part or nothing of each,
    /// and keeps the page cache.
    pub fn kill(&mut self) {
        for killed in std::mem::take(&mut self.in_flight) {
            let transfer = match &killed.request.op {
                Op::Transfer(transfer) if !transfer.is_read() => transfer,
                Op::Truncate { file, len } => {
                    if self.random.happens(500) {
                        // A length that no file has changes nothing.
                        let _ = lock(&file.inode).truncate(file.number, *len);
                    }
                    continue;
                }
                Op::Empty { file } => {
                    if self.random.happens(500) {
                        lock(&file.inode).empty(file.number);
                    }
                    continue;
                }
                _ => continue,
            };
            let parts = transfer.memory.parts();
            let len: usize = parts.iter().map(|part| part.len()).sum();
            let n = self.random.below(len as u64 + 1) as usize;
            if n > 0 {
                // A file that has grown too long gets nothing more.
                let _ = put(&transfer.file, transfer.offset, &parts, n);
            }
        }
    }

    /// Cuts the power: a random part of what was not synced is on the disk.
    pub fn power_cut(&mut self) {
        self.kill();
        self.store.cut(&mut self.random);
    }

    /// Fails all transfers that were submitted since the last turn with EAGAIN (F42).
    fn abort(&mut self, out: &mut Vec<Completion<SimFile>>) {
        let turn = self.turn;
        let is_new =
            |op: &InFlightOp| op.submitted == turn && matches!(op.request.op, Op::Transfer(_));
        while let Some(at) = self.in_flight.iter().position(is_new) {
            let Request { id, op } = self.in_flight.swap_remove(at).request;
            out.push(Completion {
                id,
                outcome: Outcome::Failed(Errno(libc::EAGAIN)),
                block: op.into_block(),
            });
        }
    }
}

impl Backend for SimDisk {
    type File = SimFile;

    fn submit(&mut self, request: Request<SimFile>) -> Result<(), Request<SimFile>> {
        if self.random.happens(self.options.refusals) {
            return Err(request);
        }
        self.check(&request.op);
        let sum = checksum(&request.op);
        let due = self.turn + 1 + self.random.below(self.options.latency.max(1));
        self.in_flight.push(InFlightOp {
            due,
            submitted: self.turn,
            request,
            sum,
        });
        Ok(())
    }

    fn reap(&mut self, out: &mut Vec<Completion<SimFile>>) {
        if self.random.happens(self.options.aborted) {
            self.abort(out);
        }
        self.turn += 1;
        let turn = self.turn;
        if self.random.happens(self.options.stalls) {
            self.hangs_until = turn + self.random.below(LONGEST_STALL);
        }
        if turn < self.hangs_until {
            return;
        }
        self.duplicates.retain(|&(due, id)| {
            if due <= turn {
                let (outcome, block) = (Outcome::Done(1), None);
                out.push(Completion { id, outcome, block });
            }
            due > turn
        });
        // None before `at` is due: of tens of thousands in flight, each is checked once.
        let mut at = 0;
        let is_due = |op: &InFlightOp| op.due <= turn;
        while let Some(next) = self.in_flight[at..].iter().position(is_due) {
            at += next;
            let due = self.in_flight.swap_remove(at);
            let completion = self.complete(due);
            out.push(completion);
        }
    }

    fn id(file: &SimFile) -> FileId {
        file.id()
    }

    fn read_now(file: &Arc<SimFile>) -> Option<Arc<dyn ReadNow>> {
        Some(Arc::clone(file) as Arc<dyn ReadNow>)
    }

    fn wait(&mut self, _timeout: Option<Duration>) {}
}
