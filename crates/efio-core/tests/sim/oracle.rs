//! What must hold for one descriptor, whatever the disk does.

use super::history::{Call, History, Kind, put};
use super::payload::payload;
use super::positional::Asked;
use efio_core::sim::{Foreign, SimInode};
use efio_core::{Errno, EventKind, Failure, NameState, Progress};

/// The model of a file with one descriptor.
pub struct Oracle {
    /// Names the open on the disk.
    pub number: u32,
    pub history: History,
    /// What the file holds once everything accepted is written.
    pub content: Vec<u8>,
    /// What it held before others changed it, since read-ahead began.
    past: Vec<Vec<u8>>,
    /// How long it was before others changed it, since a read found nothing here.
    past_ends: Vec<usize>,
    /// A read found nothing here.
    has_asked: bool,
    /// Others wrote it while we only read.
    pub is_others: bool,
    /// Where the next read or write goes, unless it is the end of the file (F89).
    position: usize,
    /// Something was appended, and nobody looked since.
    at_end: bool,
    pub marks: Progress,
    pub failed: Option<Failure>,
    pub opened: bool,
    /// What a power cut left for sure when the file was opened.
    pub floor: Vec<u8>,
    /// The name must survive a power cut.
    pub named: bool,
    /// The open makes the file.
    creates: bool,
    /// Directories fail to be synced.
    may_be_nameless: bool,
    /// "Would block" answers and the events that came, of each kind.
    pub readable: Owed,
    pub writable: Owed,
    /// What all files together had accepted when a write found no room.
    pub waits_from: Option<u64>,
    /// The highest mark that a sync was asked for, and that was told to be durable.
    asked: Option<u64>,
    told: Option<u64>,
    /// How often that was.
    syncs: u32,
    answers: u32,
    /// Bytes found on the disk so far.
    checked: u64,
    /// Positional reads and writes under way.
    pub under_way: Vec<Asked>,
    /// Truncations that were asked for and not told of.
    pub truncations: Vec<u64>,
    /// What was not written was given back.
    pub gave_back: bool,
}

/// What a client knows of the name of a file.
#[derive(Clone, Copy)]
pub enum Named {
    Told(NameState),
    /// It is closed: nobody can be asked.
    Closed,
}

/// Events that follow a "would block".
#[derive(Clone, Copy, Default)]
pub struct Owed {
    answers: u32,
    events: u32,
    pub due: bool,
}

impl Owed {
    pub fn would_block(&mut self) {
        self.answers += 1;
        self.due = true;
    }

    fn event(&mut self, name: &str) {
        self.events += 1;
        self.due = false;
        assert!(self.events <= self.answers, "{name} that nobody waited for");
    }
}

impl Oracle {
    pub fn new(number: u32, content: Vec<u8>, append: bool, may_be_nameless: bool) -> Self {
        Self {
            number,
            history: History::new(content.clone(), append),
            content,
            past: Vec::new(),
            past_ends: Vec::new(),
            has_asked: false,
            is_others: false,
            position: 0,
            at_end: false,
            marks: Progress::default(),
            failed: None,
            opened: false,
            floor: Vec::new(),
            named: false,
            creates: false,
            may_be_nameless,
            readable: Owed::default(),
            writable: Owed::default(),
            waits_from: None,
            asked: None,
            told: None,
            syncs: 0,
            answers: 0,
            checked: 0,
            under_way: Vec::new(),
            truncations: Vec::new(),
            gave_back: false,
        }
    }

    pub fn accepted(&self) -> u64 {
        self.history.accepted()
    }

    /// The file was opened and held this.
    pub fn begins_with(&mut self, found: Vec<u8>) {
        if found != self.history.base() {
            self.content = self.history.begin_with(found);
            self.reads_anything();
        }
    }

    /// `write` accepted these bytes.
    pub fn wrote(&mut self, bytes: &'static [u8]) {
        if bytes.is_empty() {
            return;
        }
        let at = if self.history.append {
            self.content.len()
        } else {
            self.position
        };
        self.changed(Kind::Stream, at, bytes);
        self.position += bytes.len();
        self.at_end = self.history.append;
        self.forget_ends();
    }

    /// Where the next read begins, which the client has found: so it is there from now on.
    pub fn settle(&mut self) -> usize {
        if std::mem::take(&mut self.at_end) {
            self.position = self.content.len();
        }
        self.position
    }

    /// The position was told.
    pub fn is_at(&mut self, position: u64) {
        assert_eq!(
            position,
            self.settle() as u64,
            "behind an append the position is the end (F89)"
        );
    }

    /// Whether only the kernel knows the position.
    pub fn is_at_end(&self) -> bool {
        self.at_end
    }

