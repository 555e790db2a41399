//! What must hold for one file, whatever the disk does.

use efio_core::{Errno, EventKind, Failure, Progress};

/// The model of a file with one descriptor.
pub struct Oracle {
    /// What the file holds once everything accepted is written.
    pub content: Vec<u8>,
    /// Where the next read or write goes.
    pub position: usize,
    /// Whether writes go to the end.
    pub append: bool,
    /// The file as it was at each accepted mark that a sync was asked for.
    pub syncs: Vec<(u64, Vec<u8>)>,
    /// Bytes accepted.
    pub accepted: u64,
    /// The highest marks seen.
    marks: Progress,
    pub failed: Option<Failure>,
    /// A read, a write said "would block" and no event has come since.
    pub owed_readable: bool,
    pub owed_writable: bool,
    pub opened: bool,
    /// Lowest offset of each write with its mark, to check a failure's offset.
    pub writes: Vec<(u64, u64, u64)>,
}

impl Oracle {
    pub fn new(content: Vec<u8>, append: bool) -> Self {
        Self {
            content,
            position: 0,
            append,
            syncs: Vec::new(),
            accepted: 0,
            marks: Progress::default(),
            failed: None,
            owed_readable: false,
            owed_writable: false,
            opened: false,
            writes: Vec::new(),
        }
    }

    /// `write` accepted these bytes.
    pub fn wrote(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            // Nothing happens, also behind the end of file: it does not grow.
            return;
        }
        let at = if self.append {
            self.content.len()
        } else {
            self.position
        };
        let end = at + bytes.len();
        if self.content.len() < end {
            self.content.resize(end, 0);
        }
        self.content[at..end].copy_from_slice(bytes);
        self.writes
            .push((self.accepted, at as u64, bytes.len() as u64));
        self.position += bytes.len();
        self.accepted += bytes.len() as u64;
    }

    /// `read` returned these bytes.
    pub fn read(&mut self, bytes: &[u8]) {
        let end = self.position + bytes.len();
        assert!(end <= self.content.len(), "read behind the end of file");
        assert!(
            bytes == &self.content[self.position..end],
            "wrong bytes at {}",
            self.position
        );
        self.position = end;
    }

    /// `read` returned 0.
    pub fn read_end(&self) {
        assert!(
            self.position >= self.content.len(),
            "a false end of file (F16)"
        );
    }

    /// The marks of the file.
    pub fn progress(&mut self, marks: Progress) {
        assert_eq!(
            marks.accepted, self.accepted,
            "accepted is what the writes returned"
        );
        assert!(
            marks.accepted >= marks.written && marks.written >= marks.durable,
            "{marks:?}"
        );
        assert!(marks.written >= self.marks.written && marks.durable >= self.marks.durable);
        self.marks = marks;
    }

    /// An event of the file; `disk` is what the kernel has of it, `durable` what the disk keeps.
    pub fn event(&mut self, kind: EventKind, durable: &[u8]) {
        match kind {
            EventKind::Opened => {
                assert!(!std::mem::replace(&mut self.opened, true), "Opened twice");
            }
            EventKind::Readable => self.owed_readable = false,
            EventKind::Writable => self.owed_writable = false,
            EventKind::Synced { upto } => {
                assert!(self.failed.is_none(), "success after a failure (F30)");
                let asked = self.syncs.iter().rfind(|(mark, _)| *mark <= upto);
                let (mark, snapshot) = asked.expect("nobody asked for a sync");
                // What was accepted later may be there as well, over these bytes; so only files
                // without later writes can be compared.
                if *mark == self.accepted {
                    let same = durable
                        .iter()
                        .zip(snapshot)
                        .take_while(|(a, b)| a == b)
                        .count();
                    assert!(
                        durable == snapshot,
                        "synced bytes are not durable: {same} of {} equal, {} on disk, mark {mark}",
                        snapshot.len(),
                        durable.len(),
                    );
                }
            }
            EventKind::Failed(failure) => {
                assert!(self.failed.replace(failure).is_none(), "Failed twice");
            }
            _ => {}
        }
    }

    /// The file is closed.
    pub fn closed(&self, error: Option<Errno>, current: &[u8]) {
        assert_eq!(
            error,
            self.failed.map(|failure| failure.errno),
            "close returns the first error"
        );
        if self.failed.is_none() {
            assert!(
                current == self.content,
                "accepted bytes are not in the file"
            );
        }
    }

    /// F21: the lowest lost offset is exact. After a failed sync it may lie lower: bytes that were
    /// written but not synced are lost as well.
    pub fn lost_from(&self, failure: Failure, written: u64) {
        if self.append {
            assert!(failure.offset <= written, "{failure:?}");
            return;
        }
        let unwritten = self
            .writes
            .iter()
            .filter(|(start, _, len)| start + len > written);
        let lowest = unwritten
            .map(|(start, offset, _)| offset + written.saturating_sub(*start))
            .min();
        if let Some(lowest) = lowest {
            assert!(failure.offset <= lowest, "{failure:?}, lost from {lowest}");
            if failure.errno == Errno(libc::ENOSPC) {
                assert_eq!(failure.offset, lowest, "{failure:?}");
            }
        }
    }
}
