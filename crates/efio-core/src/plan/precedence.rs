//! The order of opens and closes. An open that follows a close finds the file as if the close had
//! completed before: all accepted bytes are in it, and none is written later.
//!
//! ```text
//!  open ─► path queue ─► the kernel opens it: which file? ─► held while anything is due ─► served
//! ```
//!
//! An open waits in three cases:
//!
//! | where | until |
//! |---|---|
//! | in the queue of its path | each earlier open of the path is answered that has effects |
//! | held, after the kernel has opened it | nothing is due in the file from before |
//! | held, after the kernel has opened it | earlier unidentified files are known, at most 2 s |
//!
//! - An open **has effects** if it may create or truncate the file, or if the file was closed with
//!   bytes to be written before the kernel opened it.
//! - **Due** in a file, by device and inode, whatever its names, are bytes that were accepted
//!   through a descriptor that is closed, and the truncation of an open.
//! - A file that is closed while its open is in flight is **unidentified**. It may be the file of
//!   another path too, by another name. Other paths wait for it only for a time: its disk may hang.
//!
//! Tickets number opens and closes in the order of the calls. An open waits only for lower tickets,
//! so no two wait for each other.

use crate::op::{FileId, Truncation};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

/// How long opens of other paths wait until an unidentified file is identified.
const MAX_IDENTITY_WAIT: Duration = Duration::from_secs(2);
/// How many files are remembered in which something was due.
const MAX_RECENT: usize = 256;
/// With bytes due in more files than this, an open truncates its file after the op instead.
const MAX_EXCEPTIONS: usize = 8;

/// A place in the order of all opens and closes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(u64);

/// The pending opens of an engine; a file is named by the index of its slot.
#[derive(Default)]
pub struct Precedence {
    tickets: u64,
    paths: HashMap<u64, PathQueue>,
    /// Files that were closed before the kernel opened them, and until when opens of other paths
    /// wait for them.
    unidentified: BTreeMap<Ticket, Duration>,
    due: HashMap<FileId, Vec<(u32, Ticket)>>,
    recent: Recent,
    held: Vec<Held>,
    /// Opens that may continue.
    released: VecDeque<u32>,
}

/// The opens of a path: those with effects that are in flight, and those that wait for them.
#[derive(Default)]
struct PathQueue {
    at_kernel: usize,
    waiting: VecDeque<(u32, bool)>,
}

/// Files in which nothing is due any more, and since when. An open that was in flight at that time
/// may have found the file empty before the bytes were written.
#[derive(Default)]
struct Recent {
    /// Opens in flight of files that may have to be truncated later.
    truncating: usize,
    settled: VecDeque<(Ticket, FileId)>,
    /// Entries up to this ticket are dropped.
    since: Option<Ticket>,
}

/// An open that waits after the kernel has opened its file.
struct Held {
    file: u32,
    id: FileId,
    ticket: Ticket,
}

impl Precedence {
    /// Returns the ticket of the open or close that is handled now.
    pub fn next_ticket(&mut self) -> Ticket {
        self.tickets += 1;
        Ticket(self.tickets)
    }

    /// Adds an open of `path`. Returns whether to submit it now; else it is released later.
    pub fn enter(&mut self, path: u64, file: u32, has_effects: bool) -> bool {
        if let Some(queue) = self.paths.get_mut(&path) {
            queue.waiting.push_back((file, has_effects));
            return false;
        }
        if has_effects {
            self.paths.entry(path).or_default().at_kernel = 1;
        }
        true
    }

    /// Marks the pending open of `file` as having effects: later opens of `path` wait for it.
    pub fn add_effects(&mut self, path: u64, file: u32) {
        let queue = self.paths.entry(path).or_default();
        match queue.waiting.iter_mut().find(|(other, _)| *other == file) {
            Some((_, has_effects)) => *has_effects = true,
            None => queue.at_kernel += 1,
        }
    }

    /// Handles the completion of an open with effects: releases those that wait for it.
    pub fn handle_answered(&mut self, path: u64) {
        let Some(queue) = self.paths.get_mut(&path) else {
            return;
        };
        queue.at_kernel -= 1;
        if queue.at_kernel > 0 {
            return;
        }
        while let Some((file, has_effects)) = queue.waiting.pop_front() {
            self.released.push_back(file);
            if has_effects {
                queue.at_kernel = 1;
                return;
            }
        }
        self.paths.remove(&path);
        if self.paths.is_empty() && self.paths.capacity() > MAX_RECENT {
            self.paths = HashMap::new();
        }
    }

    /// Returns how an open that is submitted now truncates its file; and its ticket for
    /// [`may_have_grown`](Self::may_have_grown).
    ///
    /// | state | truncation |
    /// |---|---|
    /// | nothing due, no unidentified file | in the op |
    /// | bytes due in up to 8 files | in the op, except for those files |
    /// | bytes due in more files, or an unidentified file | after the op |
    pub fn truncation(&mut self) -> (Truncation, Ticket) {
        self.recent.truncating += 1;
        (self.truncation_mode(), self.next_ticket())
    }

