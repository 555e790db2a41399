//! What a simulated kernel records of each open of a file, by the number that is its mode.

use super::SimInode;
use crate::error::Errno;

/// An open of a file.
#[derive(Clone, Debug, Default)]
pub struct SimOpen {
    /// Bytes that its writes moved, and one for each truncation.
    pub taken: u64,
    /// The error of a write that failed for good.
    pub write_failed: Option<Errno>,
    /// Whether its close failed.
    pub close_failed: bool,
    /// Whether it created the file.
    pub made: bool,
    /// Whether the open itself truncated the file.
    pub is_cut: bool,
    /// Whether the file was empty when the kernel completed the open.
    finds_nothing: bool,
    /// Whether an op of it changed the file.
    pub changed: bool,
    /// The file as its first op found it.
    before: Option<Vec<u8>>,
    /// A sync through another open failed, and no sync of this one has reported it yet.
    sync_error_due: bool,
}

impl SimInode {
    /// Returns what is recorded of an open, once the kernel has completed it.
    pub fn open(&self, number: u32) -> Option<&SimOpen> {
        self.opens.get(&number)
    }

    /// Returns the file as an open found it; `None` if an op of a later open came first.
    pub fn found_by(&mut self, number: u32) -> Option<Vec<u8>> {
        let open = self.opens.get(&number)?;
        if open.is_cut {
            return Some(Vec::new());
        }
        if open.before.is_none() && self.is_passed(number) {
            return open.finds_nothing.then(Vec::new);
        }
        self.touch(number).before.clone()
    }

    /// Returns the bytes that the writes of an open moved, and one for each truncation.
    pub fn taken(&self, number: u32) -> u64 {
        self.open(number).map_or(0, |open| open.taken)
    }

    /// Returns the file as an open left it: as the next one found it, or as it is now.
    pub fn left_by(&self, number: u32) -> &[u8] {
        let mut later = self.opens.range(number + 1..);
        let found = later.find_map(|(_, open)| open.before.as_deref());
        found.unwrap_or(self.current())
    }

    /// Whether an open after this one changed the file.
    pub fn is_changed_after(&self, number: u32) -> bool {
        let mut later = self.opens.range(number + 1..);
        later.any(|(_, open)| open.changed)
    }

    /// Whether an op of a later open has used the file already.
    pub fn is_passed(&self, number: u32) -> bool {
        let mut later = self.opens.range(number + 1..);
        later.any(|(_, open)| open.before.is_some())
    }

    /// Records a completed open.
    pub(in super::super) fn opened(&mut self, number: u32, made: bool, truncates: bool, cut: bool) {
        let open = SimOpen {
            made,
            finds_nothing: truncates && self.current.is_empty(),
            ..SimOpen::default()
        };
        self.opens.insert(number, open);
        if cut {
            self.empty(number);
        }
    }

    /// Records an op of an open; the first one records the file as it finds it.
    pub(in super::super) fn touch(&mut self, number: u32) -> &mut SimOpen {
        let is_first = !self.is_passed(number);
        let open = self.opens.entry(number).or_default();
        if open.before.is_none() && is_first {
            open.before = Some(self.current.clone());
        }
        open
    }

    /// Records that the close of an open failed.
    pub(in super::super) fn fail_close(&mut self, number: u32) {
        self.opens.entry(number).or_default().close_failed = true;
    }

    /// Truncates the file to nothing for an open.
    pub(in super::super) fn empty(&mut self, number: u32) {
        let open = self.touch(number);
        (open.is_cut, open.changed) = (true, true);
        self.resize(0);
    }

    /// Records that a write or a truncation of an open moved `count` bytes.
    pub(in super::super) fn take(&mut self, number: u32, count: u64) {
        let open = self.touch(number);
        open.taken += count;
        open.changed = true;
    }

    /// Records that a sync failed. The next sync of every other open fails, too.
    pub(in super::super) fn fail_syncs(&mut self, number: u32) {
        for (&other, open) in &mut self.opens {
            open.sync_error_due |= other != number;
        }
        self.forget();
    }

    /// Whether a sync through another open has failed since; each failure is reported once.
    pub(in super::super) fn take_sync_error(&mut self, number: u32) -> bool {
        std::mem::take(&mut self.touch(number).sync_error_due)
    }
}
