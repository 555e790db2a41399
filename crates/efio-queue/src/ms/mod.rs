//! [`MsQueue`]: Michael and Scott's queue, a node for each item.
//!
//! ```text
//!   head ──► dummy ──next──► item ──next──► item ──next──► nil      tail ──► the last, or the one before
//! ```
//!
//! Three things differ from the paper:
//!
//! - The paper reads the value before the compare-and-swap of `head` that wins it, which is a data
//!   race when another pop wins. Here the winner alone reads, afterwards. The node must therefore
//!   outlive its time as the dummy until its value is out: it is free when it is both TAKEN (by the
//!   winner of its value) and UNLINKED (by the next winner, for whom it was the dummy).
//! - Pointers with counters are indices with tags (`link.rs`) into an arena (`arena.rs`): one word, and memory that
//!   stays nodes, which is what makes a late look at a recycled node harmless.
//! - `close` puts a mark behind the last node, where the next push would have linked its own: after
//!   it no push can succeed.

mod arena;
mod exclusive;
mod link;
mod run;

use alloc::alloc::{Layout, handle_alloc_error};
use alloc::vec::Vec;
use core::fmt;
use core::marker::PhantomData;
use core::mem::MaybeUninit;
use core::panic::{RefUnwindSafe, UnwindSafe};
use core::ptr;

use efio_sync::CachePadded;
use efio_sync::shim::atomic::{AtomicU64, Ordering};

use crate::PushError;
use crate::access::{Access, Shared};
use arena::{Arena, TAKEN, UNLINKED};
pub use exclusive::IntoIter;
use link::Link;
pub use run::Drain;
use run::Run;

/// A lock-free queue for any number of producers and consumers, bounded or unbounded.
///
/// # Progress
///
/// Lock-free, each operation: some thread always completes, wherever others are stopped. (Growing
/// calls the allocator, which may not be lock-free; a queue [with a capacity](Self::with_capacity)
/// never allocates after it was made.) No fairness: one thread may lose every race.
///
/// # Order
///
/// Linearizable; FIFO over all producers. A batch is pushed as a whole: no other item comes between,
/// unless the queue fills up in the midst of it.
///
/// # Memory
///
/// A node is the value plus 16 bytes, rounded up. Nodes are recycled and freed when the queue is
/// dropped. An empty queue that was never pushed to owns no heap memory, unless it has a capacity:
/// then it owns all nodes from the start. The unbounded queue grows by doubling, to at most 2³² − 33
/// nodes.
///
/// # Source
///
/// M. M. Michael and M. L. Scott, "Simple, Fast, and Practical Non-Blocking and Blocking Concurrent
/// Queue Algorithms", PODC 1996, section 2, figure 1.
///
/// # Example
///
/// ```
/// use efio_queue::{MsQueue, PushError};
///
/// let queue = MsQueue::with_capacity(2);
/// queue.push('a').unwrap();
/// queue.push('b').unwrap();
/// assert_eq!(queue.push('c'), Err(PushError::Full('c')));
/// assert_eq!(queue.pop(), Some('a'));
/// ```
pub struct MsQueue<T, const FIRST: usize = 32> {
    /// The dummy. The item at the front is in the node after it.
    head: CachePadded<AtomicU64>,
    /// The last node, or one that was last a moment ago.
    tail: CachePadded<AtomicU64>,
    arena: Arena<T, FIRST>,
    owns: PhantomData<T>,
}

// SAFETY: a value is handed from the thread that pushed it to the one that pops it, never shared.
unsafe impl<T: Send, const FIRST: usize> Send for MsQueue<T, FIRST> {}
// SAFETY: as above; `&MsQueue` gives no reference to a value.
unsafe impl<T: Send, const FIRST: usize> Sync for MsQueue<T, FIRST> {}

// No call of ours unwinds between the steps of an operation.
impl<T, const FIRST: usize> UnwindSafe for MsQueue<T, FIRST> {}
impl<T, const FIRST: usize> RefUnwindSafe for MsQueue<T, FIRST> {}

/// Nodes of the caller's, linked through `next`, `last` to nil.
struct Chain {
    first: u32,
    last: u32,
    len: u32,
}

impl<T> MsQueue<T> {
    efio_sync::const_unless_loom! {
        /// An empty, unbounded queue. Allocates nothing.
        pub const fn new() -> Self {
            Self::with_first()
        }
    }

    /// An empty queue for at most `capacity` items, which are all allocated for now.
    ///
    /// A node counts from the start of its push until the value is out of it *and* the next item was
    /// popped; so while a pop is under way in another thread, `push` may say "full" with fewer items.
    ///
    /// # Panics
    ///
    /// If `capacity` is 2³² − 33 or more.
    pub fn with_capacity(capacity: usize) -> Self {
        Self::with_arena(Arena::with_capacity(capacity))
    }
}

