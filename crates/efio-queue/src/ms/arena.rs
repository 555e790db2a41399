//! The memory of an [`MsQueue`](super::MsQueue)'s nodes. It holds nodes until the queue is dropped,
//! so a late read of a recycled node still reads a node.
//!
//! ```text
//!   block 0: FIRST nodes   block 1: 2 × FIRST   block 2: 4 × FIRST   …      index ─► block, offset
//!   ├ used before ─────────────────────────┼ fresh ──────────┤
//!
//!   consumers ─► returned ──(all at once, when `ready` is empty)──► ready ─► producers
//! ```
//!
//! Consumers put freed nodes on one stack, producers take from another, so the two sides touch the
//! same cache line only when `ready` is empty. With a capacity there is one stack for both: nodes
//! between the two stacks would make the queue look full.
//!
//! Example with `FIRST` = 32: index 31 is the last node of block 0, index 32 the first of block 1,
//! index 96 the first of block 2.

use alloc::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use core::mem::MaybeUninit;
use core::ptr;

use efio_sync::CachePadded;
use efio_sync::shim::atomic::{AtomicPtr, AtomicU8, AtomicU32, AtomicU64, Ordering};
use efio_sync::shim::cell::UnsafeCell;

use super::link::Link;
use crate::access::Access;

/// Blocks, each twice as large as the one before.
const BLOCKS: usize = 27;

/// The value was moved out by the pop that won it.
pub(super) const TAKEN: u8 = 1;
/// The head moved past the node: no later pop reaches it.
pub(super) const UNLINKED: u8 = 2;

/// One item of a queue, or its dummy.
pub(super) struct Node<T> {
    pub(super) next: AtomicU64,
    /// The next node on a stack of free ones. Never `next`, which a late thread may still read.
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

/// All nodes of one queue; see the module.
pub(super) struct Arena<T, const FIRST: usize> {
    /// The stack that producers take from.
    ready: CachePadded<AtomicU64>,
    /// The stack that consumers put nodes on. Unused with a capacity.
    returned: CachePadded<AtomicU64>,
    /// The lowest index that was never taken; nodes from here on are not initialized.
    fresh: AtomicU32,
    /// The greatest number of nodes.
    limit: u32,
    blocks: [AtomicPtr<Node<T>>; BLOCKS],
}

impl<T, const FIRST: usize> Arena<T, FIRST> {
    const VALID: () = assert!(
        FIRST.is_power_of_two() && FIRST <= 32,
        "FIRST: 1, 2, 4, 8, 16 or 32"
    );
    /// Nodes in all blocks together.
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

        /// Returns an arena that grows as needed. Node 0 is in use from the start.
        pub(super) const fn new() -> Self {
            Self::with_limit(Self::MAX)
        }
    }

