//! The sim backend: a disk in memory that misbehaves as a seed tells it to.
//!
//! ```text
//!  submit ──► flying ── latency, any order ──► reap
//!     │                       │
//!     └ refused, aborted      └ short, failed, interrupted; twice; not before a stall is over
//! ```
//!
//! Ops complete late and in any order, reads and writes fall short, calls fail for a moment or for
//! good, completions come twice, the disk is full or hangs, the power fails. It also checks its
//! users: direct IO must be aligned, the memory of a write must not change while it is in flight, a
//! sync must not be submitted together with a write of the same file, and no op may be lost.

mod check;
mod disk;
mod faults;
mod kernel;
mod memory;
mod opened;
mod random;

pub use disk::{Foreign, SimInode, SimStore};
pub use faults::SimOptions;
pub use kernel::SimFile;
pub use memory::{Memory, SimMemory};
pub use opened::SimOpen;

use super::Backend;
use crate::error::Errno;
use crate::op::{Completion, FileId, Op, OpId, Outcome, ReadNow, Request};
use check::{checksum, parts};
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
    flying: Vec<Flying>,
    turn: u64,
    now: Duration,
    /// Nothing completes before this turn.
    hangs_until: u64,
    open: usize,
    /// Completions that were given out once and will come again.
    again: Vec<(u64, OpId)>,
}

struct Flying {
    due: u64,
    submitted: u64,
    request: Request<SimFile>,
    /// Checksum of a write's bytes when it was submitted.
    sum: u64,
}

impl SimDisk {
    /// A disk with the files of `store` whose behaviour follows from `seed`.
    pub fn new(seed: u64, options: SimOptions, store: SimStore) -> Self {
        Self {
            options,
            random: Random::new(seed),
            store,
            flying: Vec::new(),
            turn: 0,
            now: Duration::ZERO,
            hangs_until: 0,
            open: 0,
            again: Vec::new(),
        }
    }

    /// The files.
    pub fn store(&self) -> &SimStore {
        &self.store
    }

    /// What time it is.
    pub fn set_time(&mut self, now: Duration) {
        self.now = now;
    }

    /// Nothing completes until [`calm_down`](Self::calm_down).
    pub fn hang(&mut self) {
        self.hangs_until = u64::MAX;
    }

    /// All files together may have so many bytes more than now.
    pub fn fill_up(&mut self, room: u64) {
        self.options.capacity = self.store.used() + room;
    }

    /// Nothing is taken until [`calm_down`](Self::calm_down).
    pub fn refuse(&mut self) {
        self.options.refusals = 1000;
    }

    /// No trouble from now on: what lasted is mended.
    pub fn stop_faults(&mut self) {
        self.options = self.options.without_faults();
        self.hangs_until = 0;
        self.store.mend();
    }

    /// Ops in flight, and kernel files open.
    pub fn at_work(&self) -> (usize, usize) {
        (self.flying.len(), self.open)
    }

    /// The process dies; the kernel ends the writes that it has begun, or a part of them, and keeps
    /// what it was given.
    pub fn kill(&mut self) {
        for flying in std::mem::take(&mut self.flying) {
            let (file, offset) = match &flying.request.op {
                Op::Write { file, offset, .. } | Op::WriteBlock { file, offset, .. } => {
                    (file, *offset)
                }
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
            let parts = parts(&flying.request.op);
            let len: usize = parts.iter().map(|part| part.len()).sum();
            let n = self.random.below(len as u64 + 1) as usize;
            if n > 0 {
                // A file that has grown too long gets nothing more.
                let _ = put(file, offset, &parts, n);
            }
        }
    }

    /// The power fails: of what was not synced, the disk has what it happened to write.
    pub fn power_cut(&mut self) {
        self.kill();
        self.store.cut(&mut self.random);
    }

    /// Nothing that was submitted since the last turn is begun (F42).
    fn abort(&mut self, out: &mut Vec<Completion<SimFile>>) {
        let turn = self.turn;
        let fresh = |flying: &Flying| {
            flying.submitted == turn
                && matches!(
                    flying.request.op,
                    Op::Read { .. } | Op::Write { .. } | Op::WriteBlock { .. }
                )
        };
        while let Some(at) = self.flying.iter().position(fresh) {
            let flying = self.flying.swap_remove(at);
            out.push(Completion {
                id: flying.request.id,
                outcome: Outcome::Failed(Errno(libc::EAGAIN)),
                block: flying.request.op.into_block(),
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
        let sum = checksum(&parts(&request.op));
        let due = self.turn + 1 + self.random.below(self.options.latency.max(1));
        self.flying.push(Flying {
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
        self.again.retain(|&(due, id)| {
            if due <= turn {
                let (outcome, block) = (Outcome::Done(1), None);
                out.push(Completion { id, outcome, block });
            }
            due > turn
        });
        // None before `at` is due: tens of thousands in flight are looked at once each.
        let mut at = 0;
        let is_due = |flying: &Flying| flying.due <= turn;
        while let Some(next) = self.flying[at..].iter().position(is_due) {
            at += next;
            let flying = self.flying.swap_remove(at);
            let completion = self.complete(flying);
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
