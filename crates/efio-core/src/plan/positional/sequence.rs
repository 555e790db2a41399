//! The changes of a file in their sequence: which are done, and how far the way is open.

use super::calls::{Asked, Kind};
use std::collections::VecDeque;

/// A change that not everything before and in it is done with.
#[derive(Debug)]
struct SequencedOp {
    start: u64,
    end: u64,
    /// Nothing passes it before it is done.
    barrier: bool,
    done: bool,
}

/// Writes and truncations that have a place in the sequence of accepted bytes.
#[derive(Debug, Default)]
pub struct Sequence {
    /// In order; those at the front leave once they are done.
    sequence: VecDeque<SequencedOp>,
    /// Changes that are not over.
    unfinished: usize,
    /// Up to here every stream byte is written, and no truncation is left.
    open_to: u64,
    /// How many changes from the front lie below `open_to`.
    passed: usize,
}

impl Sequence {
    /// An op was asked for; a read is no change.
    pub fn enter<M>(&mut self, asked: &Asked<M>) {
        let seq_len = asked.seq_len();
        if seq_len == 0 {
            return;
        }
        let last = self.sequence.back();
        debug_assert!(last.is_none_or(|last| last.end <= asked.seq));
        self.unfinished += 1;
        self.sequence.push_back(SequencedOp {
            start: asked.seq,
            end: asked.seq + seq_len,
            barrier: asked.kind == Kind::Truncate,
            done: false,
        });
    }

    /// An op is over. A change that failed stays: nothing behind it counts as written.
    ///
    /// # Panics
    ///
    /// If it is a change that was never entered.
    pub fn complete<M>(&mut self, asked: &Asked<M>, succeeded: bool) {
        if asked.seq_len() == 0 {
            return;
        }
        self.unfinished -= 1;
        let at = self
            .sequence
            .binary_search_by_key(&asked.seq, |op| op.start)
            .expect("the op was entered");
        self.sequence[at].done = succeeded;
    }

    /// The stream is `written` up to there: moves the open end as far as it goes.
    pub fn reach(&mut self, written: u64) {
        self.open_to = self.open_to.max(written);
        while let Some(op) = self.sequence.get(self.passed) {
            if op.barrier || op.start != self.open_to {
                return;
            }
            self.open_to = op.end;
            self.passed += 1;
        }
    }

    /// Ops with a place up to here may run side by side.
    pub fn open_to(&self) -> u64 {
        self.open_to
    }

    /// Whether each change is over, well or not.
    pub fn all_complete(&self) -> bool {
        self.unfinished == 0
    }

    /// Where the written mark stands once the changes right behind it that are done are counted.
    pub fn settle(&mut self, mut written: u64) -> u64 {
        while let Some(op) = self.sequence.front() {
            if !op.done || op.start != written {
                break;
            }
            written = op.end;
            self.sequence.pop_front();
            self.passed = self.passed.saturating_sub(1);
        }
        written
    }

    /// Stream bytes from this place of the sequence on have to wait.
    pub fn limit(&self) -> u64 {
        let next = self.sequence.front();
        next.map_or(u64::MAX, |op| op.start)
    }
}
