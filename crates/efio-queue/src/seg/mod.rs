//! [`SegQueue`]: Michael and Scott's list, with segments of many slots for nodes.
//!
//! ```text
//!   head: position ── segment ──┐                          tail: position ── segment ──┐
//!                               ▼                                                      ▼
//!             ┌ segment ──────────────┐ next  ┌ segment ──────────────┐ next  ┌ segment ──────────┐ next
//!             │ ▒ ▒ ▒ ▒ █ █ █ █ █ █ █ │──────►│ █ █ █ █ █ █ █ █ █ █ █ │──────►│ █ █ █ ◌ █ . . . . │────► allocated
//!             └───────────────────────┘       └───────────────────────┘       └───────────────────┘
//!               ▒ taken   █ written   ◌ reserved, not yet written   . free
//! ```
//!
//! A position is a number that only grows: item `p` lives in slot `p % SLOTS` of stretch `p /
//! SLOTS`. A push reserves a position by a compare-and-swap of `tail`, writes the value and then
//! its stamp. A pop looks at the slot of `head` *first*: if the stamp says that its value is
//! written, one compare-and-swap of `head` makes it the pop's own, and the cache line of `tail`, on
//! which the producers contend, is not touched. Only a pop that finds no value reads `tail`, which
//! distinguishes "empty" from "reserved, not yet written".
//!
//! Looking before reserving needs memory that stays segments: segments are recycled through
//! the pool (`pool.rs`) and freed only with `&mut self`. What a late pop sees in a segment that
//! moved on is the stamp of another position, or its compare-and-swap fails, because a position
//! never comes back.

mod exclusive;
mod pool;
mod reserve;
mod run;
mod segment;

use alloc::vec::Vec;
use core::fmt;
use core::marker::PhantomData;
use core::panic::{RefUnwindSafe, UnwindSafe};
use core::ptr;

use efio_sync::CachePadded;
use efio_sync::shim::atomic::{AtomicPtr, AtomicU64, Ordering};

use crate::PushError;
use crate::access::{Access, Shared};
pub use exclusive::IntoIter;
use pool::Pool;
use reserve::Reservation;
pub use run::Drain;
use segment::Segment;

/// Set in the tail position: no more pushes.
const CLOSED: u64 = 1 << 63;

/// An unbounded queue for any number of producers and consumers: the fast one.
///
/// # Progress
///
/// *Not* lock-free; it waits as little as a queue with plain stores can (with the read-modify-write
/// for each item that lock-freedom takes here, a push and a pop took 37 % longer):
///
/// - `push` never waits inside a segment. Once in `SLOTS` pushes it waits for the push that
///   reserved the last slot of a segment to store one pointer, and, should that one have been
///   preempted for as long as it took to fill a whole segment, for it to allocate the next one.
/// - `pop` waits for the push that reserved the slot at the head, if that one has not written its
///   value yet, and once in `SLOTS` pops for the pop that took the last slot to store one pointer.
///   It never waits for another pop's value to be moved out.
/// - `len`, `is_empty`, `close` and `is_closed` never wait.
///
/// Waiting is a short spin, then (with the feature `std`) yielding the processor. There is no
/// fairness between threads of one side; items themselves leave in the order in which they were
/// reserved.
///
/// # Order
///
/// Linearizable; FIFO over all producers. A batch is reserved in runs of at most `SLOTS`
/// neighbouring positions: its items keep their order, those of others may come between two runs.
///
/// # Memory
///
/// An empty queue that was never pushed to owns no heap memory. After that it owns at least two
/// segments of `SLOTS` slots, a slot being the value plus 9 bytes. Segments are recycled: after a
/// burst they stay with the queue until it is dropped or [`shrink_to_fit`](Self::shrink_to_fit).
/// When no memory is available, `push` gives the value back as [`PushError::Full`].
///
/// # Source
///
/// The list and its two ends: M. M. Michael and M. L. Scott, "Simple, Fast, and Practical
/// Non-Blocking and Blocking Concurrent Queue Algorithms", PODC 1996, section 2. Arrays for nodes:
/// as in LCRQ (A. Morrison and Y. Afek, PPoPP 2013) and FAAArrayQueue (A. Correia and P.
/// Ramalhete), without their lock-freedom. Stamps: D. Vyukov's bounded MPMC queue.
///
/// # Example
///
/// ```
/// use efio_queue::SegQueue;
///
/// static JOBS: SegQueue<u32> = SegQueue::new();
///
/// std::thread::scope(|scope| {
///     scope.spawn(|| (0..100).for_each(|job| JOBS.push(job).unwrap()));
///     scope.spawn(|| JOBS.push_batch(&mut (100..200).collect()).unwrap());
/// });
/// assert_eq!(JOBS.drain().map(u64::from).sum::<u64>(), (0..200).sum());
/// ```
pub struct SegQueue<T, const SLOTS: usize = 128> {
    tail: CachePadded<End<T, SLOTS>>,
    head: CachePadded<End<T, SLOTS>>,
    pool: Pool<T, SLOTS>,
    owns: PhantomData<T>,
}

