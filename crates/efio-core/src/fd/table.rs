//! The table of slots: grows to a limit, reuses closed slots in FIFO order, never moves one.
//!
//! Slots are in segments that are allocated on first use and freed with the engine, so a reference
//! to a slot is valid as long as the table. Segments grow with the table, eight of one size and
//! then eight of twice that, so at most an eighth of it is allocated and not used yet.
//!
//! ```text
//!  segments        0 … 7     8 … 15    16 … 23    …
//!  slots of each   8         16        32         …
//!  slots           0..64     64..192   192..448   …
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
const PER_SIZE: u32 = 8;
/// Enough segments for the most files that an engine may have, 2^24.
const SEGMENTS: usize = 19 * PER_SIZE as usize;

/// All descriptors of an engine.
pub struct FdTable {
    segments: [OnceLock<Box<[Slot]>>; SEGMENTS],
    /// Slots that were used and are free again, oldest first.
    free: SegQueue<u32>,
    /// Slots below this index were allocated at least once.
    fresh: AtomicU32,
    limit: u32,
}

impl FdTable {
    /// Creates a table of at most `limit` slots.
    pub fn new(limit: u32) -> Self {
        Self {
            segments: [const { OnceLock::new() }; SEGMENTS],
            free: SegQueue::new(),
            fresh: AtomicU32::new(0),
            limit,
        }
    }

    /// Returns the slot at `index`, if its segment is allocated.
    #[inline]
    pub fn get(&self, index: u32) -> Option<&Slot> {
        let (segment, offset) = locate(index);
        self.segments.get(segment)?.get()?.get(offset)
    }

    /// Iterates over all slots, in use or free.
    pub fn iter(&self) -> impl Iterator<Item = &Slot> {
        let segments = self.segments.iter().map_while(OnceLock::get);
        segments.flat_map(|segment| segment.iter())
    }

    /// Allocates the slot that was released first, or a new one.
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
                // For the next call, if there is memory for the push.
                let _ = self.free.push(index);
                return Err(Errno(libc::ENOMEM));
            };
            // Another thread may have set it first.
            let _ = self.segments[segment].set(fresh);
        }
        let slots = self.segments[segment].get();
        let slots = slots.expect("this thread or another one has set it");
        Ok((index, &slots[offset]))
    }

    /// Creates the slots of a segment, as many as the limit allows; `None` without memory for them.
    fn segment(&self, number: usize) -> Option<Box<[Slot]>> {
        let (doubled, which) = (number as u32 / PER_SIZE, number as u32 % PER_SIZE);
        let size = (FIRST / PER_SIZE) << doubled;
        let first = (FIRST << doubled) - FIRST + which * size;
        let size = size.min(self.limit - first);
        let mut slots = Vec::new();
        slots.try_reserve_exact(size as usize).ok()?;
        slots.extend((0..size).map(|_| Slot::new()));
        Some(slots.into_boxed_slice())
    }

    fn fresh_index(&self) -> Option<u32> {
        // Relaxed: the counter only allocates numbers; `OnceLock` publishes the slots.
        self.fresh
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |fresh| {
                (fresh < self.limit).then_some(fresh + 1)
            })
            .ok()
    }

    /// Releases a slot for reuse, or retires it when its generations are used up (F10).
    pub fn release(&self, index: u32) {
        let retired = self.get(index).is_none_or(Slot::is_exhausted);
        if !retired {
            memory::push(&self.free, index);
        }
    }
}

/// Returns segment and offset of a slot.
///
/// For slot 100: `shifted` is 164 = 0b1010_0100. Its highest bit is 7, so the size doubled once: 16
/// slots per segment, four bits. The bits above these are 0b1010 = 10, and the segment is
/// 1 · 8 + 10 − 8 = 10; the low four bits give offset 4. Segment 10 has the slots 96..112.
#[inline]
fn locate(index: u32) -> (usize, usize) {
    let shifted = u64::from(index) + u64::from(FIRST);
    // The highest bit gives the size of the segment, the three bits below it which of those of that
    // size, the rest the slot in it.
    let doubled = shifted.ilog2() - FIRST.ilog2();
    let bits = doubled + (FIRST / PER_SIZE).ilog2();
    let segment = doubled * PER_SIZE + (shifted >> bits) as u32 - PER_SIZE;
    (segment as usize, (shifted & ((1 << bits) - 1)) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_contiguous() {
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
    fn a_slot_without_generations_is_retired() {
        let table = FdTable::new(1);
        let (index, slot) = table.allocate().unwrap();
        slot.exhaust();
        table.release(index);
        assert!(table.allocate().is_err());
    }
}
