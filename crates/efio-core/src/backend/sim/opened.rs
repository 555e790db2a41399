//! What a simulated kernel keeps of each open of a file, by the number that is its mode.

use super::disk::SimInode;
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
    /// Whether it made the file.
    pub made: bool,
    /// Whether it cut the file off, for the open itself.
    pub is_cut: bool,
    /// Whether there was nothing to be cut off when it was at the kernel.
    finds_nothing: bool,
    /// Whether anything of it changed the file.
    pub changed: bool,
    /// The file as its first op found it.
    before: Option<Vec<u8>>,
    /// A sync through another open failed, and it was not told so.
    owes_error: bool,
}

impl SimInode {
    /// What is known of an open, once the kernel has answered it.
    pub fn open(&self, number: u32) -> Option<&SimOpen> {
        self.opens.get(&number)
    }

    /// What an open found; `None` when later ones were at the file first.
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

    /// Bytes that the writes of an open moved, and one for each truncation.
    pub fn taken(&self, number: u32) -> u64 {
        self.open(number).map_or(0, |open| open.taken)
    }

    /// The file as an open left it: what the next one found, or what is there.
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

    /// Whether an op of a later open was at the file already.
    fn is_passed(&self, number: u32) -> bool {
        let mut later = self.opens.range(number + 1..);
        later.any(|(_, open)| open.before.is_some())
    }

    /// An open answers.
    pub(super) fn opened(&mut self, number: u32, made: bool, truncates: bool, cut: bool) {
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

    /// An op of an open finds the file.
    pub(super) fn touch(&mut self, number: u32) -> &mut SimOpen {
        let is_first = !self.is_passed(number);
        let open = self.opens.entry(number).or_default();
        if open.before.is_none() && is_first {
            open.before = Some(self.current.clone());
        }
        open
    }

    /// The close of an open fails.
    pub(super) fn fail_close(&mut self, number: u32) {
        self.opens.entry(number).or_default().close_failed = true;
    }

    /// The file is cut off for an open.
    pub(super) fn empty(&mut self, number: u32) {
        let open = self.touch(number);
        (open.is_cut, open.changed) = (true, true);
        self.resize(0);
    }

    /// A write or a truncation moved so much of an open.
    pub(super) fn take(&mut self, number: u32, count: u64) {
        let open = self.touch(number);
        open.taken += count;
        open.changed = true;
    }

    /// A sync failed. Every other open hears of it at its own next one.
    pub(super) fn fail_syncs(&mut self, number: u32) {
        for (&other, open) in &mut self.opens {
            open.owes_error |= other != number;
        }
        self.forget();
    }

    /// Whether a sync through another open failed since, which is told once.
    pub(super) fn has_lost(&mut self, number: u32) -> bool {
        std::mem::take(&mut self.touch(number).owes_error)
    }
}
