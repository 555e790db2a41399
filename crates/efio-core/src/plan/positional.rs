//! Reads, writes and truncations that name their place in the file: when each may go to the kernel,
//! how it travels, what its results mean.
//!
//! Changes (writes and truncations) take their places in the sequence of accepted bytes, between
//! those that the write stream carries:
//!
//! ```text
//!   stream bytes │ write_at │ write_at │ stream bytes │ truncate │ stream bytes      sequence
//!  ──────────────┴──────────┴──────────┴──────────────┴──────────┴─────────────►
//!             written                  open_to     (both side by side in flight)
//! ```
//!
//! - An op waits until the stream bytes before its place are written, and stream bytes wait for the
//!   changes before theirs ([`limit`](Positional::limit)): what a later call sees or overwrites is
//!   there (F19).
//! - Ops that stand next to each other in the sequence run together, unless they overlap in the
//!   file and one of them is a change: then they run in the order of the calls. A write behind the
//!   end of the file makes it longer when it runs.
//! - A truncation runs alone.
//!
//! A transfer that falls short goes on from where it stopped; only 0 bytes are the end of file.

use super::Routes;
use crate::error::Errno;
use crate::op::Route;
use std::collections::VecDeque;

/// A direct transfer that ends between two of them met the end of the file.
const SECTOR: usize = 512;

/// What an op does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Fills the memory from the file.
    Read,
    /// Writes the memory to the file.
    Write,
    /// Sets the length of the file, which is the op's offset.
    Truncate,
}

/// An op as the caller asked for it; `M` is its memory.
#[derive(Debug, PartialEq, Eq)]
pub struct Asked<M> {
    /// What to do.
    pub kind: Kind,
    /// Its place in the sequence: what was accepted before it.
    pub place: u64,
    /// File offset, or the new length.
    pub offset: u64,
    /// How many bytes.
    pub len: usize,
    /// The caller's name for it.
    pub token: u64,
    /// The bytes; nothing for a truncation.
    pub memory: Option<M>,
}

impl<M> Asked<M> {
    /// How much of the sequence it takes.
    pub fn width(&self) -> u64 {
        width(self.kind, self.len)
    }
}

/// How much of the sequence an op takes. A truncation counts as one byte, so that a mark tells
/// whether it is included.
pub fn width(kind: Kind, len: usize) -> u64 {
    match kind {
        Kind::Read => 0,
        Kind::Write => len as u64,
        Kind::Truncate => 1,
    }
}

/// What is to be done next.
#[derive(Debug, PartialEq, Eq)]
pub enum Next<M> {
    /// Submit this.
    Submit(Transfer<M>),
    /// Tell the caller: this op will not reach the kernel, or does not have to.
    Finish(Finished<M>),
}

/// An op for the kernel.
#[derive(Debug, PartialEq, Eq)]
pub struct Transfer<M> {
    /// To be given back with the completion.
    pub key: u32,
    /// What to do.
    pub kind: Kind,
    /// File offset of the first byte, or the new length.
    pub offset: u64,
    /// Where in the memory it begins.
    pub start: usize,
    /// How many bytes.
    pub len: usize,
    /// How.
    pub route: Route,
    /// The memory.
    pub memory: Option<M>,
}

/// What a completion led to.
#[derive(Debug, PartialEq, Eq)]
pub enum After<M> {
    /// The op goes on: [`next`](Positional::next) submits the rest.
    Again,
    /// The same by another route. Counted as a fallback.
    FellBack,
    /// The op is over.
    Finished(Finished<M>),
}

/// An op that is over.
#[derive(Debug, PartialEq, Eq)]
pub struct Finished<M> {
    /// What it did.
    pub kind: Kind,
    /// The caller's name for it.
    pub token: u64,
    /// File offset, or the new length.
    pub offset: u64,
    /// How many bytes it asked for.
    pub len: usize,
    /// Bytes moved before it ended, well or not.
    pub moved: usize,
    /// How it went.
    pub result: Result<(), Errno>,
    /// The memory, unless it was lost on the way (F54).
    pub memory: Option<M>,
}

#[derive(Debug)]
struct Entry<M> {
    asked: Asked<M>,
    /// Counts the calls: who was first.
    ticket: u64,
    moved: usize,
    route: Route,
}

/// A change that not everything before and in it is done with.
#[derive(Debug)]
struct Change {
    start: u64,
    end: u64,
    /// Nothing passes it before it is done.
    barrier: bool,
    done: bool,
}

/// Whether a waiting op may run.
enum Turn {
    Now,
    /// It overlaps one that is not done.
    NotYet,
    /// Neither it nor any behind it.
    NoneBehind,
    Never(Errno),
}

