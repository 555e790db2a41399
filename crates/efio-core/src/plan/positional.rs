//! Reads, writes and truncations at an offset: when to submit each, in which mode, and what its
//! results mean.
//!
//! Writes and truncations are *sequenced ops*: each takes part of the sequence of accepted bytes,
//! among the bytes of the write stream.
//!
//! ```text
//!   stream bytes │ write_at │ write_at │ stream bytes │ truncate │ stream bytes      sequence
//!  ──────────────┴──────────┴──────────┴──────────────┴──────────┴─────────────►
//!             written                  open_to     (both in flight together)
//! ```
//!
//! 1. An op waits until the stream bytes before its seq are written, and stream bytes wait for the
//!    sequenced ops before theirs ([`limit`](Positional::limit)): so a later call reads or
//!    overwrites what an earlier one wrote (F19).
//! 2. Adjacent ops of the sequence run concurrently, unless they overlap in the file and one of
//!    them is sequenced: then they run in the order of the calls. A write beyond the end of the
//!    file extends it when it runs.
//! 3. A truncation runs only when no other op does.
//!
//! A short transfer continues from where it stopped; only 0 bytes are the end of file.

mod calls;
mod sequence;

pub use calls::{Asked, Finished, Kind, Next, Transfer};

use super::IoCaps;
use crate::error::Errno;
use crate::op::CacheMode;
use crate::slot_map::{Key, SlotMap};
use sequence::Sequence;
use std::collections::VecDeque;

/// A direct transfer that ends inside a sector reached the end of the file.
const SECTOR: usize = 512;

#[derive(Debug)]
struct Entry<M> {
    asked: Asked<M>,
    /// The order of the calls.
    ticket: u64,
    len_done: usize,
    cache_mode: CacheMode,
}

/// Whether a waiting op may run.
enum Start {
    Now,
    /// Not now: it overlaps one that is not done.
    Blocked,
    /// Not now, and none of the later ones either.
    BlocksAll,
    /// Never: the file has failed.
    Fail(Errno),
}

/// The positional ops of one file.
#[derive(Debug)]
pub struct Positional<M> {
    entries: SlotMap<Entry<M>>,
    /// Ops that are not started, in the order of the calls.
    waiting: VecDeque<Key>,
    /// Ops that have to be submitted again.
    resubmit: VecDeque<Key>,
    /// How many ops are started and not complete, including those in `resubmit`.
    started: usize,
    tickets: u64,
    sequence: Sequence,
}

impl<M> Positional<M> {
    /// Creates a plan with no ops.
    pub fn new() -> Self {
        Self {
            entries: SlotMap::default(),
            waiting: VecDeque::new(),
            resubmit: VecDeque::new(),
            started: 0,
            tickets: 0,
            sequence: Sequence::default(),
        }
    }

    /// Adds an op. The seq of ops never decreases.
    pub fn push(&mut self, asked: Asked<M>) {
        self.sequence.enter(&asked);
        self.tickets += 1;
        let entry = Entry {
            asked,
            ticket: self.tickets,
            len_done: 0,
            cache_mode: CacheMode::Cached,
        };
        self.waiting.push_back(self.entries.insert(entry));
    }

    /// Returns what to do next for a file that is `written` up to there and may have failed. The
    /// driver polls until `None`.
    pub fn poll_op(
        &mut self,
        written: u64,
        failure: Option<Errno>,
        io_caps: IoCaps,
    ) -> Option<Next<M>> {
        if let Some(key) = self.resubmit.pop_front() {
            return Some(self.submit(key, io_caps));
        }
        self.sequence.reach(written);
        let mut at = 0;
        while let Some(&key) = self.waiting.get(at) {
            match self.may_start(key, at, written, failure) {
                Start::Now => {
                    self.waiting.remove(at);
                    self.started += 1;
                    let asked = &self.entry(key).asked;
                    return Some(if asked.len == 0 && asked.kind != Kind::Truncate {
                        Next::Finish(self.finish(key, Ok(())))
                    } else {
                        self.submit(key, io_caps)
                    });
                }
                Start::Fail(errno) => {
                    self.waiting.remove(at);
                    self.started += 1;
                    return Some(Next::Finish(self.finish(key, Err(errno))));
                }
                Start::Blocked => at += 1,
                Start::BlocksAll => return None,
            }
        }
        None
    }

    fn may_start(&self, key: Key, at: usize, written: u64, failure: Option<Errno>) -> Start {
        let entry = self.entry(key);
        let Asked { kind, seq, .. } = entry.asked;
        if let Some(errno) = failure {
            // 1. A write or truncation is never started in a file that failed.
            // 2. A read after unwritten bytes waits in vain: an op before it failed, or is not
            //    started because another one failed.
            let will_fail = kind != Kind::Read || seq > written;
            if will_fail {
                return Start::Fail(errno);
            }
        }
        if kind == Kind::Truncate {
            let is_first = at == 0 && self.started == 0 && written == seq;
            return if is_first {
                Start::Now
            } else {
                Start::BlocksAll
            };
        }
        if seq > self.sequence.open_to() {
            return Start::BlocksAll;
        }
        if self.overlaps_earlier(entry) {
            Start::Blocked
        } else {
            Start::Now
        }
    }

