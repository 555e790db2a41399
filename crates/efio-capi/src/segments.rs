//! A table that grows and never moves an entry.
//!
//! ```text
//! segment 0: 0..64   segment 1: 64..192   segment 2: 192..448   …   segment k: 64·2^k entries
//! ```

use std::sync::OnceLock;

const FIRST: u32 = 64;
const SEGMENTS: usize = 26;

/// See the module. An entry lives from the first use of its segment to the end of the program.
pub struct Segments<T> {
    segments: [OnceLock<Box<[T]>>; SEGMENTS],
}

impl<T: Default> Segments<T> {
    /// An empty table.
    pub const fn new() -> Self {
        Self {
            segments: [const { OnceLock::new() }; SEGMENTS],
        }
    }

    /// Returns the entry at `index`; `None` when its segment was never used.
    #[inline]
    pub fn get(&self, index: u32) -> Option<&T> {
        let (segment, offset) = locate(index);
        self.segments.get(segment)?.get()?.get(offset)
    }

    /// Returns the entry at `index` and makes its segment if need be. `None` beyond the last
    /// segment, after about 2^32 entries.
    pub fn get_or_make(&self, index: u32) -> Option<&T> {
        let (segment, offset) = locate(index);
        let entries = self.segments.get(segment)?.get_or_init(|| {
            let size = FIRST as usize * (1 << segment);
            (0..size).map(|_| T::default()).collect()
        });
        entries.get(offset)
    }
}

/// Returns segment and offset of an entry. Segment k begins at 64 · (2^k − 1), so index + 64 has
/// its highest bit at k + 6.
///
/// Example: index 200 → 264 = 256 + 8: segment 2, offset 8.
#[inline]
fn locate(index: u32) -> (usize, usize) {
    let shifted = u64::from(index) + u64::from(FIRST);
    let segment = shifted.ilog2() - FIRST.ilog2();
    let offset = shifted - (u64::from(FIRST) << segment);
    (segment as usize, offset as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_follow_each_other_and_stay() {
        let table = Segments::<std::sync::atomic::AtomicU32>::new();
        assert!(table.get(0).is_none());
        let first: *const _ = table.get_or_make(0).unwrap();
        let mut expected = (0, 0);
        for index in 0..100_000 {
            assert_eq!(locate(index), expected, "entry {index}");
            expected.1 += 1;
            if expected.1 == (FIRST as usize) << expected.0 {
                expected = (expected.0 + 1, 0);
            }
        }
        table.get_or_make(10_000).unwrap();
        assert!(std::ptr::eq(first, table.get(0).unwrap()));
        assert!(table.get(63).is_some() && table.get(64).is_none());
        assert!(table.get(u32::MAX).is_none() && table.get_or_make(u32::MAX).is_none());
    }
}