/// One end of the queue.
struct End<T, const SLOTS: usize> {
    /// The next position to reserve.
    position: AtomicU64,
    /// The segment of that position, or the one before it for a moment. Null before the first push.
    segment: AtomicPtr<Segment<T, SLOTS>>,
}

// SAFETY: a value is handed from the thread that pushed it to the one that pops it, never shared.
unsafe impl<T: Send, const SLOTS: usize> Send for SegQueue<T, SLOTS> {}
// SAFETY: as above; `&SegQueue` gives no reference to a value.
unsafe impl<T: Send, const SLOTS: usize> Sync for SegQueue<T, SLOTS> {}

// No call of ours unwinds while a position is reserved and not dealt with.
impl<T, const SLOTS: usize> UnwindSafe for SegQueue<T, SLOTS> {}
impl<T, const SLOTS: usize> RefUnwindSafe for SegQueue<T, SLOTS> {}

impl<T> SegQueue<T> {
    efio_sync::const_unless_loom! {
        /// Returns an empty queue with segments of 128 slots. Allocates nothing.
        pub const fn new() -> Self {
            Self::with_slots()
        }
    }
}

impl<T, const SLOTS: usize> SegQueue<T, SLOTS> {
    const HAS_SLOTS: () = assert!(SLOTS > 0, "a segment needs at least one slot");

    efio_sync::const_unless_loom! {
        /// [`new`](SegQueue::new) with segments of another size than 128.
        ///
        /// Fewer slots take less memory when the queue is short, more make the ends of segments,
        /// where an operation may have to wait, rarer. Does not compile with 0 slots.
        pub const fn with_slots() -> Self {
            let () = Self::HAS_SLOTS;
            Self {
                tail: CachePadded::new(End {
                    position: AtomicU64::new(0),
                    segment: AtomicPtr::new(ptr::null_mut()),
                }),
                head: CachePadded::new(End {
                    position: AtomicU64::new(0),
                    segment: AtomicPtr::new(ptr::null_mut()),
                }),
                pool: Pool::new(),
                owns: PhantomData,
            }
        }
    }

    /// Puts `value` at the end of the queue.
    ///
    /// # Errors
    ///
    /// [`PushError::Closed`] after [`close`](Self::close); [`PushError::Full`] when a new segment
    /// is needed and no memory is available. The value comes back in both.
    #[inline]
    pub fn push(&self, value: T) -> Result<(), PushError<T>> {
        self.push_as::<Shared>(value)
    }

    #[inline(always)]
    fn push_as<A: Access>(&self, value: T) -> Result<(), PushError<T>> {
        match self.reserve::<A>(1) {
            Ok(reserved) => {
                // SAFETY: reserved by us for writing just now.
                unsafe {
                    reserved
                        .segment
                        .write(reserved.offset, reserved.position, value)
                };
                if let Some(installed) = reserved.installed {
                    // SAFETY: the reservation makes us the allocator.
                    unsafe { self.allocate_next(installed) };
                }
                Ok(())
            }
            Err(refused) => Err(refused.with(value)),
        }
    }

