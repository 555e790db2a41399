//! The sequenced ops of a file: which are complete, and up to where ops may run.
//!
//! A worked example. The stream has accepted 100 bytes, then a `write_at` of 50 bytes takes seq
//! 100..150, another of 50 bytes takes 150..200, a truncation takes 200..201, and the stream
//! accepts more:
//!
//! | step | written | `open_to` | `limit` | may run |
//! |---|---|---|---|---|
//! | at first | 0 | 0 | 100 | stream bytes 0..100 |
//! | the stream bytes are written | 100 | 200 | 100 | both writes |
//! | the second write is done | 100 | 200 | 100 | |
//! | the first write is done: `settle` | 200 | 200 | 200 | the truncation |
//! | the truncation is done: `settle` | 201 | 201 | none | stream bytes from 201 on |

use super::calls::{Asked, Kind};
use std::collections::VecDeque;

/// A write or truncation that is not complete, or that comes after one that is not.
#[derive(Debug)]
struct SequencedOp {
    start: u64,
    end: u64,
    /// No later op runs before it is done.
    barrier: bool,
    done: bool,
}

/// Writes and truncations that have a place in the sequence of accepted bytes.
#[derive(Debug, Default)]
pub struct Sequence {
    /// In order of seq; `settle` removes those at the front that are done.
    sequence: VecDeque<SequencedOp>,
    /// Ops that are not complete.
    unfinished: usize,
    /// Up to here every stream byte is written, and no truncation is pending.
    open_to: u64,
    /// How many ops at the front are below `open_to`.
    passed: usize,
}

impl Sequence {
    /// Adds an op; a read takes nothing of the sequence.
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

    /// Completes an op. One that failed stays in the sequence: nothing after it counts as written.
    ///
    /// # Panics
    ///
    /// If it takes part of the sequence and was never entered.
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

    /// Advances `open_to` once the stream is `written` up to there.
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

    /// Returns up to which seq ops may run concurrently.
    pub fn open_to(&self) -> u64 {
        self.open_to
    }

    /// Returns whether each sequenced op is complete, with success or an error.
    pub fn all_complete(&self) -> bool {
        self.unfinished == 0
    }

    /// Returns the written mark, advanced over the ops right after it that are done.
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

    /// Returns the seq from which on stream bytes have to wait.
    pub fn limit(&self) -> u64 {
        let next = self.sequence.front();
        next.map_or(u64::MAX, |op| op.start)
    }
}