    /// Returns whether an earlier op that is not complete overlaps this one, and one of the two is
    /// sequenced.
    fn overlaps_earlier(&self, entry: &Entry<M>) -> bool {
        let is_sequenced = entry.asked.kind != Kind::Read;
        if !is_sequenced && self.sequence.all_complete() {
            return false;
        }
        let end = |asked: &Asked<M>| asked.offset + asked.len as u64;
        let asked = &entry.asked;
        self.entries.iter().any(|(_, other)| {
            let theirs = &other.asked;
            other.ticket < entry.ticket
                && (is_sequenced || theirs.kind != Kind::Read)
                && theirs.offset < end(asked)
                && asked.offset < end(theirs)
        })
    }

    fn submit(&mut self, key: Key, io_caps: IoCaps) -> Next<M> {
        let entry = self.entries.get_mut(key).expect(ENTERED);
        let asked = &mut entry.asked;
        let (offset, len) = (
            asked.offset + entry.len_done as u64,
            asked.len - entry.len_done,
        );
        entry.cache_mode = io_caps.choose(offset, entry.len_done, len);
        Next::Submit(Transfer {
            key,
            kind: asked.kind,
            offset,
            start: entry.len_done,
            len,
            cache_mode: entry.cache_mode,
            memory: asked.memory.take(),
        })
    }

    /// Returns what an op in flight does, and in which mode.
    pub fn kind_and_cache_mode(&self, key: Key) -> (Kind, CacheMode) {
        let entry = self.entry(key);
        (entry.asked.kind, entry.cache_mode)
    }

    /// Handles the completion of a transfer, with its memory unless that was lost. `None`: the op
    /// is not complete, and [`poll_op`](Self::poll_op) submits the remaining bytes.
    pub fn handle_completed(
        &mut self,
        key: Key,
        memory: Option<M>,
        result: Result<usize, Errno>,
    ) -> Option<Finished<M>> {
        let entry = self.entries.get_mut(key).expect(ENTERED);
        entry.asked.memory = memory;
        let lost = entry.asked.memory.is_none();
        let Asked { kind, len, .. } = entry.asked;
        let result = match (kind, result) {
            (Kind::Truncate, Ok(_)) => Ok(()),
            (_, Err(errno)) if errno.is_transient() && (kind == Kind::Truncate || !lost) => {
                self.resubmit.push_back(key);
                return None;
            }
            (_, Err(errno)) => Err(errno),
            (Kind::Read, Ok(0)) => Ok(()),
            // A write of 0 bytes is an error of the device.
            (Kind::Write, Ok(0)) => Err(Errno(libc::EIO)),
            (_, Ok(n)) => {
                entry.len_done += n;
                let ended =
                    kind == Kind::Read && entry.cache_mode == CacheMode::Direct && n % SECTOR != 0;
                if entry.len_done >= len || ended {
                    Ok(())
                } else if lost {
                    Err(Errno(libc::EIO))
                } else {
                    self.resubmit.push_back(key);
                    return None;
                }
            }
        };
        Some(self.finish(key, result))
    }

    fn finish(&mut self, key: Key, result: Result<(), Errno>) -> Finished<M> {
        let entry = self.entries.remove(key).expect(ENTERED);
        self.started -= 1;
        let Entry {
            asked, len_done, ..
        } = entry;
        self.sequence.complete(&asked, result.is_ok());
        Finished {
            kind: asked.kind,
            token: asked.token,
            offset: asked.offset,
            len: asked.len,
            len_done,
            result,
            memory: asked.memory,
        }
    }

    /// Returns the written mark, advanced over the sequenced ops right after it that are done.
    pub fn settle(&mut self, written: u64) -> u64 {
        self.sequence.settle(written)
    }

    /// Returns the seq from which on stream bytes have to wait.
    pub fn limit(&self) -> u64 {
        self.sequence.limit()
    }

    /// Returns the lowest file offset that an incomplete sequenced op has not written.
    pub fn lowest_pending(&self) -> Option<u64> {
        let ops = self.entries.iter().map(|(_, entry)| entry);
        ops.filter(|entry| entry.asked.kind != Kind::Read)
            .map(|entry| entry.asked.offset + entry.len_done as u64)
            .min()
    }

    /// Returns whether no op is left.
    pub fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.started == 0
    }

    /// Takes back a transfer that the backend never had: it has to be submitted again.
    pub fn take_back(&mut self, key: Key, memory: Option<M>) {
        let entry = self.entries.get_mut(key).expect(ENTERED);
        entry.asked.memory = memory;
        self.resubmit.push_back(key);
    }

    /// Completes one op that the kernel does not hold, with `errno`.
    pub fn cancel(&mut self, errno: Errno) -> Option<Finished<M>> {
        let fresh = self.waiting.pop_front();
        self.started += usize::from(fresh.is_some());
        let key = fresh.or_else(|| self.resubmit.pop_front())?;
        Some(self.finish(key, Err(errno)))
    }

    /// Completes one op that the kernel holds, without its memory. No completion of it may follow.
    pub fn give_up(&mut self, errno: Errno) -> Option<Finished<M>> {
        let (key, _) = self.entries.iter().next()?;
        Some(self.finish(key, Err(errno)))
    }

    fn entry(&self, key: Key) -> &Entry<M> {
        self.entries.get(key).expect(ENTERED)
    }
}

const ENTERED: &str = "a key names an op until it is over";

#[cfg(test)]
mod tests;
