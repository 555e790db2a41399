//! The table of slots: grows to a limit, reuses closed slots in FIFO order, never moves one.
//!
//! Slots live in segments that are allocated on first use and stay until the engine goes: a
//! reference to a slot is good for as long as the table. Segments grow with the table, eight of one
//! size and then eight of twice that, so at most an eighth of it was allocated for nothing.
//!
//! ```text
//! segments 0 … 7: 8 slots each, 0..64    8 … 15: 16 each, 64..192    16 … 23: 32 each, 192..448    …
//! ```

use super::slot::Slot;
use crate::error::Errno;
use crate::memory;
use efio_queue::SegQueue;
use efio_sync::shim::atomic::{AtomicU32, Ordering};
use std::sync::OnceLock;

/// Slots of the first eight segments together.
const FIRST: u32 = 64;
/// Segments of one size.
const ALIKE: u32 = 8;
/// As many as hold the most files that an engine may have, 2^24.
const SEGMENTS: usize = 19 * ALIKE as usize;

/// All descriptors of an engine.
pub struct FdTable {
    segments: [OnceLock<Box<[Slot]>>; SEGMENTS],
    /// Slots that were used and are free again, oldest first.
    free: SegQueue<u32>,
    /// Slots below were handed out at least once.
    fresh: AtomicU32,
    limit: u32,
}

impl FdTable {
    /// A table of at most `limit` slots.
    pub fn new(limit: u32) -> Self {
        Self {
            segments: [const { OnceLock::new() }; SEGMENTS],
            free: SegQueue::new(),
            fresh: AtomicU32::new(0),
            limit,
        }
    }

    /// The slot at `index`, if it was ever handed out.
    #[inline]
    pub fn get(&self, index: u32) -> Option<&Slot> {
        let (segment, offset) = locate(index);
        self.segments.get(segment)?.get()?.get(offset)
    }

    /// Every slot there is, in use or free.
    pub fn iter(&self) -> impl Iterator<Item = &Slot> {
        let segments = self.segments.iter().map_while(OnceLock::get);
        segments.flat_map(|segment| segment.iter())
    }

    /// Takes a free slot, the one that was closed first.
    ///
    /// # Errors
    ///
    /// `EMFILE` when all are in use, `ENOMEM` when there is no memory for more.
    pub fn allocate(&self) -> Result<(u32, &Slot), Errno> {
        let index = self.free.pop().or_else(|| self.fresh_index());
        let index = index.ok_or(Errno(libc::EMFILE))?;
        let (segment, offset) = locate(index);
        if self.segments[segment].get().is_none() {
            let Some(fresh) = self.segment(segment) else {
                // For the next call, if there is memory for that much.
                let _ = self.free.push(index);
                return Err(Errno(libc::ENOMEM));
            };
            // Somebody else may have been quicker.
            let _ = self.segments[segment].set(fresh);
        }
        let slots = self.segments[segment].get();
        let slots = slots.expect("it was there, or somebody has set it");
        Ok((index, &slots[offset]))
    }

    /// Fresh slots for a segment, as many as the limit allows; `None` without memory for them.
    fn segment(&self, number: usize) -> Option<Box<[Slot]>> {
        let (doubled, which) = (number as u32 / ALIKE, number as u32 % ALIKE);
        let size = (FIRST / ALIKE) << doubled;
        let first = (FIRST << doubled) - FIRST + which * size;
        let size = size.min(self.limit - first);
        let mut slots = Vec::new();
        slots.try_reserve_exact(size as usize).ok()?;
        slots.extend((0..size).map(|_| Slot::new()));
        Some(slots.into_boxed_slice())
    }

    fn fresh_index(&self) -> Option<u32> {
        // Relaxed: the counter only deals out numbers; `OnceLock` publishes the slots.
        self.fresh
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |fresh| {
                (fresh < self.limit).then_some(fresh + 1)
            })
            .ok()
    }

    /// Gives a slot back. It is retired instead when its generations are used up (F10).
    pub fn release(&self, index: u32) {
        let retired = self.get(index).is_none_or(Slot::is_exhausted);
        if !retired {
            memory::push(&self.free, index);
        }
    }
}

/// Segment and offset of a slot.
#[inline]
fn locate(index: u32) -> (usize, usize) {
    let shifted = u64::from(index) + u64::from(FIRST);
    // Its highest bit tells the size of the segment, the bits behind it which of those alike, the
    // rest the slot in it.
    let doubled = shifted.ilog2() - FIRST.ilog2();
    let bits = doubled + (FIRST / ALIKE).ilog2();
    let segment = doubled * ALIKE + (shifted >> bits) as u32 - ALIKE;
    (segment as usize, (shifted & ((1 << bits) - 1)) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_follow_each_other() {
        let mut expected = (0, 0);
        for index in 0..100_000 {
            assert_eq!(locate(index), expected, "slot {index}");
            expected.1 += 1;
            if expected.1 == 8 << (expected.0 / 8) {
                expected = (expected.0 + 1, 0);
            }
        }
        assert!(
            locate(u32::MAX).0 >= SEGMENTS,
            "beyond the last segment: get gives None"
        );
    }

    #[test]
    fn slots_are_reused_oldest_first_up_to_the_limit() {
        let table = FdTable::new(3);
        assert!(table.get(0).is_none());
        let indices: Vec<u32> = (0..3).map(|_| table.allocate().unwrap().0).collect();
        assert_eq!(indices, [0, 1, 2]);
        assert!(table.allocate().is_err(), "full (F37)");
        table.release(1);
        table.release(0);
        assert_eq!(table.allocate().unwrap().0, 1);
        assert_eq!(table.allocate().unwrap().0, 0);
        assert!(table.allocate().is_err());
    }

    /// F10.
    #[test]
    fn a_worn_out_slot_is_retired() {
        let table = FdTable::new(1);
        let (index, slot) = table.allocate().unwrap();
        slot.exhaust();
        table.release(index);
        assert!(table.allocate().is_err());
    }
}
