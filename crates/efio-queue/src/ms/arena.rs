//! Where the nodes of a [`MsQueue`](super::MsQueue) live: memory that stays nodes until the queue is
//! dropped, so that a late look at a recycled node is a look at a node.
//!
//! ```text
//!   piece 0: FIRST nodes   piece 1: 2 × FIRST   piece 2: 4 × FIRST   …        index ─► piece, offset
//!   ├ used before ─────────────────────────┼ fresh ──────────┤
//!
//!   consumers ─► returned ──(all at once, when `ready` is empty)──► ready ─► producers
//! ```
//!
//! Freed nodes go on a stack of their own, and producers take from another; so the two sides meet on
//! one cache line only when `ready` has run dry. With a capacity there is one stack for both:
//! nodes on their way from stack to stack would make the queue look full.

use alloc::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use core::mem::MaybeUninit;
use core::ptr;

use efio_sync::CachePadded;
use efio_sync::shim::atomic::{AtomicPtr, AtomicU8, AtomicU32, AtomicU64, Ordering};
use efio_sync::shim::cell::UnsafeCell;

use super::link::Link;
use crate::access::Access;

/// Pieces, each twice as large as the one before.
const BLOCKS: usize = 27;

/// The value was moved out by the pop that won it.
pub(super) const TAKEN: u8 = 1;
/// The head moved past: no later pop comes by here.
pub(super) const UNLINKED: u8 = 2;

/// One item of a queue, or its dummy.
pub(super) struct Node<T> {
    pub(super) next: AtomicU64,
    /// The next node on a stack of free ones. Never `next`, which a late thread may still look at.
    free: AtomicU32,
    /// [`TAKEN`] and [`UNLINKED`]; the one who completes the pair frees the node.
    pub(super) state: AtomicU8,
    pub(super) value: UnsafeCell<MaybeUninit<T>>,
}

impl<T> Node<T> {
    fn new(state: u8) -> Self {
        Self {
            next: AtomicU64::new(Link::nil(0).pack()),
            free: AtomicU32::new(0),
            state: AtomicU8::new(state),
            value: UnsafeCell::new(MaybeUninit::uninit()),
        }
    }
}

/// See the module.
pub(super) struct Arena<T, const FIRST: usize> {
    /// What producers take from.
    ready: CachePadded<AtomicU64>,
    /// What consumers put back, unless there is a capacity.
    returned: CachePadded<AtomicU64>,
    /// The lowest index that was never handed out; nodes from here on are not initialized.
    fresh: AtomicU32,
    /// How many nodes there may ever be.
    limit: u32,
    blocks: [AtomicPtr<Node<T>>; BLOCKS],
}

impl<T, const FIRST: usize> Arena<T, FIRST> {
    const VALID: () = assert!(
        FIRST.is_power_of_two() && FIRST <= 32,
        "FIRST: 1, 2, 4, 8, 16 or 32"
    );
    /// Nodes in all pieces together.
    const MAX: u32 = (FIRST as u64 * ((1 << BLOCKS) - 1)) as u32;

    efio_sync::const_unless_loom! {
        const fn block() -> AtomicPtr<Node<T>> {
            AtomicPtr::new(ptr::null_mut())
        }

        const fn with_limit(limit: u32) -> Self {
            let () = Self::VALID;
            let none = Link::nil(0).pack();
            Self {
                ready: CachePadded::new(AtomicU64::new(none)),
                returned: CachePadded::new(AtomicU64::new(none)),
                fresh: AtomicU32::new(1),
                limit,
                blocks: [
                    Self::block(), Self::block(), Self::block(), Self::block(), Self::block(),
                    Self::block(), Self::block(), Self::block(), Self::block(), Self::block(),
                    Self::block(), Self::block(), Self::block(), Self::block(), Self::block(),
                    Self::block(), Self::block(), Self::block(), Self::block(), Self::block(),
                    Self::block(), Self::block(), Self::block(), Self::block(), Self::block(),
                    Self::block(), Self::block(),
                ],
            }
        }

        /// Grows as needed. Node 0 is in use from the start.
        pub(super) const fn new() -> Self {
            Self::with_limit(Self::MAX)
        }
    }

    /// Never more than `nodes` and node 0; all memory is allocated here.
    pub(super) fn with_capacity(nodes: usize) -> Self {
        let limit = u32::try_from(nodes)
            .ok()
            .and_then(|nodes| nodes.checked_add(1));
        let limit = limit
            .filter(|limit| *limit < Self::MAX)
            .expect("capacity too large");
        let arena = Self::with_limit(limit);
        let mut index = 0;
        while index < limit {
            let (piece, _) = Self::locate(index);
            if !arena.has_block(piece) {
                handle_alloc_error(arena.layout(piece).unwrap_or(Layout::new::<Node<T>>()));
            }
            index += Self::block_len(piece);
        }
        arena
    }

