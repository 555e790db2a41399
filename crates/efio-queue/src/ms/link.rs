//! An index of a node and a tag in one word: the counted pointer of the paper.
//!
//! ```text
//!   63          32 31           0
//!   ┌─────────────┬─────────────┐
//!   │ tag         │ index       │
//!   └─────────────┴─────────────┘
//! ```
//!
//! The tag goes up with every change, so that a compare-and-swap with an old value fails although
//! the same node is back ("ABA"). It wraps at 2³²: a thread that is stopped between its load and
//! its compare-and-swap goes wrong if exactly a multiple of 2³² changes happen meanwhile.

/// There is no node.
const NIL: u32 = u32::MAX;
/// There is no node and there never will be one.
const CLOSED: u32 = u32::MAX - 1;

/// An index and a tag; see the module.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Link {
    pub(super) index: u32,
    pub(super) tag: u32,
}

impl Link {
    #[inline(always)]
    pub(super) const fn new(index: u32, tag: u32) -> Self {
        Self { index, tag }
    }

    pub(super) const fn nil(tag: u32) -> Self {
        Self::new(NIL, tag)
    }

    #[inline(always)]
    pub(super) const fn unpack(word: u64) -> Self {
        Self::new(word as u32, (word >> 32) as u32)
    }

    #[inline(always)]
    pub(super) const fn pack(self) -> u64 {
        (self.tag as u64) << 32 | self.index as u64
    }

    /// Returns the link that replaces this one: to `index`, `steps` changes later.
    #[inline(always)]
    pub(super) const fn then(self, index: u32, steps: u32) -> Self {
        Self::new(index, self.tag.wrapping_add(steps))
    }

    /// Returns the end of a closed queue, in place of this link.
    pub(super) const fn then_closed(self) -> Self {
        self.then(CLOSED, 1)
    }

    #[inline(always)]
    pub(super) const fn is_nil(self) -> bool {
        self.index == NIL
    }

    #[inline(always)]
    pub(super) const fn is_closed(self) -> bool {
        self.index == CLOSED
    }

    /// Returns whether there is no node.
    #[inline(always)]
    pub(super) const fn is_end(self) -> bool {
        self.index >= CLOSED
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packs_and_unpacks() {
        for index in [0, 1, 77, CLOSED - 1, CLOSED, NIL] {
            for tag in [0, 1, 1 << 31, u32::MAX] {
                let link = Link::new(index, tag);
                assert_eq!(Link::unpack(link.pack()), link);
                assert_eq!(link.is_end(), link.is_nil() || link.is_closed());
                assert_eq!(link.is_end(), index >= CLOSED);
            }
        }
    }

    #[test]
    fn the_tag_wraps() {
        let last = Link::new(3, u32::MAX);
        assert_eq!(last.then(4, 1), Link::new(4, 0));
        assert_eq!(last.then_closed(), Link::new(CLOSED, 0));
    }
}