/// The positional ops of one file.
#[derive(Debug)]
pub struct Positional<M> {
    entries: Vec<Option<Entry<M>>>,
    free: Vec<u32>,
    /// Ops that did not start, in the order of the calls.
    waiting: VecDeque<u32>,
    /// Ops that have to be submitted again.
    again: VecDeque<u32>,
    /// Ops that started and are not over, those in `again` among them.
    started: usize,
    tickets: u64,
    /// In order; those at the front leave once they are done.
    changes: VecDeque<Change>,
    /// Changes that are not done.
    unfinished: usize,
    /// Up to here every stream byte is written, and no truncation is left.
    open_to: u64,
    /// How many changes from the front lie below `open_to`.
    passed: usize,
}

impl<M> Positional<M> {
    /// No ops.
    pub fn new() -> Self {
        Self {
            entries: Vec::new(),
            free: Vec::new(),
            waiting: VecDeque::new(),
            again: VecDeque::new(),
            started: 0,
            tickets: 0,
            changes: VecDeque::new(),
            unfinished: 0,
            open_to: 0,
            passed: 0,
        }
    }

    /// Takes an op. Their places never fall.
    pub fn push(&mut self, asked: Asked<M>) {
        let width = asked.width();
        if width > 0 {
            debug_assert!(
                self.changes
                    .back()
                    .is_none_or(|last| last.end <= asked.place)
            );
            self.unfinished += 1;
            self.changes.push_back(Change {
                start: asked.place,
                end: asked.place + width,
                barrier: asked.kind == Kind::Truncate,
                done: false,
            });
        }
        self.tickets += 1;
        let entry = Entry {
            asked,
            ticket: self.tickets,
            moved: 0,
            route: Route::Cached,
        };
        let key = match self.free.pop() {
            Some(key) => {
                self.entries[key as usize] = Some(entry);
                key
            }
            None => {
                self.entries.push(Some(entry));
                self.entries.len() as u32 - 1
            }
        };
        self.waiting.push_back(key);
    }

    /// What to do now, for a file that is `written` up to there and maybe failed. Asked again until
    /// it says nothing.
    pub fn next(
        &mut self,
        written: u64,
        failure: Option<Errno>,
        routes: Routes,
    ) -> Option<Next<M>> {
        if let Some(key) = self.again.pop_front() {
            return Some(self.submit(key, routes));
        }
        self.reach(written);
        let mut at = 0;
        while let Some(&key) = self.waiting.get(at) {
            match self.turn(key, at, written, failure) {
                Turn::Now => {
                    self.waiting.remove(at);
                    self.started += 1;
                    let asked = &self.entry(key).asked;
                    return Some(if asked.len == 0 && asked.kind != Kind::Truncate {
                        Next::Finish(self.finish(key, Ok(())))
                    } else {
                        self.submit(key, routes)
                    });
                }
                Turn::Never(errno) => {
                    self.waiting.remove(at);
                    self.started += 1;
                    return Some(Next::Finish(self.finish(key, Err(errno))));
                }
                Turn::NotYet => at += 1,
                Turn::NoneBehind => return None,
            }
        }
        None
    }

    /// Moves `open_to` as far as it goes.
    fn reach(&mut self, written: u64) {
        self.open_to = self.open_to.max(written);
        while let Some(change) = self.changes.get(self.passed) {
            if change.barrier || change.start != self.open_to {
                return;
            }
            self.open_to = change.end;
            self.passed += 1;
        }
    }

    fn turn(&self, key: u32, at: usize, written: u64, failure: Option<Errno>) -> Turn {
        let entry = self.entry(key);
        let Asked { kind, place, .. } = entry.asked;
        if let Some(errno) = failure {
            // A change is not begun any more, and what a read waits for does not come.
            // One of the changes before it may be what failed, or what is not begun because of that.
            let in_vain = kind != Kind::Read || place > written;
            if in_vain {
                return Turn::Never(errno);
            }
        }
        if kind == Kind::Truncate {
            let alone = at == 0 && self.started == 0 && written == place;
            return if alone { Turn::Now } else { Turn::NoneBehind };
        }
        if place > self.open_to {
            return Turn::NoneBehind;
        }
        if self.overlaps_earlier(entry) {
            Turn::NotYet
        } else {
            Turn::Now
        }
    }

    /// Whether an earlier op that is not over meets this one, and one of the two is a change.
    fn overlaps_earlier(&self, entry: &Entry<M>) -> bool {
        let is_change = entry.asked.kind != Kind::Read;
        if !is_change && self.unfinished == 0 {
            return false;
        }
        let end = |asked: &Asked<M>| asked.offset + asked.len as u64;
        let asked = &entry.asked;
        self.entries.iter().flatten().any(|other| {
            let theirs = &other.asked;
            other.ticket < entry.ticket
                && (is_change || theirs.kind != Kind::Read)
                && theirs.offset < end(asked)
                && asked.offset < end(theirs)
        })
    }

    fn submit(&mut self, key: u32, routes: Routes) -> Next<M> {
        let entry = self.entries[key as usize].as_mut().expect(ENTERED);
        let asked = &mut entry.asked;
        let (offset, len) = (asked.offset + entry.moved as u64, asked.len - entry.moved);
        entry.route = routes.choose(offset, entry.moved, len);
        Next::Submit(Transfer {
            key,
            kind: asked.kind,
            offset,
            start: entry.moved,
            len,
            route: entry.route,
            memory: asked.memory.take(),
        })
    }