    /// Whether there is a capacity.
    #[inline(always)]
    pub(super) fn is_bounded(&self) -> bool {
        self.limit != Self::MAX
    }

    /// How many items fit, if there is a capacity.
    pub(super) fn capacity(&self) -> Option<usize> {
        self.is_bounded().then_some(self.limit as usize - 1)
    }

    /// How many nodes were ever in use.
    pub(super) fn used(&self) -> u32 {
        self.fresh.load(Ordering::Relaxed)
    }

    /// Whether node 0 can be looked at; allocates the first piece if need be. `false`: no memory.
    pub(super) fn has_first(&self) -> bool {
        self.has_block(0)
    }

    /// Whether anything was allocated yet.
    #[inline(always)]
    pub(super) fn is_started(&self) -> bool {
        !self.blocks[0].load(Ordering::Acquire).is_null()
    }

    /// The node at `index`.
    ///
    /// # Safety
    ///
    /// `index` is 0 and the arena [is started](Self::is_started), or it came from
    /// [`take`](Self::take), directly or through a link.
    #[inline(always)]
    pub(super) unsafe fn node(&self, index: u32) -> &Node<T> {
        let (piece, offset) = Self::locate(index);
        // Acquire pairs with the Release in `has_piece`.
        let start = self.blocks[piece].load(Ordering::Acquire);
        // SAFETY: the caller says that the node is in use, so its piece is there and it is
        // initialized; pieces live as long as the arena.
        unsafe { &*start.add(offset) }
    }

    /// A node for the caller alone. `None`: at the limit, or no memory.
    #[inline(always)]
    pub(super) fn take<A: Access>(&self) -> Option<u32> {
        loop {
            // Acquire pairs with the Release in `put`: we read `free`, and will write the node.
            let top = Link::unpack(self.ready.load(Ordering::Acquire));
            if top.is_nil() {
                return self.take_returned::<A>().or_else(|| self.take_fresh::<A>());
            }
            // SAFETY: only nodes that were taken before are on a stack.
            let below = unsafe { self.node(top.index) }.free.load(Ordering::Relaxed);
            // Acquire as above: it may be a newer top with the same tag that we take over from
            // whoever put it there.
            if A::advance(
                &self.ready,
                top.pack(),
                top.then(below, 1).pack(),
                Ordering::Acquire,
            ) {
                return Some(top.index);
            }
        }
    }

    /// Gives a node back.
    ///
    /// # Safety
    ///
    /// It is the caller's alone.
    #[inline(always)]
    pub(super) unsafe fn put<A: Access>(&self, index: u32) {
        let stack = if self.is_bounded() {
            &self.ready
        } else {
            &self.returned
        };
        // SAFETY: the caller's own node.
        unsafe { self.put_chain::<A>(stack, index, index) };
    }

    /// # Safety
    ///
    /// The nodes from `first` through their `free` fields to `last` are the caller's alone.
    #[inline(always)]
    unsafe fn put_chain<A: Access>(&self, stack: &AtomicU64, first: u32, last: u32) {
        // SAFETY: see above.
        let last = unsafe { self.node(last) };
        loop {
            let top = Link::unpack(stack.load(Ordering::Relaxed));
            last.free.store(top.index, Ordering::Relaxed);
            // Release pairs with the Acquire in `take` and `take_returned`.
            if A::advance(
                stack,
                top.pack(),
                top.then(first, 1).pack(),
                Ordering::Release,
            ) {
                return;
            }
        }
    }

    /// One of the returned nodes; the others become ready.
    #[cold]
    fn take_returned<A: Access>(&self) -> Option<u32> {
        let (first, rest) = loop {
            // Acquire pairs with the Release in `put_chain`.
            let top = Link::unpack(self.returned.load(Ordering::Acquire));
            if top.is_nil() {
                return None;
            }
            let none = Link::nil(top.tag.wrapping_add(1));
            if A::advance(&self.returned, top.pack(), none.pack(), Ordering::Acquire) {
                // SAFETY: the whole stack is ours now.
                break (
                    top.index,
                    unsafe { self.node(top.index) }.free.load(Ordering::Relaxed),
                );
            }
        };
        if !Link::new(rest, 0).is_nil() {
            let ready = Link::unpack(self.ready.load(Ordering::Relaxed));
            // Release pairs with the Acquire in `take`: those who take from here synchronize with
            // us, and we did with all who put.
            let emptied = ready.is_nil()
                && A::advance(
                    &self.ready,
                    ready.pack(),
                    ready.then(rest, 1).pack(),
                    Ordering::Release,
                );
            if !emptied {
                // SAFETY: ours, as above.
                unsafe { self.put_back::<A>(rest) };
            }
        }
        Some(first)
    }

