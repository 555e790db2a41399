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
const MOMENT: Duration = Duration::from_secs(2);
/// How many files are remembered that were owed something.
const RECENT: usize = 256;
/// With so many files that are owed something, no list of them goes along with an open.
const FEW: usize = 8;

/// A place in the order of all opens and closes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Turn(u64);

/// The opens of an engine; files are named by their places in the table.
#[derive(Default)]
pub struct Precedence {
    turns: u64,
    lanes: HashMap<u64, PathQueue>,
    /// Files that were closed before the kernel had opened them, and until when opens of other paths
    /// wait for them.
    unknown: BTreeMap<Turn, Duration>,
    due: HashMap<FileId, Vec<(u32, Turn)>>,
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
    cutters: usize,
    settled: VecDeque<(Turn, FileId)>,
    /// Older ones are forgotten.
    since: Option<Turn>,
}

/// An open that the kernel has answered and that waits.
struct Held {
    file: u32,
    id: FileId,
    turn: Turn,
}

impl Precedence {
    /// The turn of what is asked for now.
    pub fn next_turn(&mut self) -> Turn {
        self.turns += 1;
        Turn(self.turns)
    }

    /// An open of `path` that may make or cut off the file, if it `has_effects`. Whether it may go to
    /// the kernel now; else it is released later.
    pub fn enter(&mut self, path: u64, file: u32, has_effects: bool) -> bool {
        if let Some(lane) = self.lanes.get_mut(&path) {
            lane.waiting.push_back((file, has_effects));
            return false;
        }
        if has_effects {
            self.lanes.entry(path).or_default().at_kernel = 1;
        }
        true
    }

    /// The open of `file`, which had no effects, has some by now: opens of `path` from now on go to
    /// the kernel behind it.
    pub fn gets_effects(&mut self, path: u64, file: u32) {
        let lane = self.lanes.entry(path).or_default();
        match lane.waiting.iter_mut().find(|(other, _)| *other == file) {
            Some((_, has_effects)) => *has_effects = true,
            None => lane.at_kernel += 1,
        }
    }

    /// The kernel answered an open that has effects: those behind it may go.
    pub fn answered(&mut self, path: u64) {
        let Some(lane) = self.lanes.get_mut(&path) else {
            return;
        };
        lane.at_kernel -= 1;
        if lane.at_kernel > 0 {
            return;
        }
        while let Some((file, has_effects)) = lane.waiting.pop_front() {
            self.released.push_back(file);
            if has_effects {
                lane.at_kernel = 1;
                return;
            }
        }
        self.lanes.remove(&path);
        if self.lanes.is_empty() && self.lanes.capacity() > RECENT {
            self.lanes = HashMap::new();
        }
    }

    /// How an open that goes to the kernel now cuts its file off; and its turn there, which
    /// [`may_have_grown`](Self::may_have_grown) takes back.
    pub fn truncation(&mut self) -> (Truncation, Turn) {
        self.recent.cutters += 1;
        (self.how_to_truncate(), self.next_turn())
    }

    /// Whether file `id`, which an open found empty that went to the kernel at `turn`, may not be so
    /// any more.
    pub fn may_have_grown(&mut self, id: FileId, turn: Turn) -> bool {
        let recent = &mut self.recent;
        let mut settled = recent.settled.iter();
        let grown = settled.any(|&(at, file)| at > turn && file == id);
        grown || recent.since > Some(turn) || self.due.contains_key(&id)
    }

    /// An open that [`truncation`](Self::truncation) was asked for is answered.
    pub fn cutter_answered(&mut self) {
        self.recent.cutters -= 1;
        if self.recent.cutters == 0 {
            self.recent = Recent::default();
        }
    }

    fn how_to_truncate(&self) -> Truncation {
        if !self.unknown.is_empty() || self.due.len() > FEW {
            Truncation::Later
        } else if self.due.is_empty() {
            Truncation::AtOnce
        } else {
            Truncation::Except(self.due.keys().copied().collect())
        }
    }

    /// At `turn` a file was closed that the kernel has not opened.
    pub fn closed_unknown(&mut self, turn: Turn, now: Duration) {
        self.unknown.insert(turn, now.saturating_add(MOMENT));
    }

    /// The kernel has answered the open of a file that was closed at `turn`.
    pub fn is_known(&mut self, turn: Turn) {
        let was_first = self.unknown.keys().next() == Some(&turn);
        if self.unknown.remove(&turn).is_some() && was_first {
            self.release(|_| true);
        }
    }

    /// What was accepted for the file is not written, or it is not cut off: opens after `turn` wait.
    pub fn add_due(&mut self, id: FileId, file: u32, turn: Turn) {
        let due = self.due.entry(id).or_default();
        match due.iter_mut().find(|(other, _)| *other == file) {
            Some((_, old)) => *old = turn,
            None => due.push((file, turn)),
        }
    }

    /// Nothing is owed any more by `file`.
    pub fn settle(&mut self, id: FileId, file: u32) {
        if let Some(due) = self.due.get_mut(&id) {
            due.retain(|&(other, _)| other != file);
            if due.is_empty() {
                self.due.remove(&id);
            }
            let turn = self.next_turn();
            self.recent.add(turn, id);
        }
        self.release(|held| held.id == id);
    }

    /// Whether the open of `file` at `turn` waits now that the kernel says which file it is.
    pub fn is_behind(&self, id: FileId, file: u32, turn: Turn, now: Duration) -> bool {
        let due = self.due.get(&id).into_iter().flatten();
        let mut due = due.filter(|&&(other, _)| other != file);
        let mut unknown = self.unknown.range(..turn);
        due.any(|&(_, before)| before < turn) || unknown.any(|(_, &until)| now < until)
    }