    /// Returns whether file `id`, which an open that was submitted at `ticket` found empty, may
    /// have grown since.
    pub fn may_have_grown(&mut self, id: FileId, ticket: Ticket) -> bool {
        let recent = &mut self.recent;
        let mut settled = recent.settled.iter();
        let grown = settled.any(|&(at, file)| at > ticket && file == id);
        grown || recent.since > Some(ticket) || self.due.contains_key(&id)
    }

    /// Handles the completion of an open for which [`truncation`](Self::truncation) was called.
    pub fn truncation_answered(&mut self) {
        self.recent.truncating -= 1;
        if self.recent.truncating == 0 {
            self.recent = Recent::default();
        }
    }

    fn truncation_mode(&self) -> Truncation {
        if !self.unidentified.is_empty() || self.due.len() > MAX_EXCEPTIONS {
            Truncation::Later
        } else if self.due.is_empty() {
            Truncation::AtOnce
        } else {
            Truncation::Except(self.due.keys().copied().collect())
        }
    }

    /// Handles the close, at `ticket`, of a file that the kernel has not opened.
    pub fn handle_closed_unidentified(&mut self, ticket: Ticket, now: Duration) {
        self.unidentified
            .insert(ticket, now.saturating_add(MAX_IDENTITY_WAIT));
    }

    /// Handles the completion of the open of a file that was closed at `ticket`.
    pub fn handle_identified(&mut self, ticket: Ticket) {
        let was_first = self.unidentified.keys().next() == Some(&ticket);
        if self.unidentified.remove(&ticket).is_some() && was_first {
            self.release(|_| true);
        }
    }

    /// Makes opens after `ticket` wait: accepted bytes or a truncation are due in the file.
    pub fn add_due(&mut self, id: FileId, file: u32, ticket: Ticket) {
        let due = self.due.entry(id).or_default();
        match due.iter_mut().find(|(other, _)| *other == file) {
            Some((_, old)) => *old = ticket,
            None => due.push((file, ticket)),
        }
    }

    /// Releases the opens that wait for `file`: it has written what was due.
    pub fn settle(&mut self, id: FileId, file: u32) {
        if let Some(due) = self.due.get_mut(&id) {
            due.retain(|&(other, _)| other != file);
            if due.is_empty() {
                self.due.remove(&id);
            }
            let ticket = self.next_ticket();
            self.recent.add(ticket, id);
        }
        self.release(|held| held.id == id);
    }

    /// Returns whether the open of `file` at `ticket` has to wait, once the kernel has identified
    /// it.
    pub fn is_behind(&self, id: FileId, file: u32, ticket: Ticket, now: Duration) -> bool {
        let due = self.due.get(&id).into_iter().flatten();
        let mut due = due.filter(|&&(other, _)| other != file);
        let mut unidentified = self.unidentified.range(..ticket);
        due.any(|&(_, before)| before < ticket) || unidentified.any(|(_, &until)| now < until)
    }

    /// Holds an open until it is released to check again.
    pub fn hold(&mut self, id: FileId, file: u32, ticket: Ticket) {
        self.held.push(Held { file, id, ticket });
    }

    fn release(&mut self, concerned: impl Fn(&Held) -> bool) {
        let released = &mut self.released;
        self.held.retain(|held| {
            let goes = concerned(held);
            if goes {
                released.push_back(held.file);
            }
            !goes
        });
    }

    /// Returns the next open to submit, or to check again.
    pub fn next_released(&mut self, now: Duration) -> Option<u32> {
        let unidentified = self.unidentified.first_key_value();
        if let Some((&first, _)) = unidentified.filter(|&(_, &until)| until <= now) {
            // Opens of its own path wait in the queue of the path.
            self.unidentified.remove(&first);
            self.release(|held| held.ticket > first);
        }
        self.released.pop_front()
    }

    /// Returns when the first held open continues in any case.
    pub fn next_timeout(&self) -> Option<Duration> {
        let until = self.unidentified.values().next().copied();
        until.filter(|_| !self.held.is_empty())
    }
}