    /// Another producer made nodes ready before us: ours return to where they came from.
    ///
    /// # Safety
    ///
    /// The nodes from `first` through their `free` fields to nil are the caller's alone.
    #[cold]
    unsafe fn put_back<A: Access>(&self, first: u32) {
        let mut last = first;
        // SAFETY: see above.
        unsafe {
            loop {
                let below = self.node(last).free.load(Ordering::Relaxed);
                if Link::new(below, 0).is_nil() {
                    break;
                }
                last = below;
            }
            self.put_chain::<A>(&self.returned, first, last);
        }
    }

    /// A node that was never used.
    #[cold]
    fn take_fresh<A: Access>(&self) -> Option<u32> {
        let mut index = self.fresh.load(Ordering::Relaxed);
        loop {
            // First: the place of the limit itself may be beyond what can be told.
            if index >= self.limit {
                return None;
            }
            let (piece, offset) = Self::locate(index);
            // Node 0 has to be there before any other.
            if !self.has_first() || !self.has_block(piece) {
                return None;
            }
            match self.fresh.compare_exchange_weak(
                index,
                index + 1,
                // Nothing is read through the index: the node is ours, and not yet one.
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => {
                    let start = self.blocks[piece].load(Ordering::Acquire);
                    // SAFETY: the index is ours alone, and `offset` is inside its piece.
                    unsafe { start.add(offset).write(Node::new(0)) };
                    return Some(index);
                }
                Err(now) => index = now,
            }
        }
    }

    /// Whether `piece` is there; allocates it if not. `false`: no memory.
    fn has_block(&self, piece: usize) -> bool {
        if !self.blocks[piece].load(Ordering::Acquire).is_null() {
            return true;
        }
        let Some(layout) = self.layout(piece) else {
            return false;
        };
        // SAFETY: nodes are not zero-sized, and a piece has at least one.
        let start = unsafe { alloc(layout) }.cast::<Node<T>>();
        if start.is_null() {
            return false;
        }
        if piece == 0 {
            // SAFETY: the first node of the piece, which nobody else sees yet. As a dummy it holds
            // no value.
            unsafe { start.write(Node::new(TAKEN)) };
        }
        // Release pairs with the Acquire in `node`: node 0 is seen initialized.
        let put = self.blocks[piece].compare_exchange(
            ptr::null_mut(),
            start,
            Ordering::Release,
            Ordering::Relaxed,
        );
        if put.is_err() {
            // SAFETY: nobody saw it.
            unsafe {
                if piece == 0 {
                    ptr::drop_in_place(start);
                }
                dealloc(start.cast(), layout);
            }
        }
        true
    }

    /// Which piece a node is in, and where.
    #[inline(always)]
    fn locate(index: u32) -> (usize, usize) {
        // Node `index` counted from a piece before the first: the highest bit says which piece.
        let shifted = index + FIRST as u32;
        let piece = (shifted / FIRST as u32).ilog2();
        (
            piece as usize,
            (shifted - ((FIRST as u32) << piece)) as usize,
        )
    }

    /// Room for how many nodes a full piece has.
    fn block_len(piece: usize) -> u32 {
        (FIRST as u32) << piece
    }

    /// How many nodes a piece has below the limit.
    fn nodes_in(&self, piece: usize, limit: u32) -> u32 {
        let start = Self::block_len(piece) - FIRST as u32;
        limit.saturating_sub(start).min(Self::block_len(piece))
    }

    fn layout(&self, piece: usize) -> Option<Layout> {
        Layout::array::<Node<T>>(self.nodes_in(piece, self.limit) as usize).ok()
    }
}

impl<T, const FIRST: usize> Drop for Arena<T, FIRST> {
    /// Frees the nodes; the queue dropped their values before.
    fn drop(&mut self) {
        let used = self.used();
        for piece in 0..BLOCKS {
            let start = self.blocks[piece].load(Ordering::Relaxed);
            if start.is_null() {
                continue;
            }
            let initialized = self.nodes_in(piece, used);
            let layout = self.layout(piece).expect("was allocated with this layout");
            // SAFETY: `&mut self`; nodes below `used` are initialized (their atomics and cells need
            // dropping only under loom), and the piece was allocated with this layout.
            unsafe {
                ptr::slice_from_raw_parts_mut(start, initialized as usize).drop_in_place();
                dealloc(start.cast(), layout);
            }
        }
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use crate::access::Shared;

    /// F76: a queue that has as many nodes as can be says that it is full.
    #[test]
    fn at_the_limit_there_are_no_more_nodes() {
        fn check<const FIRST: usize>() {
            let arena = Arena::<u8, FIRST>::new();
            let max = Arena::<u8, FIRST>::MAX;
            arena.fresh.store(max, Ordering::Relaxed);
            assert_eq!(arena.take::<Shared>(), None);
            let (piece, offset) = Arena::<u8, FIRST>::locate(max - 1);
            assert_eq!(piece, BLOCKS - 1);
            assert_eq!(offset as u32, Arena::<u8, FIRST>::block_len(piece) - 1);
            // No node was made.
            arena.fresh.store(1, Ordering::Relaxed);
        }
        check::<32>();
        check::<16>();
        check::<1>();
    }
}