    /// A call that changes the file was accepted.
    pub fn changed(&mut self, kind: Kind, at: usize, bytes: &'static [u8]) {
        match kind {
            Kind::Stream | Kind::At => put(&mut self.content, at, bytes),
            Kind::Truncate => self.content.resize(at, 0),
        }
        self.history.calls.push(Call {
            kind,
            mark: self.accepted(),
            at: at as u64,
            bytes,
        });
        self.past.clear();
    }

    /// `read` returned these bytes.
    pub fn read(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            // An empty read looks at nothing.
            return;
        }
        let from = self.settle();
        let end = from + bytes.len();
        self.position = end;
        if !bytes.is_empty() {
            self.forget_ends();
        }
        if self.content.get(from..end) == Some(bytes) {
            return;
        }
        for (at, byte) in (from..end).zip(bytes) {
            let known = |file: &Vec<u8>| file.get(at) == Some(byte);
            assert!(
                known(&self.content) || self.past.iter().any(known),
                "wrong byte at {at} of a read of {from}..{end}; the file has {}",
                self.content.len()
            );
        }
    }

    /// `read` returned 0.
    pub fn read_end(&mut self) {
        let position = self.settle();
        let ends = |&end: &usize| position >= end;
        assert!(
            ends(&self.content.len()) || self.past_ends.iter().any(ends),
            "a false end of file (F16, F64), or one of before the read (F65), at {} of {}",
            position,
            self.content.len()
        );
        self.begin_anew();
    }

    /// What is read next comes from the disk of now.
    pub fn begin_anew(&mut self) {
        self.past.clear();
        self.forget_ends();
    }

    /// `read` said "would block".
    pub fn read_blocked(&mut self) {
        self.readable.would_block();
        self.has_asked = true;
    }

    fn forget_ends(&mut self) {
        self.past_ends.clear();
        self.has_asked = false;
    }

    pub fn seek(&mut self, to: usize) {
        if self.at_end || to != self.position {
            self.begin_anew();
        }
        self.at_end = false;
        self.position = to;
    }

    /// Another process changed the file.
    pub fn interfere(&mut self, change: Foreign, start: u32, taken: u64) {
        self.past.push(self.content.clone());
        if self.has_asked {
            self.past_ends.push(self.content.len());
        }
        self.reads_anything();
        match change {
            Foreign::Appended(len) => self.content.extend_from_slice(payload(start, len)),
            Foreign::Resized(size) => self.content.resize(size, 0),
        }
        match change {
            Foreign::Appended(len) if self.history.append => {
                self.history.others_appended(taken, start, len);
            }
            _ => {
                self.is_others = true;
                self.history.replace_base(&self.content);
            }
        }
    }

    /// A sync was asked for.
    pub fn syncs(&mut self) {
        self.asked = Some(self.accepted());
        self.syncs += 1;
    }

    /// A task that waits for bytes to be durable asked for a sync, unless one was asked for already.
    pub fn others_may_sync(&mut self) {
        self.syncs += 1;
    }

    /// The marks of the file; `inode` is what is true of it.
    pub fn progress(&mut self, marks: Progress, inode: Option<&SimInode>) {
        assert_eq!(
            marks.accepted,
            self.accepted(),
            "accepted is what the writes returned"
        );
        self.lower_marks(marks, inode);
    }

    /// Those that the driver sets.
    fn lower_marks(&mut self, marks: Progress, inode: Option<&SimInode>) {
        assert!(
            marks.accepted >= marks.written && marks.written >= marks.durable,
            "{marks:?}"
        );
        assert!(
            marks.written >= self.marks.written && marks.durable >= self.marks.durable,
            "{marks:?} after {:?}",
            self.marks
        );
        self.marks = marks;
        if marks.written > 0 {
            let taken = inode.map_or(0, |inode| inode.taken(self.number));
            assert!(
                marks.written <= taken,
                "written {}, but the kernel has {taken}",
                marks.written
            );
        }
        if let Some(inode) = inode {
            self.is_durable(marks.durable, inode);
        }
    }

    /// Each accepted byte below the mark is on the disk, unless a later one took its place.
    fn is_durable(&mut self, mark: u64, inode: &SimInode) {
        if inode.is_changed_after(self.number) {
            return;
        }
        for (at, bytes) in self.history.last_words(self.checked..mark) {
            let there = inode.durable().get(at..at + bytes.len());
            assert!(
                there == Some(bytes),
                "below the durable mark {mark}, but not on the disk: {at} + {}",
                bytes.len()
            );
        }
        self.checked = self.checked.max(mark);
    }

    /// An event of the file.
    pub fn event(&mut self, kind: &EventKind, inode: Option<&SimInode>, name: Named) {
        match *kind {
            EventKind::Opened => {
                assert!(!self.opened && self.failed.is_none(), "Opened twice");
                let inode = inode.expect("an opened file exists");
                self.opened = true;
                self.creates = inode.open(self.number).is_some_and(|open| open.made);
                self.named = inode.name_is_durable();
                self.floor = inode.durable().to_vec();
            }
            EventKind::Readable => self.readable.event("Readable"),
            EventKind::Writable => {
                self.waits_from = None;
                self.writable.event("Writable");
            }
            EventKind::Synced { upto } => self.synced(upto, inode, name),
            EventKind::Completed(ref completed) => self.completed(completed),
            EventKind::Truncated { len } => {
                assert!(!self.truncations.is_empty(), "nobody truncates");
                assert_eq!(len, self.truncations.remove(0), "in order");
            }
            EventKind::Failed(failure) => {
                let errno = failure.errno.0;
                assert_ne!(errno, libc::EAGAIN, "a failure is never \"not yet\" (F60)");
                assert!(self.failed.replace(failure).is_none(), "Failed twice");
                if let Some(inode) = inode {
                    self.lost_from(failure, inode);
                }
            }
            _ => {}
        }
    }

    fn synced(&mut self, upto: u64, inode: Option<&SimInode>, name: Named) {
        assert!(self.failed.is_none(), "success after a failure (F30)");
        self.answers += 1;
        assert!(self.answers <= self.syncs, "nobody asked for a sync");
        assert!(upto <= self.accepted(), "synced what was not accepted");
        let inode = inode.expect("a synced file exists");
        match name {
            Named::Told(NameState::Durable) => {
                assert!(inode.name_is_durable(), "a synced file has a name (F35)");
                self.named = true;
            }
            Named::Told(told) if self.creates => {
                let unknown = matches!(told, NameState::Unknown(_) | NameState::Pending);
                assert!(
                    unknown && self.may_be_nameless,
                    "a new file is {told:?} (F35, F62)"
                );
            }
            _ => {}
        }
        self.told = self.told.max(Some(upto));
        self.is_durable(upto, inode);
    }

    /// Every sync that was asked for was answered.
    pub fn heard_of_syncs(&self) {
        assert!(
            self.failed.is_some() || self.told >= self.asked,
            "a sync up to {:?}, told {:?}",
            self.asked,
            self.told
        );
    }

    /// F21: the lowest lost offset is exact; in append mode, where only the kernel knows offsets, it
    /// is counted in accepted bytes.
    fn lost_from(&self, failure: Failure, inode: &SimInode) {
        if !self.opened {
            return assert_eq!(failure.offset, 0, "nothing of it was written");
        }
        let append = self.history.append;
        let is_stream = |call: &Call| call.kind == Kind::Stream;
        if !append && !self.history.calls.iter().all(is_stream) {
            // Which of them were written is known to the marks alone.
            return;
        }
        let lowest = |kept: u64| {
            let lost = self.history.pieces(kept..self.accepted());
            let lowest = lost.map(|(at, _)| at as u64).min();
            if append && kept < self.accepted() {
                Some(kept)
            } else {
                lowest
            }
        };
        let mut right = Vec::new();
        let open = inode.open(self.number);
        if open.is_some_and(|open| open.write_failed == Some(failure.errno)) {
            right.push(lowest(inode.taken(self.number)));
        }
        if failure.errno == Errno(libc::EIO) {
            // A sync: what was written and not made durable is lost as well.
            let lowest = lowest(self.marks.durable.max(self.told.unwrap_or(0)));
            right.push(lowest.or(Some(Failure::NOTHING_LOST)));
        }
        assert!(
            right.contains(&Some(failure.offset)),
            "{failure:?}, not {right:?}; {:?}",
            self.marks
        );
    }

    /// The file is closed.
    pub fn closed(&mut self, error: Option<Errno>, durable: bool, inode: Option<&SimInode>) {
        let first = self.failed.map(|failure| failure.errno);
        let close_failed = inode.and_then(|inode| inode.open(self.number));
        let close_failed = close_failed.is_some_and(|open| open.close_failed);
        let expected = first.or(close_failed.then_some(Errno(libc::EIO)));
        assert_eq!(error, expected, "close returns the first error");
        if !self.opened {
            return;
        }
        let inode = inode.expect("an opened file exists");
        if first.is_none() {
            assert_eq!(
                inode.taken(self.number),
                self.accepted(),
                "close writes what was accepted"
            );
            self.heard_of_syncs();
        }
        self.holds_a_prefix(inode);
        if durable && first.is_none() {
            self.is_durable(self.accepted(), inode);
        }
    }
}
