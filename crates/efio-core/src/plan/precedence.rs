//! Which open waits for what. A file that is closed and then opened again is as if the close had
//! ended before: what was accepted is there, and nothing of it comes later.
//!
//! ```text
//!  open ─► lane of its path ─► kernel opens it: which file? ─► behind what is owed to it ─► served
//!           │ an earlier open of the same path is not answered, and may make or cut off the file,
//!           │ or the file was closed and has bytes to be written
//!           └─► waits, and goes to the kernel next
//! ```
//!
//! - **Owed** to a file, by device and inode, whatever its names: bytes that were accepted for a
//!   descriptor that is closed, and a truncation. Later opens of it are held back until then.
//! - A file that is closed while its open is under way is of **unknown** identity. Whoever opens the
//!   same path waits in its lane. Whoever opens another path, which may be another name, waits until
//!   it is known, but for a moment only: its disk may hang.
//!
//! Turns number opens and closes in the order in which they were asked for. An open waits for lower
//! turns alone, so no two wait for each other.

use crate::op::{FileId, Truncation};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

/// How long opens of other paths wait to hear which file was closed before it was open.
const MAX_IDENTITY_WAIT: Duration = Duration::from_secs(2);
/// How many files are remembered that were owed something.
const MAX_RECENT: usize = 256;
/// With so many files that are owed something, no list of them goes along with an open.
const MAX_EXCEPTIONS: usize = 8;

/// A place in the order of all opens and closes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(u64);

/// The opens of an engine; files are named by their places in the table.
#[derive(Default)]
pub struct Precedence {
    tickets: u64,
    paths: HashMap<u64, PathQueue>,
    /// Files that were closed before the kernel had opened them, and until when opens of other paths
    /// wait for them.
    unidentified: BTreeMap<Ticket, Duration>,
    due: HashMap<FileId, Vec<(u32, Ticket)>>,
    recent: Recent,
    held: Vec<Held>,
    /// Who may go on.
    released: VecDeque<u32>,
}

/// Opens of a path are at the kernel that may change what is there, or whose file was closed and has
/// bytes to be written; those behind them.
#[derive(Default)]
struct PathQueue {
    at_kernel: usize,
    waiting: VecDeque<(u32, bool)>,
}

/// Files to which nothing is owed any more, and since when. An open that was at the kernel by then may
/// have found the file empty that is not empty now.
#[derive(Default)]
struct Recent {
    /// Opens at the kernel that leave their file as it is and cut it off later.
    truncating: usize,
    settled: VecDeque<(Ticket, FileId)>,
    /// Older ones are forgotten.
    since: Option<Ticket>,
}

/// An open that the kernel has answered and that waits.
struct Held {
    file: u32,
    id: FileId,
    ticket: Ticket,
}

impl Precedence {
    /// The turn of what is asked for now.
    pub fn next_ticket(&mut self) -> Ticket {
        self.tickets += 1;
        Ticket(self.tickets)
    }

    /// An open of `path` that may make or cut off the file, if it `has_effects`. Whether it may go to
    /// the kernel now; else it is released later.
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

    /// The open of `file`, which had no effects, has some by now: opens of `path` from now on go to
    /// the kernel behind it.
    pub fn add_effects(&mut self, path: u64, file: u32) {
        let queue = self.paths.entry(path).or_default();
        match queue.waiting.iter_mut().find(|(other, _)| *other == file) {
            Some((_, has_effects)) => *has_effects = true,
            None => queue.at_kernel += 1,
        }
    }

    /// The kernel answered an open that has effects: those behind it may go.
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

    /// How an open that goes to the kernel now cuts its file off; and its turn there, which
    /// [`may_have_grown`](Self::may_have_grown) takes back.
    pub fn truncation(&mut self) -> (Truncation, Ticket) {
        self.recent.truncating += 1;
        (self.truncation_mode(), self.next_ticket())
    }

    /// Whether file `id`, which an open found empty that went to the kernel at `turn`, may not be so
    /// any more.
    pub fn may_have_grown(&mut self, id: FileId, ticket: Ticket) -> bool {
        let recent = &mut self.recent;
        let mut settled = recent.settled.iter();
        let grown = settled.any(|&(at, file)| at > ticket && file == id);
        grown || recent.since > Some(ticket) || self.due.contains_key(&id)
    }

    /// An open that [`truncation`](Self::truncation) was asked for is answered.
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

    /// At `turn` a file was closed that the kernel has not opened.
    pub fn handle_closed_unidentified(&mut self, ticket: Ticket, now: Duration) {
        self.unidentified
            .insert(ticket, now.saturating_add(MAX_IDENTITY_WAIT));
    }

    /// The kernel has answered the open of a file that was closed at `turn`.
    pub fn handle_identified(&mut self, ticket: Ticket) {
        let was_first = self.unidentified.keys().next() == Some(&ticket);
        if self.unidentified.remove(&ticket).is_some() && was_first {
            self.release(|_| true);
        }
    }

    /// What was accepted for the file is not written, or it is not cut off: opens after `turn` wait.
    pub fn add_due(&mut self, id: FileId, file: u32, ticket: Ticket) {
        let due = self.due.entry(id).or_default();
        match due.iter_mut().find(|(other, _)| *other == file) {
            Some((_, old)) => *old = ticket,
            None => due.push((file, ticket)),
        }
    }

    /// Nothing is owed any more by `file`.
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

    /// Whether the open of `file` at `turn` waits now that the kernel says which file it is.
    pub fn is_behind(&self, id: FileId, file: u32, ticket: Ticket, now: Duration) -> bool {
        let due = self.due.get(&id).into_iter().flatten();
        let mut due = due.filter(|&&(other, _)| other != file);
        let mut unidentified = self.unidentified.range(..ticket);
        due.any(|&(_, before)| before < ticket) || unidentified.any(|(_, &until)| now < until)
    }

    /// It waits, until it is released to look again.
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

    /// The next one that may go to the kernel, or look again.
    pub fn next_released(&mut self, now: Duration) -> Option<u32> {
        let unidentified = self.unidentified.first_key_value();
        if let Some((&first, _)) = unidentified.filter(|&(_, &until)| until <= now) {
            // Opens of its own path are in its lane.
            self.unidentified.remove(&first);
            self.release(|held| held.ticket > first);
        }
        self.released.pop_front()
    }

    /// When somebody who waits goes on in any case.
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
    fn opens_of_a_path_go_behind_one_that_may_make_it() {
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
        assert!(opens.enter(7, 6, true), "nobody is left in the queue");
    }

    #[test]
    fn opens_of_a_path_go_behind_one_that_was_closed_with_bytes_to_be_written() {
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
    fn an_open_waits_for_what_is_owed_from_before() {
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
    fn a_file_of_unknown_identity_is_waited_for_a_moment() {
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
    fn a_file_is_cut_off_in_the_open_unless_something_may_be_owed_to_it() {
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
    fn a_file_that_was_found_empty_may_have_grown_since() {
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