    /// What an op in flight does, and by which route.
    pub fn kind_and_route(&self, key: u32) -> (Kind, Route) {
        let entry = self.entry(key);
        (entry.asked.kind, entry.route)
    }

    /// A transfer ended, and its memory is back unless it was lost.
    pub fn completed(
        &mut self,
        key: u32,
        memory: Option<M>,
        result: Result<usize, Errno>,
        routes: &mut Routes,
    ) -> After<M> {
        let entry = self.entries[key as usize].as_mut().expect(ENTERED);
        entry.asked.memory = memory;
        let lost = entry.asked.memory.is_none();
        let Asked { kind, len, .. } = entry.asked;
        match (kind, result) {
            (Kind::Truncate, Ok(_)) => After::Finished(self.finish(key, Ok(()))),
            (_, Err(errno)) if errno.is_transient() && (kind == Kind::Truncate || !lost) => {
                self.again.push_back(key);
                After::Again
            }
            (_, Err(errno)) if !lost && routes.give_up(entry.route, errno) => {
                self.again.push_back(key);
                After::FellBack
            }
            (_, Err(errno)) => After::Finished(self.finish(key, Err(errno))),
            (Kind::Read, Ok(0)) => After::Finished(self.finish(key, Ok(()))),
            // None written at all is an error of the device.
            (Kind::Write, Ok(0)) => After::Finished(self.finish(key, Err(Errno(libc::EIO)))),
            (_, Ok(n)) => {
                entry.moved += n;
                let ended = kind == Kind::Read && entry.route == Route::Direct && n % SECTOR != 0;
                if entry.moved >= len || ended {
                    After::Finished(self.finish(key, Ok(())))
                } else if lost {
                    After::Finished(self.finish(key, Err(Errno(libc::EIO))))
                } else {
                    self.again.push_back(key);
                    After::Again
                }
            }
        }
    }

    fn finish(&mut self, key: u32, result: Result<(), Errno>) -> Finished<M> {
        let entry = self.entries[key as usize].take().expect(ENTERED);
        self.free.push(key);
        self.started -= 1;
        let Entry { asked, moved, .. } = entry;
        if asked.width() > 0 {
            self.unfinished -= 1;
            let at = self
                .changes
                .binary_search_by_key(&asked.place, |change| change.start);
            // A failed change stays: nothing behind it counts as written.
            self.changes[at.expect("a change has its place")].done = result.is_ok();
        }
        Finished {
            kind: asked.kind,
            token: asked.token,
            offset: asked.offset,
            len: asked.len,
            moved,
            result,
            memory: asked.memory,
        }
    }

    /// Where the written mark stands once the changes right behind it that are done are counted.
    pub fn settle(&mut self, mut written: u64) -> u64 {
        while let Some(change) = self.changes.front() {
            if !change.done || change.start != written {
                break;
            }
            written = change.end;
            self.changes.pop_front();
            self.passed = self.passed.saturating_sub(1);
        }
        written
    }

    /// Stream bytes from this place of the sequence on have to wait.
    pub fn limit(&self) -> u64 {
        self.changes.front().map_or(u64::MAX, |change| change.start)
    }

    /// The lowest file offset that a change which is not over was to reach.
    pub fn lowest_pending(&self) -> Option<u64> {
        let changes = self.entries.iter().flatten();
        changes
            .filter(|entry| entry.asked.kind != Kind::Read)
            .map(|entry| entry.asked.offset + entry.moved as u64)
            .min()
    }

    /// Whether no op is left.
    pub fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.started == 0
    }

    /// The backend never had this transfer: it has to be submitted again.
    pub fn take_back(&mut self, key: u32, memory: Option<M>) {
        let entry = self.entries[key as usize].as_mut().expect(ENTERED);
        entry.asked.memory = memory;
        self.again.push_back(key);
    }

    /// Ends an op that the disk does not have, as the file will not be served any more.
    pub fn cancel(&mut self, errno: Errno) -> Option<Finished<M>> {
        let fresh = self.waiting.pop_front();
        self.started += usize::from(fresh.is_some());
        let key = fresh.or_else(|| self.again.pop_front())?;
        Some(self.finish(key, Err(errno)))
    }

    /// Ends an op that the disk has, without its memory. Its completion must not come any more.
    pub fn give_up(&mut self, errno: Errno) -> Option<Finished<M>> {
        let key = self.entries.iter().position(Option::is_some)?;
        Some(self.finish(key as u32, Err(errno)))
    }

    fn entry(&self, key: u32) -> &Entry<M> {
        self.entries[key as usize].as_ref().expect(ENTERED)
    }
}

const ENTERED: &str = "a key names an op until it is over";

#[cfg(test)]
mod tests;
