//! What a file may hold, given the calls that were accepted for it.

use super::history::Change;
use super::oracle::Oracle;
use efio_core::sim::SimInode;

impl Oracle {
    /// Asserts that the file holds the accepted bytes that the kernel has, from the first byte on,
    /// and no others (F25, F52). Positional writes may have overtaken each other.
    pub fn holds_a_prefix(&self, inode: &SimInode) {
        let (file, taken) = (inode.left_by(self.number), inode.taken(self.number));
        assert!(
            (self.marks.written..=self.accepted()).contains(&taken),
            "the kernel has {taken} of {:?}",
            self.marks
        );
        if taken < self.accepted() && self.history.is_positional(self.marks.written) {
            return self.holds(file, self.marks.written, self.history.base());
        }
        let expected = self.history.replay(taken);
        let same = file
            .iter()
            .zip(&expected)
            .take_while(|(a, b)| a == b)
            .count();
        assert!(
            file == expected,
            "{taken} bytes written; the file has {} bytes, should have {}, {same} are right",
            file.len(),
            expected.len()
        );
    }

    /// Asserts after a power cut that durable bytes are there, and no byte that was never written.
    pub fn survives(&self, file: Option<&[u8]>) {
        let Some(file) = file else {
            return assert!(!self.named, "the name of a synced file is gone (F35)");
        };
        if !self.is_others {
            self.holds(file, self.marks.durable, &self.floor);
        }
    }

    /// Asserts that the file holds all changes below `mark`, and any part of the later changes and
    /// of its earlier content. `floor` is other content that it may have had earlier.
    pub fn holds(&self, file: &[u8], mark: u64, floor: &[u8]) {
        let whole = self.history.replay(self.accepted());
        let base = self.history.base();
        let hole = base.len().min(floor.len());
        let old = |(at, &byte): (usize, &u8)| {
            base.get(at) == Some(&byte)
                || floor.get(at) == Some(&byte)
                || whole.get(at) == Some(&byte)
                || (at >= hole && byte == 0)
        };
        let mut known: Vec<bool> = file.iter().enumerate().map(old).collect();
        let mut least = 0;
        let mut most = base.len().max(floor.len()).max(whole.len());
        for change in self.history.changes(0..mark) {
            match change {
                Change::Put((at, bytes)) => {
                    least = least.max(at + bytes.len());
                    most = most.max(least);
                    mark_bytes(file, &mut known, at, bytes, |_, right| right);
                }
                Change::Cut(len) => {
                    least = len;
                    most = most.max(len);
                    mark_hole(file, &mut known, len, |_, right| right);
                }
            }
        }
        for change in self.history.changes(mark..self.accepted()) {
            match change {
                Change::Put((at, bytes)) => {
                    most = most.max(at + bytes.len());
                    mark_bytes(file, &mut known, at, bytes, |known, right| known || right);
                }
                Change::Cut(len) => {
                    (least, most) = (least.min(len), most.max(len));
                    mark_hole(file, &mut known, len, |known, right| known || right);
                }
            }
        }
        let len = file.len();
        assert!(
            (least..=most).contains(&len),
            "{len} bytes, not {least} to {most}"
        );
        if let Some(at) = known.iter().position(|known| !known) {
            panic!("byte {at} of {len} is lost or was never written; {mark} had to be there");
        }
    }
}

/// Combines into `known`, for each byte from `from` on, whether it is zero, as in a hole.
fn mark_hole(file: &[u8], known: &mut [bool], from: usize, combine: impl Fn(bool, bool) -> bool) {
    for index in from..file.len() {
        known[index] = combine(known[index], file[index] == 0);
    }
}

/// Combines into `known`, for each byte that `bytes` covers, whether it equals theirs.
fn mark_bytes(
    file: &[u8],
    known: &mut [bool],
    at: usize,
    bytes: &[u8],
    combine: impl Fn(bool, bool) -> bool,
) {
    let end = (at + bytes.len()).min(file.len());
    for (index, &byte) in (at..end).zip(bytes) {
        known[index] = combine(known[index], file[index] == byte);
    }
}
