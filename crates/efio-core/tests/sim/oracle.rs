//! The guarantees for one descriptor, whatever the disk does.

use super::history::{Call, History, Kind, put};
use super::in_flight::InFlightOp;
use super::payload::payload;
use efio_core::sim::{Foreign, SimInode};
use efio_core::{Errno, EventKind, Failure, NameState, Progress};
use std::io::SeekFrom;
use std::ops::RangeInclusive;

/// The model of a file with one descriptor.
pub struct Oracle {
    /// The number of the open on the disk.
    pub number: u32,
    pub history: History,
    /// The content of the file once all accepted bytes are written.
    pub content: Vec<u8>,
    /// Its contents before others changed it, since read-ahead began.
    past: Vec<Vec<u8>>,
    /// Its lengths before others changed it, since a read would-blocked here.
    past_ends: Vec<usize>,
    /// The lengths since the pending future of a task began.
    lens: RangeInclusive<usize>,
    /// The position was the end of the file since then, and no call has set it.
    was_at_end: bool,
    /// The lengths since its task first asked for one of which it did not take the answer: that
    /// answer serves its next call.
    unfetched: Option<RangeInclusive<usize>>,
    /// A read would-blocked at this position.
    has_blocked: bool,
    /// Other processes wrote it while the client only read.
    pub is_others: bool,
    /// The position of the next read or write, unless it is the end of the file (F89).
    position: usize,
    /// An append moved the position to the end, and no call asked for it since.
    at_end: bool,
    /// A read found the end there. If others appended through the descriptor since it asked, the
    /// position is still the end; else it is where the file ended.
    may_stay: bool,
    /// So it was when the pending future of a task began.
    may_have_stayed: bool,
    pub marks: Progress,
    pub failed: Option<Failure>,
    pub opened: bool,
    /// The durable content when the file was opened.
    pub floor: Vec<u8>,
    /// The name must survive a power cut.
    pub named: bool,
    /// The open created the file.
    creates: bool,
    /// A sync of the directory may fail.
    may_be_nameless: bool,
    /// What a flush covers that would-blocked: the client's own writes begin it anew, not those of
    /// its task.
    pub flushes: Option<u64>,
    /// Counts of would-block results and of events, for each kind.
    pub readable: DueEvent,
    pub writable: DueEvent,
    /// The bytes that all files together had accepted when a write found no room.
    pub waits_from: Option<u64>,
    /// The highest mark of a requested sync, and the highest that was reported as durable.
    requested: Option<u64>,
    reported: Option<u64>,
    /// The number of requested syncs, and of reported ones.
    syncs: u32,
    answers: u32,
    /// The bytes that were checked on the disk so far.
    checked: u64,
    /// Positional reads and writes in flight.
    pub in_flight: Vec<InFlightOp>,
    /// Truncations whose event is pending.
    pub truncations: Vec<u64>,
    /// The unwritten bytes were returned.
    pub returned_unwritten: bool,
    /// They were asked for, and not there yet: asked for again at each Writable.
    pub wants_unwritten: bool,
}

/// The state of a file's name as reported to the client.
#[derive(Clone, Copy)]
pub enum Named {
    Reported(NameState),
    /// The file is closed: its state is not available.
    Closed,
}

/// The event that has to follow a would-block.
#[derive(Clone, Copy, Default)]
pub struct DueEvent {
    blocked: u32,
    events: u32,
    pub due: bool,
}

impl DueEvent {
    pub fn would_block(&mut self) {
        self.blocked += 1;
        self.due = true;
    }

