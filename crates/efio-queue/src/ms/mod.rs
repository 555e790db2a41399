//! [`MsQueue`]: Michael and Scott's queue, a node for each item.
//!
//! ```text
//!   head ──► dummy ──next──► item ──next──► item ──next──► nil      tail ──► the last, or the one before
//! ```
//!
//! Three things differ from the paper:
//!
//! - The paper reads the value before the compare-and-swap of `head` that wins it, which is a data
//!   race when another pop wins. Here only the winner reads, afterwards. The node must therefore
//!   outlive its time as the dummy until its value is out: it is free when it is both TAKEN (by the
//!   winner of its value) and UNLINKED (by the next winner, for whom it was the dummy).
//! - Pointers with counters are indices with tags (`link.rs`) into an arena (`arena.rs`): one word,
//!   and memory that holds nodes only, so a late read of a recycled node is harmless.
//! - `close` puts a mark after the last node, where the next push would link its own node: from
//!   then on no push can succeed.

mod arena;
mod exclusive;
mod link;
mod run;
mod steps;

use alloc::alloc::{Layout, handle_alloc_error};
use alloc::vec::Vec;
use core::fmt;
use core::marker::PhantomData;
use core::mem::ManuallyDrop;
use core::panic::{RefUnwindSafe, UnwindSafe};
use core::ptr;

use efio_sync::CachePadded;
use efio_sync::shim::atomic::{AtomicU64, Ordering};

use crate::PushError;
use crate::access::{Access, Shared};
use arena::Arena;
pub use exclusive::IntoIter;
use link::Link;
pub use run::Drain;
use steps::Chain;

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
/// Linearizable; FIFO over all producers. A batch is pushed as a whole: no other item comes
/// between, unless the queue fills up in the midst of it.
///
/// # Memory
///
/// A node is the value plus 16 bytes, rounded up. Nodes are recycled and freed when the queue is
/// dropped. An empty queue that was never pushed to owns no heap memory, unless it has a capacity:
/// then it owns all nodes from the start. The unbounded queue grows by doubling, to at most 2³² −
/// 33 nodes.
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

impl<T> MsQueue<T> {
    efio_sync::const_unless_loom! {
        /// Returns an empty, unbounded queue. Allocates nothing.
        pub const fn new() -> Self {
            Self::with_first()
        }
    }

    /// Returns an empty queue for at most `capacity` items, which are all allocated for now.
    ///
    /// A node counts from the start of its push until the value is out of it *and* the next item
    /// was popped; so while a pop is in progress in another thread, `push` may return `Full` with
    /// fewer items.
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
        /// block that it allocates: 1, 2, 4, 8, 16 or 32; others do not compile.
        pub const fn with_first() -> Self {
            Self::with_arena(Arena::new())
        }
    }

    /// Returns how many items the queue may hold; `None` if it is unbounded.
    pub fn capacity(&self) -> Option<usize> {
        self.arena.capacity()
    }

    /// Puts `value` at the end of the queue.
    ///
    /// # Errors
    ///
    /// [`PushError::Closed`] after [`close`](Self::close); [`PushError::Full`] when `capacity`
    /// items are in the queue, or it cannot grow. The value comes back in both.
    #[inline]
    pub fn push(&self, value: T) -> Result<(), PushError<T>> {
        // Forgotten before it is linked: once it is, another thread may pop and drop it, and to
        // move it then, be it into `forget`, would touch what it owns.
        let value = ManuallyDrop::new(value);
        let Some(index) = self.prepare::<Shared>(&value) else {
            return Err(self.push_error().with(ManuallyDrop::into_inner(value)));
        };
        let appended = self.append(Chain {
            first: index,
            last: index,
            len: 1,
        });
        if appended {
            Ok(())
        } else {
            // SAFETY: nobody saw the node.
            unsafe { self.arena.put::<Shared>(index) };
            Err(PushError::Closed(ManuallyDrop::into_inner(value)))
        }
    }

    /// Moves all of `items` to the end of the queue, in order, by one swing of the last link.
    ///
    /// # Errors
    ///
    /// As [`push`](Self::push). What was not pushed stays in `items`; a queue that becomes full has
    /// taken as many as there was room for.
    pub fn push_batch(&self, items: &mut Vec<T>) -> Result<(), PushError<()>> {
        let total = items.len();
        let values = items.as_mut_ptr();
        // SAFETY: 0 is less than the capacity. From here on the values are ours to move; if we
        // never came back they would leak. (As in `push`: forgotten before they are linked.)
        unsafe { items.set_len(0) };
        let mut chain: Option<Chain> = None;
        for offset in 0..total {
            // SAFETY: one of the values. The reference ends before the value is linked.
            let value = unsafe { &*values.add(offset) };
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
        let mut closed = false;
        let pushed = match chain {
            None => 0,
            Some(chain) => {
                let (first, len) = (chain.first, chain.len);
                if self.append(chain) {
                    len as usize
                } else {
                    // SAFETY: nobody saw the nodes.
                    unsafe { self.put_all(first, len) };
                    closed = true;
                    0
                }
            }
        };
        let left = total - pushed;
        // SAFETY: the first `pushed` values are in the queue now; the others move to the front.
        unsafe {
            ptr::copy(values.add(pushed), values, left);
            items.set_len(left);
        }
        match left {
            _ if closed => Err(PushError::Closed(())),
            0 => Ok(()),
            _ => Err(self.push_error()),
        }
    }

    /// Takes the item at the front of the queue. `None`: the queue is empty.
    #[inline]
    pub fn pop(&self) -> Option<T> {
        self.reserve(1)?.next()
    }

    /// Moves up to `max` items from the front of the queue to the end of `out`, reserving many at
    /// once. Returns how many; fewer than `max` if it found the queue empty.
    pub fn pop_batch(&self, out: &mut Vec<T>, max: usize) -> usize {
        let mut count = 0;
        while count < max {
            match self.reserve(max - count) {
                Some(run) => {
                    count += run.len();
                    out.extend(run);
                }
                None => break,
            }
        }
        count
    }

    /// Takes items until it finds the queue empty, reserving many at once.
    ///
    /// Dropping the iterator drops the items that it reserved and did not yield (at most 128); the
    /// others stay in the queue.
    pub fn drain(&self) -> Drain<'_, T, FIRST> {
        Drain::new(self)
    }

    /// Returns how many items there were at about this time: an estimate while other threads push
    /// and pop, exact when they do not.
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

    /// Returns whether there was no item at about this time.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Refuses every later push. Items in the queue can still be popped. Returns whether this
    /// call closed the queue.
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

    /// Returns whether the queue was closed.
    pub fn is_closed(&self) -> bool {
        self.arena.is_started() && self.last().1.is_closed()
    }

    /// Returns the error of a push for which no node was available.
    #[cold]
    fn push_error(&self) -> PushError<()> {
        if self.is_closed() {
            PushError::Closed(())
        } else {
            PushError::Full(())
        }
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