    /// Returns an arena of `nodes` nodes and node 0, all allocated at once.
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
            let (block, _) = Self::locate(index);
            if !arena.has_block(block) {
                handle_alloc_error(arena.layout(block).unwrap_or(Layout::new::<Node<T>>()));
            }
            index += Self::block_len(block);
        }
        arena
    }

    /// Returns whether there is a capacity.
    #[inline(always)]
    pub(super) fn is_bounded(&self) -> bool {
        self.limit != Self::MAX
    }

    /// Returns the greatest number of items, if there is a capacity.
    pub(super) fn capacity(&self) -> Option<usize> {
        self.is_bounded().then_some(self.limit as usize - 1)
    }

    /// Returns how many nodes were ever in use.
    pub(super) fn used(&self) -> u32 {
        self.fresh.load(Ordering::Relaxed)
    }

    /// Allocates the first block, and with it node 0, unless it is there. `false`: no memory.
    pub(super) fn has_first(&self) -> bool {
        self.has_block(0)
    }

    /// Returns whether anything was allocated yet.
    #[inline(always)]
    pub(super) fn is_started(&self) -> bool {
        !self.blocks[0].load(Ordering::Acquire).is_null()
    }

    /// Returns the node at `index`.
    ///
    /// # Safety
    ///
    /// `index` is 0 and the arena [is started](Self::is_started), or it came from
    /// [`take`](Self::take), directly or through a link.
    #[inline(always)]
    pub(super) unsafe fn node(&self, index: u32) -> &Node<T> {
        let (block, offset) = Self::locate(index);
        // Acquire pairs with the Release in `has_block`.
        let start = self.blocks[block].load(Ordering::Acquire);
        // SAFETY: the caller says that the node is in use, so its block is there and it is
        // initialized; blocks live as long as the arena.
        unsafe { &*start.add(offset) }
    }

    /// Takes a node for the caller only. `None`: at the limit, or no memory.
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
            // Acquire as above: it may be a newer top with the same tag, put there by
            // another thread.
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

    /// Returns a node to the arena.
    ///
    /// # Safety
    ///
    /// Only the caller uses it.
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
    /// Only the caller uses the nodes from `first` through their `free` fields to `last`.
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

    /// Takes one of the returned nodes; the others become ready.
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
            // Release pairs with the Acquire in `take`: a thread that takes from here synchronizes
            // with us, and we did with every thread that put a node.
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

    /// Puts nodes back on `returned`, because another producer made nodes ready before us.
    ///
    /// # Safety
    ///
    /// Only the caller uses the nodes from `first` through their `free` fields to nil.
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

    /// Takes a node that was never used.
    #[cold]
    fn take_fresh<A: Access>(&self) -> Option<u32> {
        let mut index = self.fresh.load(Ordering::Relaxed);
        loop {
            // First, because `locate` may overflow at the limit itself.
            if index >= self.limit {
                return None;
            }
            let (block, offset) = Self::locate(index);
            // Node 0 has to be there before any other.
            if !self.has_first() || !self.has_block(block) {
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
                    let start = self.blocks[block].load(Ordering::Acquire);
                    // SAFETY: the index is ours alone, and `offset` is inside its block.
                    unsafe { start.add(offset).write(Node::new(0)) };
                    return Some(index);
                }
                Err(now) => index = now,
            }
        }
    }

    /// Allocates `block` unless it is there. `false`: no memory.
    fn has_block(&self, block: usize) -> bool {
        if !self.blocks[block].load(Ordering::Acquire).is_null() {
            return true;
        }
        let Some(layout) = self.layout(block) else {
            return false;
        };
        // SAFETY: nodes are not zero-sized, and a block has at least one.
        let start = unsafe { alloc(layout) }.cast::<Node<T>>();
        if start.is_null() {
            return false;
        }
        if block == 0 {
            // SAFETY: the first node of the block, which nobody else sees yet. As a dummy it holds
            // no value.
            unsafe { start.write(Node::new(TAKEN)) };
        }
        // Release pairs with the Acquire in `node`: node 0 is seen initialized.
        let put = self.blocks[block].compare_exchange(
            ptr::null_mut(),
            start,
            Ordering::Release,
            Ordering::Relaxed,
        );
        if put.is_err() {
            // SAFETY: nobody saw it.
            unsafe {
                if block == 0 {
                    ptr::drop_in_place(start);
                }
                dealloc(start.cast(), layout);
            }
        }
        true
    }

    /// Returns the block of a node and its offset there.
    #[inline(always)]
    fn locate(index: u32) -> (usize, usize) {
        // Counted from an imaginary block before the first, the highest bit is the block's number.
        let shifted = index + FIRST as u32;
        let block = (shifted / FIRST as u32).ilog2();
        (
            block as usize,
            (shifted - ((FIRST as u32) << block)) as usize,
        )
    }

    /// Returns how many nodes fit into a block.
    fn block_len(block: usize) -> u32 {
        (FIRST as u32) << block
    }

    /// Returns how many nodes a block has below the limit.
    fn nodes_in(&self, block: usize, limit: u32) -> u32 {
        let start = Self::block_len(block) - FIRST as u32;
        limit.saturating_sub(start).min(Self::block_len(block))
    }

    fn layout(&self, block: usize) -> Option<Layout> {
        Layout::array::<Node<T>>(self.nodes_in(block, self.limit) as usize).ok()
    }
}

impl<T, const FIRST: usize> Drop for Arena<T, FIRST> {
    /// Frees the nodes; the queue dropped their values before.
    fn drop(&mut self) {
        let used = self.used();
        for block in 0..BLOCKS {
            let start = self.blocks[block].load(Ordering::Relaxed);
            if start.is_null() {
                continue;
            }
            let initialized = self.nodes_in(block, used);
            let layout = self.layout(block).expect("was allocated with this layout");
            // SAFETY: `&mut self`; nodes below `used` are initialized (their atomics and cells need
            // dropping only under loom), and the block was allocated with this layout.
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

    /// F76: a queue with the greatest number of nodes reports that it is full.
    #[test]
    fn at_the_limit_there_are_no_more_nodes() {
        fn check<const FIRST: usize>() {
            let arena = Arena::<u8, FIRST>::new();
            let max = Arena::<u8, FIRST>::MAX;
            arena.fresh.store(max, Ordering::Relaxed);
            assert_eq!(arena.take::<Shared>(), None);
            let (block, offset) = Arena::<u8, FIRST>::locate(max - 1);
            assert_eq!(block, BLOCKS - 1);
            assert_eq!(offset as u32, Arena::<u8, FIRST>::block_len(block) - 1);
            // No node was initialized.
            arena.fresh.store(1, Ordering::Relaxed);
        }
        check::<32>();
        check::<16>();
        check::<1>();
    }
}