    fn event(&mut self, name: &str) {
        self.events += 1;
        self.due = false;
        assert!(
            self.events <= self.blocked,
            "{name} that no call waited for"
        );
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
            lens: 0..=0,
            was_at_end: false,
            unfetched: None,
            has_blocked: false,
            is_others: false,
            position: 0,
            at_end: false,
            may_stay: false,
            may_have_stayed: false,
            marks: Progress::default(),
            failed: None,
            opened: false,
            floor: Vec::new(),
            named: false,
            creates: false,
            may_be_nameless,
            readable: DueEvent::default(),
            writable: DueEvent::default(),
            waits_from: None,
            flushes: None,
            requested: None,
            reported: None,
            syncs: 0,
            answers: 0,
            checked: 0,
            in_flight: Vec::new(),
            truncations: Vec::new(),
            returned_unwritten: false,
            wants_unwritten: false,
        }
    }

    pub fn accepted(&self) -> u64 {
        self.history.accepted()
    }

    /// The open found this content.
    pub fn begins_with(&mut self, found: Vec<u8>) {
        if found != self.history.base() {
            self.content = self.history.rebase(found);
            self.expect_anything();
            self.fetched_len();
            self.asks_len();
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
        self.may_stay = false;
        self.was_at_end |= self.at_end;
        self.forget_ends();
    }

    /// Returns the position, which is fixed from now on if it was the end.
    pub fn settle(&mut self) -> usize {
        if std::mem::take(&mut self.at_end) {
            self.position = self.content.len();
        }
        self.position
    }

    /// Asserts that this is the position.
    pub fn is_at(&mut self, position: u64) {
        self.at_end |= std::mem::take(&mut self.may_stay) && position == self.content.len() as u64;
        assert_eq!(
            position,
            self.settle() as u64,
            "after an append the position is the end (F89)"
        );
    }

    /// Whether the position may be the end of the file, which only the kernel knows.
    pub fn may_be_at_end(&self) -> bool {
        self.at_end || self.may_stay
    }

    /// A call had to ask for the position: it is the end.
    pub fn is_asked_for_end(&mut self) {
        assert!(self.may_be_at_end(), "only an end has to be requested");
        (self.at_end, self.may_stay) = (true, false);
    }

    /// A call that changes the file was accepted.
    pub fn changed(&mut self, kind: Kind, at: usize, bytes: &'static [u8]) {
        match kind {
            Kind::Stream | Kind::Positional => put(&mut self.content, at, bytes),
            Kind::Truncate => self.content.resize(at, 0),
        }
        self.history.calls.push(Call {
            kind,
            mark: self.accepted(),
            at: at as u64,
            bytes,
        });
        self.past.clear();
        self.note_len();
    }

    /// A future begins that may ask for the length.
    pub fn asks_len(&mut self) {
        self.lens = self.content.len()..=self.content.len();
        self.was_at_end = self.at_end;
        self.may_have_stayed = self.may_stay;
        self.unfetched.get_or_insert_with(|| self.lens.clone());
    }

    /// The task took the answer about the length, or wrote.
    pub fn fetched_len(&mut self) {
        self.unfetched = None;
    }

    fn note_len(&mut self) {
        let len = self.content.len();
        for lens in self.unfetched.iter_mut().chain([&mut self.lens]) {
            *lens = len.min(*lens.start())..=len.max(*lens.end());
        }
    }

    /// Returns where a seek may go.
    pub fn may_seek(&self, to: SeekFrom) -> RangeInclusive<i64> {
        let (from, by) = match to {
            SeekFrom::Start(position) => return position as i64..=position as i64,
            SeekFrom::Current(by) if self.may_have_stayed || self.may_stay => {
                let (from, to) = (self.position, self.position);
                (from.min(*self.lens.start())..=to.max(*self.lens.end()), by)
            }
            SeekFrom::Current(by) if !self.was_at_end => (self.position..=self.position, by),
            SeekFrom::Current(by) | SeekFrom::End(by) => (self.lens.clone(), by),
        };
        *from.start() as i64 + by..=*from.end() as i64 + by
    }

    /// Asserts that the file had this length since its task asked.
    pub fn had_len(&mut self, len: u64) {
        let lens = self.unfetched.take().expect("it was asked");
        assert!(lens.contains(&(len as usize)), "{len} bytes, not {lens:?}");
    }

    /// `read` returned these bytes.
    pub fn read(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            // An empty read checks nothing.
            return;
        }
        let from = self.settle();
        self.may_stay = false;
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

    /// A call found the end for a position that may be there.
    pub fn found_end(&mut self) {
        self.may_stay |= self.at_end;
        self.settle();
    }

    /// `read` returned 0.
    pub fn read_end(&mut self) {
        self.at_end |= self.may_stay && self.position < self.content.len();
        self.found_end();
        let position = self.position;
        let ends = |&end: &usize| position >= end;
        assert!(
            ends(&self.content.len()) || self.past_ends.iter().any(ends),
            "a false end of file (F16, F64), or one from before the read (F65), at {} of {}",
            position,
            self.content.len()
        );
        self.begin_anew();
    }

    /// The next read returns current bytes of the disk.
    pub fn begin_anew(&mut self) {
        self.past.clear();
        self.forget_ends();
    }

    /// `read` would-blocked.
    pub fn read_blocked(&mut self) {
        self.readable.would_block();
        self.read_pends();
    }

    /// A task's read is pending.
    pub fn read_pends(&mut self) {
        self.has_blocked = true;
    }

    fn forget_ends(&mut self) {
        self.past_ends.clear();
        self.has_blocked = false;
    }

    pub fn seek(&mut self, to: usize) {
        if self.may_be_at_end() || to != self.position {
            self.begin_anew();
        }
        (self.at_end, self.was_at_end) = (false, false);
        (self.may_stay, self.may_have_stayed) = (false, false);
        self.position = to;
    }

    /// Another process changed the file.
    pub fn interfere(&mut self, change: Foreign, start: u32, taken: u64) {
        self.past.push(self.content.clone());
        if self.has_blocked {
            self.past_ends.push(self.content.len());
        }
        self.expect_anything();
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
        self.note_len();
    }

    /// A sync was requested.
    pub fn syncs(&mut self) {
        self.requested = Some(self.accepted());
        self.syncs += 1;
    }

    /// A task that waits for durable bytes requested a sync, unless one was requested already.
    pub fn others_may_sync(&mut self) {
        self.syncs += 1;
    }

    /// Checks the marks of the file against its state on the disk.
    pub fn progress(&mut self, marks: Progress, inode: Option<&SimInode>) {
        assert_eq!(
            marks.accepted,
            self.accepted(),
            "accepted is what the writes returned"
        );
        self.lower_marks(marks, inode);
    }

    /// Checks the marks that the driver sets.
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

    /// Asserts that each accepted byte below the mark is on the disk, unless a later one replaced
    /// it.
    fn is_durable(&mut self, mark: u64, inode: &SimInode) {
        if inode.is_changed_after(self.number) {
            return;
        }
        for (at, bytes) in self.history.surviving(self.checked..mark) {
            let there = inode.durable().get(at..at + bytes.len());
            assert!(
                there == Some(bytes),
                "below the durable mark {mark}, but not on the disk: {at} + {}",
                bytes.len()
            );
        }
        self.checked = self.checked.max(mark);
    }

    /// Checks an event of the file.
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
                assert!(!self.truncations.is_empty(), "no truncation is pending");
                assert_eq!(len, self.truncations.remove(0), "in order");
            }
            EventKind::Failed(failure) => {
                let errno = failure.errno.0;
                assert_ne!(errno, libc::EAGAIN, "a failure is never would-block (F60)");
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
        assert!(self.answers <= self.syncs, "no sync was requested");
        assert!(
            upto <= self.accepted(),
            "synced bytes that were not accepted"
        );
        let inode = inode.expect("a synced file exists");
        match name {
            Named::Reported(NameState::Durable) => {
                assert!(inode.name_is_durable(), "a synced file has a name (F35)");
                self.named = true;
            }
            Named::Reported(reported) if self.creates => {
                let unknown = matches!(reported, NameState::Unknown(_) | NameState::Pending);
                assert!(
                    unknown && self.may_be_nameless,
                    "a new file is {reported:?} (F35, F62)"
                );
            }
            _ => {}
        }
        self.reported = self.reported.max(Some(upto));
        self.is_durable(upto, inode);
    }

    /// Asserts that every requested sync was reported.
    pub fn assert_syncs_reported(&self) {
        assert!(
            self.failed.is_some() || self.reported >= self.requested,
            "a sync up to {:?}, reported {:?}",
            self.requested,
            self.reported
        );
    }

    /// F21: asserts that the lowest lost offset is exact; in append mode, where only the kernel
    /// knows offsets, it is counted in accepted bytes.
    fn lost_from(&self, failure: Failure, inode: &SimInode) {
        if !self.opened {
            return assert_eq!(failure.offset, 0, "none of its bytes was written");
        }
        let append = self.history.append;
        let is_stream = |call: &Call| call.kind == Kind::Stream;
        if !append && !self.history.calls.iter().all(is_stream) {
            // Only the marks say which of them were written.
            return;
        }
        let lowest = |kept: u64| {
            let lost = self.history.extents(kept..self.accepted());
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
            // A failed sync: written bytes that are not durable are lost as well.
            let lowest = lowest(self.marks.durable.max(self.reported.unwrap_or(0)));
            right.push(lowest.or(Some(Failure::NOTHING_LOST)));
        }
        assert!(
            right.contains(&Some(failure.offset)),
            "{failure:?}, not {right:?}; {:?}",
            self.marks
        );
    }

    /// Checks the file at its `Closed` event.
    pub fn closed(&mut self, result: Result<(), Errno>, durable: bool, inode: Option<&SimInode>) {
        let first = self.failed.map(|failure| failure.errno);
        let close_failed = inode.and_then(|inode| inode.open(self.number));
        let close_failed = close_failed.is_some_and(|open| open.close_failed);
        let expected = first.or(close_failed.then_some(Errno(libc::EIO)));
        assert_eq!(result.err(), expected, "close returns the first error");
        if !self.opened {
            return;
        }
        let inode = inode.expect("an opened file exists");
        if first.is_none() {
            assert_eq!(
                inode.taken(self.number),
                self.accepted(),
                "close writes all accepted bytes"
            );
            self.assert_syncs_reported();
        }
        self.holds_a_prefix(inode);
        if durable && first.is_none() {
            self.is_durable(self.accepted(), inode);
        }
    }
}
