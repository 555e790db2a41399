//! The ops in flight: what a completion belongs to.

use crate::memory;
use crate::op::OpId;

/// What an op does for its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Opens it.
    Open,
    /// Truncates it to 0 bytes for its open.
    Empty,
    /// Closes it, because the truncation for its open failed.
    Discard,
    /// Reads this request of its read-ahead.
    Read(u64),
    /// Writes the range of its write-behind.
    Write,
    /// Transfers the positional op of this key.
    Positional(u32),
    /// Asks for its size, for the command of this key.
    Size(u32),
    /// Syncs it.
    Sync,
    /// Closes it.
    Close,
}

/// A table of ops with ids that are never used twice: a slot number and a count of its uses.
#[derive(Debug, Default)]
pub struct OpTable {
    slots: Vec<OpSlot>,
    free: Vec<u32>,
}

#[derive(Debug)]
struct OpSlot {
    uses: u32,
    op: Option<(u32, Purpose)>,
}

impl OpTable {
    /// Adds an op of the file at `index`.
    pub fn insert(&mut self, index: u32, purpose: Purpose) -> OpId {
        let slot = self.free.pop().unwrap_or_else(|| {
            memory::grow(&mut self.slots).push(OpSlot { uses: 0, op: None });
            self.slots.len() as u32 - 1
        });
        let entry = &mut self.slots[slot as usize];
        entry.uses += 1;
        entry.op = Some((index, purpose));
        OpId(u64::from(entry.uses) << 32 | u64::from(slot))
    }

    /// Returns how many ops are in the table, plus the slots that are never used again.
    pub fn in_flight(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Takes the op that completed; `None` for a late or second completion (F43).
    pub fn remove(&mut self, id: OpId) -> Option<(u32, Purpose)> {
        let (uses, slot) = ((id.0 >> 32) as u32, id.0 as u32);
        let entry = self.slots.get_mut(slot as usize)?;
        if entry.uses != uses {
            return None;
        }
        let op = entry.op.take()?;
        // A slot that was used 2^32 − 1 times is never used again.
        if entry.uses < u32::MAX {
            memory::grow(&mut self.free).push(slot);
        }
        Some(op)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// F43.
    #[test]
    fn a_late_or_second_completion_finds_nothing() {
        let mut ops = OpTable::default();
        let first = ops.insert(7, Purpose::Write);
        assert_eq!(ops.remove(first), Some((7, Purpose::Write)));
        assert_eq!(ops.remove(first), None, "twice");
        let second = ops.insert(8, Purpose::Sync);
        assert_ne!(first, second, "the slot is used again under another name");
        assert_eq!(ops.remove(first), None, "late");
        assert_eq!(ops.remove(OpId(99)), None);
        assert_eq!(ops.remove(second), Some((8, Purpose::Sync)));
    }
}