    /// It waits, until it is released to look again.
    pub fn hold(&mut self, id: FileId, file: u32, turn: Turn) {
        self.held.push(Held { file, id, turn });
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
        let unknown = self.unknown.first_key_value();
        if let Some((&first, _)) = unknown.filter(|&(_, &until)| until <= now) {
            // Opens of its own path are in its lane.
            self.unknown.remove(&first);
            self.release(|held| held.turn > first);
        }
        self.released.pop_front()
    }

    /// When somebody who waits goes on in any case.
    pub fn next_look(&self) -> Option<Duration> {
        let until = self.unknown.values().next().copied();
        until.filter(|_| !self.held.is_empty())
    }
}

impl Recent {
    fn add(&mut self, turn: Turn, id: FileId) {
        if self.cutters == 0 {
            return;
        }
        if self.settled.len() == RECENT {
            self.since = self.settled.pop_front().map(|(turn, _)| turn);
        }
        self.settled.push_back((turn, id));
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
        assert!(opens.enter(7, 0, false), "who only reads keeps nobody back");
        assert!(opens.enter(7, 1, true));
        assert!(opens.enter(8, 2, true), "another path");
        assert!(!opens.enter(7, 3, false));
        assert!(!opens.enter(7, 4, true));
        assert!(!opens.enter(7, 5, false));
        opens.answered(7);
        assert_eq!(released(&mut opens, LATER), [3, 4]);
        opens.answered(7);
        assert_eq!(released(&mut opens, LATER), [5]);
        assert!(opens.enter(7, 6, true), "nobody is left in the lane");
    }

    #[test]
    fn opens_of_a_path_go_behind_one_that_was_closed_with_bytes_to_be_written() {
        let mut opens = Precedence::default();
        assert!(opens.enter(7, 0, false));
        opens.gets_effects(7, 0);
        assert!(!opens.enter(7, 1, false));
        assert!(!opens.enter(7, 2, true));
        opens.gets_effects(7, 1);
        opens.answered(7);
        assert_eq!(released(&mut opens, LATER), [1]);
        opens.answered(7);
        assert_eq!(released(&mut opens, LATER), [2]);
        opens.answered(7);
        assert!(opens.enter(7, 3, false));
        assert!(opens.enter(7, 4, true), "who only reads keeps nobody back");
        opens.gets_effects(7, 3);
        assert!(!opens.enter(7, 5, false));
        opens.answered(7);
        assert_eq!(released(&mut opens, LATER), [], "both are at the kernel");
        opens.answered(7);
        assert_eq!(released(&mut opens, LATER), [5]);
    }

    #[test]
    fn an_open_waits_for_what_is_owed_from_before() {
        let mut opens = Precedence::default();
        let early = opens.next_turn();
        let close = opens.next_turn();
        let late = opens.next_turn();
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
        let early = opens.next_turn();
        let close = opens.next_turn();
        let late = opens.next_turn();
        let now = Duration::from_secs(5);
        opens.closed_unknown(close, now);
        assert!(!opens.is_behind(id(1), 1, early, now));
        assert!(opens.is_behind(id(1), 1, late, now));
        opens.hold(id(1), 1, late);
        assert_eq!(opens.next_look(), Some(now + MOMENT));
        assert_eq!(released(&mut opens, now), []);
        assert_eq!(released(&mut opens, now + MOMENT), [1]);
        assert!(!opens.is_behind(id(1), 1, late, now + MOMENT));

        opens.closed_unknown(close, now);
        opens.hold(id(1), 1, late);
        opens.is_known(close);
        assert_eq!(released(&mut opens, now), [1]);
        assert_eq!(opens.next_look(), None);
    }

    #[test]
    fn a_file_is_cut_off_in_the_open_unless_something_may_be_owed_to_it() {
        let mut opens = Precedence::default();
        assert!(matches!(opens.how_to_truncate(), Truncation::AtOnce));
        let turn = opens.next_turn();
        opens.add_due(id(1), 0, turn);
        let truncation = opens.how_to_truncate();
        assert!(matches!(truncation, Truncation::Except(few) if *few == [id(1)]));
        for file in 2..12 {
            opens.add_due(id(file), file as u32, turn);
        }
        assert!(matches!(opens.how_to_truncate(), Truncation::Later));
        for file in 0..12 {
            opens.settle(id(u64::from(file).max(1)), file);
        }
        assert!(matches!(opens.how_to_truncate(), Truncation::AtOnce));
        opens.closed_unknown(turn, LATER);
        assert!(matches!(opens.how_to_truncate(), Truncation::Later));
    }
    #[test]
    fn a_file_that_was_found_empty_may_have_grown_since() {
        let mut opens = Precedence::default();
        let close = opens.next_turn();
        opens.add_due(id(1), 0, close);
        let (_, early) = opens.truncation();
        assert!(opens.may_have_grown(id(1), early) && !opens.may_have_grown(id(2), early));
        opens.settle(id(1), 0);
        let (_, late) = opens.truncation();
        assert!(opens.may_have_grown(id(1), early) && !opens.may_have_grown(id(1), late));
        for inode in 2..RECENT as u64 + 10 {
            opens.add_due(id(inode), 0, close);
            opens.settle(id(inode), 0);
        }
        assert!(
            opens.may_have_grown(id(9999), early),
            "too long ago to know"
        );
        opens.cutter_answered();
        assert_eq!(opens.recent.settled.len(), RECENT);
        opens.cutter_answered();
        assert_eq!(opens.recent.settled.len(), 0);
    }
}
