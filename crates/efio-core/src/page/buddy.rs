//! Buddy allocation inside one slab: pure index arithmetic, no memory is touched.
//!
//! A slab of 2 MiB holds 512 units of 4 KiB. A block of order `k` is `2^k` units, aligned to its
//! own size; order 9 is the whole slab. The free space is a complete binary tree in an array:
//!
//! ```text
//! node 1            order 9   the slab
//! nodes 2, 3        order 8   its halves
//! …
//! nodes 512..1024   order 0   its units
//! ```
//!
//! A node holds 1 + the order of the largest free block below it, 0 when there is none, so that
//! allocating and releasing walk one path of at most ten nodes (Knowlton, "A fast storage
//! allocator", CACM 8(10), 1965; the tree form is Knuth's exercise 2.5-29).
//!
//! An example: the first block of order 7 (512 KiB) of a new slab is node 4, the units 0..128. Then
//! node 4 holds 0, node 2 holds 8 (its right half, of order 7, is free), and node 1 holds 9 (node
//! 3, of order 8). The next block of order 7 is node 5, since node 2 is the tighter half, and the
//! units are 128..256.

use crate::sys::memory::{HUGE_PAGE_BYTES, PAGE_BYTES};

/// Bytes of a unit, the smallest block.
pub const UNIT_BYTES: usize = PAGE_BYTES;
/// The order of a whole slab.
pub const SLAB_ORDER: u8 = 9;
/// Bytes of a slab, the largest block.
pub const SLAB_BYTES: usize = UNIT_BYTES << SLAB_ORDER;

const UNITS: usize = 1 << SLAB_ORDER;

// Direct IO can have the alignment of a whole slab, and a slab is a huge page.
const _: () = assert!(SLAB_BYTES == HUGE_PAGE_BYTES);

/// Returns the smallest order whose block holds `len` bytes, at most that of a slab.
///
/// 1 and 4096 bytes: 0. 4097 bytes: 1. 1 MiB: 8.
pub fn order_for(len: usize) -> u8 {
    let units = len.div_ceil(UNIT_BYTES).next_power_of_two();
    (units.ilog2() as u8).min(SLAB_ORDER)
}

/// The free space of one slab.
pub struct Buddy {
    /// 1 + order of the largest free block below each node; index 0 is unused.
    largest: Box<[u8; 2 * UNITS]>,
}

impl Buddy {
    /// Creates the tree of a free slab.
    pub fn new() -> Self {
        let mut largest = Box::new([0; 2 * UNITS]);
        for node in 1..2 * UNITS {
            largest[node] = order_of(node) + 1;
        }
        Self { largest }
    }

    /// Returns 1 + the order of the largest free block; 0 when the slab is full.
    pub fn largest(&self) -> u8 {
        self.largest[1]
    }

    /// Allocates a block of `order`, and returns the index of its first unit.
    ///
    /// Of two halves that both have room it chooses the tighter one, which keeps large blocks
    /// whole.
    pub fn allocate(&mut self, order: u8) -> Option<usize> {
        let need = order + 1;
        if order > SLAB_ORDER || self.largest[1] < need {
            return None;
        }
        let mut node = 1;
        for _ in order..SLAB_ORDER {
            let (left, right) = (self.largest[2 * node], self.largest[2 * node + 1]);
            let take_right = left < need || (right >= need && right < left);
            node = 2 * node + usize::from(take_right);
        }
        self.largest[node] = 0;
        self.update_above(node);
        Some((node << order) - UNITS)
    }

    /// Releases the block of `order` that starts at unit `first`.
    ///
    /// # Panics
    ///
    /// When no such block is allocated: a second release of a block, or one of another size.
    pub fn release(&mut self, first: usize, order: u8) {
        let node = (UNITS + first) >> order;
        assert!(
            order <= SLAB_ORDER && node << order == UNITS + first && self.largest[node] == 0,
            "released a block that was not allocated"
        );
        self.largest[node] = order + 1;
        self.update_above(node);
    }

    fn update_above(&mut self, mut node: usize) {
        while node > 1 {
            node /= 2;
            let (left, right) = (self.largest[2 * node], self.largest[2 * node + 1]);
            let whole = order_of(node);
            self.largest[node] = if left == whole && right == whole {
                whole + 1
            } else {
                left.max(right)
            };
        }
    }
}

/// Returns the order of a node's block.
fn order_of(node: usize) -> u8 {
    SLAB_ORDER - node.ilog2() as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_fresh_slab_is_one_block() {
        let mut buddy = Buddy::new();
        assert_eq!(buddy.allocate(SLAB_ORDER), Some(0));
        assert_eq!(buddy.largest(), 0);
        assert_eq!(buddy.allocate(0), None);
        buddy.release(0, SLAB_ORDER);
        assert_eq!(buddy.largest(), SLAB_ORDER + 1);
    }

    #[test]
    #[should_panic(expected = "not allocated")]
    fn a_double_release_is_caught() {
        let mut buddy = Buddy::new();
        let first = buddy.allocate(3).unwrap();
        buddy.release(first, 3);
        buddy.release(first, 3);
    }

    proptest! {
        /// Blocks never overlap, are aligned, and merge back into a whole slab.
        #[test]
        fn blocks_are_disjoint_and_merge(
            steps in prop::collection::vec((0u8..=9, any::<u16>()), 1..400),
        ) {
            let mut buddy = Buddy::new();
            let mut out: Vec<(usize, u8)> = Vec::new();
            let mut used = [false; UNITS];
            for (order, pick) in steps {
                if pick % 3 == 0 && !out.is_empty() {
                    let (first, order) = out.swap_remove(usize::from(pick) % out.len());
                    used[first..first + (1 << order)].fill(false);
                    buddy.release(first, order);
                } else if let Some(first) = buddy.allocate(order) {
                    prop_assert_eq!(first % (1 << order), 0);
                    let units = &mut used[first..first + (1 << order)];
                    prop_assert!(units.iter().all(|unit| !unit));
                    units.fill(true);
                    out.push((first, order));
                } else {
                    let size = 1usize << order;
                    prop_assert!(!used.chunks(size).any(|block| block.iter().all(|unit| !unit)));
                }
            }
            for (first, order) in out {
                buddy.release(first, order);
            }
            prop_assert_eq!(buddy.largest(), SLAB_ORDER + 1);
        }
    }
}