impl Recent {
    fn add(&mut self, ticket: Ticket, id: FileId) {
        if self.truncating == 0 {
            return;
        }
        if self.settled.len() == MAX_RECENT {
            self.since = self.settled.pop_front().map(|(ticket, _)| ticket);
        }
        self.settled.push_back((ticket, id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LATER: Duration = Duration::from_secs(10);

    fn id(inode: u64) -> FileId {
        FileId { device: 1, inode }
    }

    fn released(opens: &mut Precedence, now: Duration) -> Vec<u32> {
        std::iter::from_fn(|| opens.next_released(now)).collect()
    }

    #[test]
    fn opens_of_a_path_wait_for_one_with_effects() {
        let mut opens = Precedence::default();
        assert!(opens.enter(7, 0, false), "a plain open blocks no other");
        assert!(opens.enter(7, 1, true));
        assert!(opens.enter(8, 2, true), "another path");
        assert!(!opens.enter(7, 3, false));
        assert!(!opens.enter(7, 4, true));
        assert!(!opens.enter(7, 5, false));
        opens.handle_answered(7);
        assert_eq!(released(&mut opens, LATER), [3, 4]);
        opens.handle_answered(7);
        assert_eq!(released(&mut opens, LATER), [5]);
        assert!(opens.enter(7, 6, true), "the queue is empty");
    }

    #[test]
    fn opens_of_a_path_wait_for_one_that_was_closed_with_bytes() {
        let mut opens = Precedence::default();
        assert!(opens.enter(7, 0, false));
        opens.add_effects(7, 0);
        assert!(!opens.enter(7, 1, false));
        assert!(!opens.enter(7, 2, true));
        opens.add_effects(7, 1);
        opens.handle_answered(7);
        assert_eq!(released(&mut opens, LATER), [1]);
        opens.handle_answered(7);
        assert_eq!(released(&mut opens, LATER), [2]);
        opens.handle_answered(7);
        assert!(opens.enter(7, 3, false));
        assert!(opens.enter(7, 4, true), "a plain open blocks no other");
        opens.add_effects(7, 3);
        assert!(!opens.enter(7, 5, false));
        opens.handle_answered(7);
        assert_eq!(released(&mut opens, LATER), [], "both are at the kernel");
        opens.handle_answered(7);
        assert_eq!(released(&mut opens, LATER), [5]);
    }

    #[test]
    fn an_open_waits_for_what_is_due_from_before() {
        let mut opens = Precedence::default();
        let early = opens.next_ticket();
        let close = opens.next_ticket();
        let late = opens.next_ticket();
        opens.add_due(id(1), 0, close);
        let now = Duration::ZERO;
        assert!(!opens.is_behind(id(1), 1, early, now), "opened before");
        assert!(!opens.is_behind(id(2), 1, late, now), "another file");
        assert!(!opens.is_behind(id(1), 0, late, now), "its own");
        assert!(opens.is_behind(id(1), 1, late, now));
        opens.hold(id(1), 1, late);
        opens.settle(id(2), 0);
        assert_eq!(released(&mut opens, now), []);
        opens.settle(id(1), 0);
        assert_eq!(released(&mut opens, now), [1]);
        assert!(!opens.is_behind(id(1), 1, late, now));
        assert!(opens.due.is_empty());
    }

    #[test]
    fn opens_wait_for_an_unidentified_file_for_a_time() {
        let mut opens = Precedence::default();
        let early = opens.next_ticket();
        let close = opens.next_ticket();
        let late = opens.next_ticket();
        let now = Duration::from_secs(5);
        opens.handle_closed_unidentified(close, now);
        assert!(!opens.is_behind(id(1), 1, early, now));
        assert!(opens.is_behind(id(1), 1, late, now));
        opens.hold(id(1), 1, late);
        assert_eq!(opens.next_timeout(), Some(now + MAX_IDENTITY_WAIT));
        assert_eq!(released(&mut opens, now), []);
        assert_eq!(released(&mut opens, now + MAX_IDENTITY_WAIT), [1]);
        assert!(!opens.is_behind(id(1), 1, late, now + MAX_IDENTITY_WAIT));

        opens.handle_closed_unidentified(close, now);
        opens.hold(id(1), 1, late);
        opens.handle_identified(close);
        assert_eq!(released(&mut opens, now), [1]);
        assert_eq!(opens.next_timeout(), None);
    }

    #[test]
    fn an_open_truncates_unless_something_may_be_due_in_the_file() {
        let mut opens = Precedence::default();
        assert!(matches!(opens.truncation_mode(), Truncation::AtOnce));
        let ticket = opens.next_ticket();
        opens.add_due(id(1), 0, ticket);
        let truncation = opens.truncation_mode();
        assert!(matches!(truncation, Truncation::Except(few) if *few == [id(1)]));
        for file in 2..12 {
            opens.add_due(id(file), file as u32, ticket);
        }
        assert!(matches!(opens.truncation_mode(), Truncation::Later));
        for file in 0..12 {
            opens.settle(id(u64::from(file).max(1)), file);
        }
        assert!(matches!(opens.truncation_mode(), Truncation::AtOnce));
        opens.handle_closed_unidentified(ticket, LATER);
        assert!(matches!(opens.truncation_mode(), Truncation::Later));
    }
    #[test]
    fn a_file_found_empty_may_have_grown_since() {
        let mut opens = Precedence::default();
        let close = opens.next_ticket();
        opens.add_due(id(1), 0, close);
        let (_, early) = opens.truncation();
        assert!(opens.may_have_grown(id(1), early) && !opens.may_have_grown(id(2), early));
        opens.settle(id(1), 0);
        let (_, late) = opens.truncation();
        assert!(opens.may_have_grown(id(1), early) && !opens.may_have_grown(id(1), late));
        for inode in 2..MAX_RECENT as u64 + 10 {
            opens.add_due(id(inode), 0, close);
            opens.settle(id(inode), 0);
        }
        assert!(
            opens.may_have_grown(id(9999), early),
            "too long ago to know"
        );
        opens.truncation_answered();
        assert_eq!(opens.recent.settled.len(), MAX_RECENT);
        opens.truncation_answered();
        assert_eq!(opens.recent.settled.len(), 0);
    }
}