impl<T, const FIRST: usize> MsQueue<T, FIRST> {
    efio_sync::const_unless_loom! {
        const fn with_arena(arena: Arena<T, FIRST>) -> Self {
            // Node 0 is the first dummy.
            let start = Link::new(0, 0).pack();
            Self {
                head: CachePadded::new(AtomicU64::new(start)),
                tail: CachePadded::new(AtomicU64::new(start)),
                arena,
                owns: PhantomData,
            }
        }

        /// [`new`](MsQueue::new) with room for another number of nodes than 32 in the first
        /// piece that it allocates: 1, 2, 4, 8, 16 or 32; others do not compile.
        pub const fn with_first() -> Self {
            Self::with_arena(Arena::new())
        }
    }

    /// How many items the queue may hold; `None` if it is unbounded.
    pub fn capacity(&self) -> Option<usize> {
        self.arena.capacity()
    }

    /// Puts `value` at the end of the queue.
    ///
    /// # Errors
    ///
    /// [`PushError::Closed`] after [`close`](Self::close); [`PushError::Full`] when `capacity` items
    /// are in the queue, or it cannot grow. The value comes back in both.
    #[inline]
    pub fn push(&self, value: T) -> Result<(), PushError<T>> {
        let Some(index) = self.prepare::<Shared>(&value) else {
            return Err(self.why_not().with(value));
        };
        match self.append(Chain {
            first: index,
            last: index,
            len: 1,
        }) {
            true => {
                core::mem::forget(value);
                Ok(())
            }
            false => {
                // SAFETY: nobody saw the node.
                unsafe { self.arena.put::<Shared>(index) };
                Err(PushError::Closed(value))
            }
        }
    }

    /// Moves all of `items` to the end of the queue, in order, by one swing of the last link.
    ///
    /// # Errors
    ///
    /// As [`push`](Self::push). What was not pushed stays in `items`; a queue that becomes full has
    /// taken as many as there was room for.
    pub fn push_batch(&self, items: &mut Vec<T>) -> Result<(), PushError<()>> {
        let mut chain: Option<Chain> = None;
        for value in items.iter() {
            let Some(index) = self.prepare::<Shared>(value) else {
                break;
            };
            chain = Some(match chain {
                None => Chain {
                    first: index,
                    last: index,
                    len: 1,
                },
                Some(chain) => {
                    // SAFETY: nodes of ours; the last one's link is nil.
                    unsafe {
                        let next = &self.arena.node(chain.last).next;
                        let end = Link::unpack(next.load(Ordering::Relaxed));
                        // Release for the same reason as in `prepare`.
                        next.store(end.then(index, 1).pack(), Ordering::Release);
                    }
                    Chain {
                        last: index,
                        len: chain.len + 1,
                        ..chain
                    }
                }
            });
        }
        let pushed = match chain {
            None => 0,
            Some(chain) => {
                let (first, len) = (chain.first, chain.len);
                if !self.append(chain) {
                    // SAFETY: nobody saw the nodes.
                    unsafe { self.put_all(first, len) };
                    return Err(PushError::Closed(()));
                }
                len as usize
            }
        };
        let left = items.len() - pushed;
        // SAFETY: the first `pushed` values are in the queue now; the others go to the front.
        unsafe {
            items.set_len(0);
            let start = items.as_mut_ptr();
            ptr::copy(start.add(pushed), start, left);
            items.set_len(left);
        }
        if left == 0 {
            Ok(())
        } else {
            Err(self.why_not())
        }
    }

    /// Takes the item at the front of the queue. `None`: the queue is empty.
    #[inline]
    pub fn pop(&self) -> Option<T> {
        self.claim(1)?.next()
    }

    /// Moves up to `max` items from the front of the queue to the end of `out`, claiming many at
    /// once. Says how many; fewer than `max` if it found the queue empty.
    pub fn pop_batch(&self, out: &mut Vec<T>, max: usize) -> usize {
        let mut count = 0;
        while count < max {
            match self.claim(max - count) {
                Some(run) => {
                    count += run.len();
                    out.extend(run);
                }
                None => break,
            }
        }
        count
    }