    /// Moves all of `items` to the end of the queue, in order, reserving many slots at once.
    ///
    /// # Errors
    ///
    /// As [`push`](Self::push); what was not pushed stays in `items`.
    pub fn push_batch(&self, items: &mut Vec<T>) -> Result<(), PushError<()>> {
        let total = items.len();
        let values = items.as_ptr();
        // SAFETY: 0 is less than the capacity. From here on the values are ours to move; if we
        // never came back they would leak.
        unsafe { items.set_len(0) };
        let mut pushed = 0;
        let mut outcome = Ok(());
        while pushed < total {
            match self.reserve::<Shared>(total - pushed) {
                Ok(reserved) => {
                    // SAFETY: each value of `items` is moved out once. The slots were reserved by
                    // us for writing.
                    unsafe {
                        let source = values.add(pushed);
                        let Reservation {
                            segment,
                            position,
                            offset,
                            count,
                            ..
                        } = reserved;
                        segment.write_batch(offset, position, source, count);
                    }
                    pushed += reserved.count;
                    if let Some(installed) = reserved.installed {
                        // SAFETY: the reservation makes us the allocator.
                        unsafe { self.allocate_next(installed) };
                    }
                }
                Err(refused) => {
                    outcome = Err(refused);
                    break;
                }
            }
        }
        let left = total - pushed;
        // SAFETY: the values after the first `pushed` were not moved out; they move to the front.
        unsafe {
            let start = items.as_mut_ptr();
            ptr::copy(start.add(pushed), start, left);
            items.set_len(left);
        }
        outcome
    }

    /// Takes the item at the front of the queue. `None`: the queue is empty.
    ///
    /// It returns at once. A caller that retries should wait a little in between, longer
    /// each time ([`Backoff`](efio_sync::Backoff)): each attempt takes cache lines away from the
    /// producers.
    #[inline]
    pub fn pop(&self) -> Option<T> {
        self.reserve_written::<Shared>(1)?.next()
    }

    /// Moves up to `max` items from the front of the queue to the end of `out`, reserving many
    /// slots at once. Returns how many; fewer than `max` if it found the queue empty.
    pub fn pop_batch(&self, out: &mut Vec<T>, max: usize) -> usize {
        let mut count = 0;
        while count < max {
            match self.reserve_written::<Shared>(max - count) {
                Some(run) => {
                    count += run.len();
                    run.append_to(out);
                }
                None => break,
            }
        }
        count
    }

    /// Takes items until it finds the queue empty, reserving many slots at once.
    ///
    /// Dropping the iterator drops the items that it reserved and did not yield (at most `SLOTS`);
    /// the others stay in the queue.
    pub fn drain(&self) -> Drain<'_, T, SLOTS> {
        Drain::new(self)
    }

    /// Returns how many items there were at about this time: an estimate while other threads push
    /// and pop, exact when they do not. Counts items whose push is in progress.
    #[inline]
    pub fn len(&self) -> usize {
        // `head` first: it cannot then overtake `tail`. Saturating all the same: on a machine with
        // weak ordering nothing relates the two loads.
        let head = self.head.position.load(Ordering::Acquire);
        let tail = self.tail.position.load(Ordering::SeqCst) & !CLOSED;
        usize::try_from(tail.saturating_sub(head)).unwrap_or(usize::MAX)
    }

    /// Returns whether there was no item at about this time.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Refuses every later push. Items in the queue can still be popped. Returns whether this
    /// call closed the queue.
    pub fn close(&self) -> bool {
        self.tail.position.fetch_or(CLOSED, Ordering::SeqCst) & CLOSED == 0
    }

    /// Returns whether the queue was closed.
    #[inline]
    pub fn is_closed(&self) -> bool {
        self.tail.position.load(Ordering::SeqCst) & CLOSED != 0
    }
}

impl<T, const SLOTS: usize> Default for SegQueue<T, SLOTS> {
    fn default() -> Self {
        Self::with_slots()
    }
}

impl<T, const SLOTS: usize> fmt::Debug for SegQueue<T, SLOTS> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SegQueue")
            .field("len", &self.len())
            .field("is_closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}