    /// Takes items until it finds the queue empty, claiming many at once.
    ///
    /// Dropping the iterator drops the items that it claimed and did not yield (at most 128); the
    /// others stay in the queue.
    pub fn drain(&self) -> Drain<'_, T, FIRST> {
        Drain::new(self)
    }

    /// How many items there were at about this time: an estimate while other threads push and pop,
    /// exact when they do not.
    #[inline]
    pub fn len(&self) -> usize {
        // The tags count: the head's every pop, the tail's every push. `head` first: it cannot then
        // overtake `tail`, except on a machine with weak ordering, where the difference wraps and
        // is more than there can be.
        let head = Link::unpack(self.head.load(Ordering::Acquire)).tag;
        let tail = Link::unpack(self.tail.load(Ordering::Acquire)).tag;
        let len = tail.wrapping_sub(head);
        if len < self.arena.used() {
            len as usize
        } else {
            0
        }
    }

    /// Whether there was no item at about this time.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Refuses every later push. Items in the queue can still be popped. Says whether this call was
    /// the one that closed the queue.
    ///
    /// A queue that was never pushed to allocates its first nodes here.
    pub fn close(&self) -> bool {
        if !self.arena.has_first() {
            handle_alloc_error(Layout::new::<T>());
        }
        loop {
            let (tail, end) = self.last();
            if end.is_closed() {
                return false;
            }
            // SAFETY: a tail is a node in use.
            let next = unsafe { &self.arena.node(tail.index).next };
            if Shared::advance(next, end.pack(), end.then_closed().pack(), Ordering::SeqCst) {
                return true;
            }
        }
    }

    /// Whether the queue was closed.
    pub fn is_closed(&self) -> bool {
        self.arena.is_started() && self.last().1.is_closed()
    }

    /// The last node and the end behind it.
    #[inline(always)]
    fn last(&self) -> (Link, Link) {
        loop {
            // Acquire pairs with the Release of the swing: the node is there.
            let tail = Link::unpack(self.tail.load(Ordering::Acquire));
            // SAFETY: a tail is a node in use.
            let next = unsafe { &self.arena.node(tail.index).next };
            // Acquire pairs with the Release in `prepare`: should the node have been recycled, then
            // we see, next, that it is no longer the tail.
            let next = Link::unpack(next.load(Ordering::SeqCst));
            if tail.pack() != self.tail.load(Ordering::Acquire) {
                continue;
            }
            if next.is_end() {
                return (tail, next);
            }
            self.swing(tail, next);
        }
    }

    /// Moves the tail on by one node, for whoever linked it there.
    #[inline(always)]
    fn swing(&self, tail: Link, next: Link) {
        // Release pairs with the Acquire in `last` and `claim`. If it fails, somebody else did it.
        Shared::advance(
            &self.tail,
            tail.pack(),
            tail.then(next.index, 1).pack(),
            Ordering::Release,
        );
    }

    /// Links the caller's nodes behind the last one. `false`: closed; they are still the caller's.
    #[inline(always)]
    fn append(&self, chain: Chain) -> bool {
        loop {
            let (tail, end) = self.last();
            if end.is_closed() {
                return false;
            }
            // SAFETY: a tail is a node in use.
            let next = unsafe { &self.arena.node(tail.index).next };
            // Release pairs with the Acquire load of `next` in `claim`: the value is there. SeqCst:
            // see the check for an empty queue there.
            if Shared::advance(
                next,
                end.pack(),
                end.then(chain.first, 1).pack(),
                Ordering::SeqCst,
            ) {
                // Release as in `swing`.
                let behind = tail.then(chain.last, chain.len);
                let swung = self
                    .tail
                    .compare_exchange(
                        tail.pack(),
                        behind.pack(),
                        Ordering::Release,
                        Ordering::Relaxed,
                    )
                    .is_ok();
                if !swung && chain.len > 1 {
                    // Others helped, one node at a time; see that they come to the end of it.
                    self.last();
                }
                return true;
            }
        }
    }

    /// Claims up to `want` items at the front.
    #[inline(always)]
    fn claim(&self, want: usize) -> Option<Run<'_, T, FIRST>> {
        if !self.arena.is_started() {
            return None;
        }
        loop {
            // Acquire pairs with the Release of the advance below: the node is there.
            let head = Link::unpack(self.head.load(Ordering::Acquire));
            let tail = Link::unpack(self.tail.load(Ordering::Acquire));
            // SAFETY: a head is a node in use.
            let next = unsafe { &self.arena.node(head.index).next };
            // Acquire pairs with the Release in `append` (value and link of the next node) and in
            // `prepare` (should the node have been recycled, we see that it is no longer the head).
            // SeqCst pairs with that in `append`: of two threads that push to one queue and then
            // find the other empty, one is told the truth.
            let first = Link::unpack(next.load(Ordering::SeqCst));
            if head.pack() != self.head.load(Ordering::Acquire) {
                continue;
            }
            if first.is_end() {
                return None;
            }
            if head.index == tail.index {
                // The head must not overtake the tail.
                self.swing(tail, first);
                continue;
            }
            let Some((last, count)) = self.walk(first.index, tail.index, want) else {
                continue;
            };
            // Release pairs with the Acquire above. Acquire is not needed: what we go on to read
            // was published to the loads of `next`.
            if Shared::advance(
                &self.head,
                head.pack(),
                head.then(last, count).pack(),
                Ordering::Release,
            ) {
                self.unlink(head.index);
                return Some(Run::new(self, first.index, count));
            }
        }
    }

    /// From the node `first` on, at most `want` nodes and not beyond `tail`: the last one, and how
    /// many. `None`: what it saw cannot be; the head has moved.
    #[inline(always)]
    fn walk(&self, first: u32, tail: u32, want: usize) -> Option<(u32, u32)> {
        let (mut last, mut count) = (first, 1);
        while (count as usize) < want && last != tail {
            // SAFETY: reached through a link from a node in use.
            let next = unsafe { &self.arena.node(last).next };
            // Acquire as in `claim`.
            let next = Link::unpack(next.load(Ordering::Acquire));
            if next.is_end() {
                return None;
            }
            last = next.index;
            count += 1;
        }
        Some((last, count))
    }

    /// A node of the caller's with a copy of `value`, which the caller must forget if it goes into the
    /// queue, and its link at nil. `None`: no node is to be had.
    #[inline(always)]
    fn prepare<A: Access>(&self, value: &T) -> Option<u32> {
        let index = self.arena.take::<A>()?;
        // SAFETY: taken just now.
        let node = unsafe { self.arena.node(index) };
        // SAFETY: the node is ours alone. The copy of the value is used at most once: the caller
        // either links the node and forgets the value, or puts the node back.
        node.value.with_mut(|cell| unsafe {
            ptr::copy_nonoverlapping(value, (*cell).as_mut_ptr(), 1);
        });
        node.state.store(0, Ordering::Relaxed);
        let old = Link::unpack(node.next.load(Ordering::Relaxed));
        // Release pairs with the Acquire loads of `next` in `last` and `claim`: a thread for which
        // this node still is the tail or the head, and which reads this nil, would link to it or
        // believe the queue empty; it must then see that tail or head has moved on.
        node.next
            .store(Link::nil(old.tag.wrapping_add(1)).pack(), Ordering::Release);
        Some(index)
    }

    /// There was no node to be had: what to say.
    #[cold]
    fn why_not(&self) -> PushError<()> {
        if self.is_closed() {
            PushError::Closed(())
        } else {
            PushError::Full(())
        }
    }

    /// Puts back `len` linked nodes that nobody saw.
    ///
    /// # Safety
    ///
    /// They are the caller's.
    #[cold]
    unsafe fn put_all(&self, first: u32, len: u32) {
        let mut index = first;
        for _ in 0..len {
            // SAFETY: ours, until we put it back.
            unsafe {
                let next = Link::unpack(self.arena.node(index).next.load(Ordering::Relaxed));
                self.arena.put::<Shared>(index);
                index = next.index;
            }
        }
    }

    /// The head moved past the node `index`, by us: frees it if its value is out.
    #[inline(always)]
    fn unlink(&self, index: u32) {
        // SAFETY: a head is a node in use.
        unsafe { self.finish(index, UNLINKED) };
    }

    /// Sets one of the node's two flags; with both, the node is free.
    ///
    /// # Safety
    ///
    /// The caller is the one to set this flag: the winner of its value, or of the value after it.
    #[inline(always)]
    unsafe fn finish(&self, index: u32, flag: u8) {
        // SAFETY: the node is in use as long as a flag is missing.
        let state = unsafe { &self.arena.node(index).state };
        // Acquire pairs with the Release of the other flag: the other one is done with the node.
        // With the other flag in place nobody else will write, so a load will do.
        if state.load(Ordering::Acquire) == (TAKEN | UNLINKED) - flag
            || state.fetch_or(flag, Ordering::AcqRel) == (TAKEN | UNLINKED) - flag
        {
            // SAFETY: both flags: nobody else has business with the node.
            unsafe { self.arena.put::<Shared>(index) };
        }
    }

    /// Moves the value out of a node.
    ///
    /// # Safety
    ///
    /// The caller won it and did not take it before.
    #[inline(always)]
    unsafe fn read(&self, index: u32) -> T {
        // SAFETY: the winner is the only one to read; the node is not recycled before it says TAKEN.
        let node = unsafe { self.arena.node(index) };
        // SAFETY: as above, and the value was written before the node was linked.
        node.value
            .with(|cell| unsafe { MaybeUninit::assume_init_read(&*cell) })
    }
}

impl<T, const FIRST: usize> Default for MsQueue<T, FIRST> {
    fn default() -> Self {
        Self::with_first()
    }
}

impl<T, const FIRST: usize> fmt::Debug for MsQueue<T, FIRST> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MsQueue")
            .field("len", &self.len())
            .field("capacity", &self.capacity())
            .field("is_closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}
