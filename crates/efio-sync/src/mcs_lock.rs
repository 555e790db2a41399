//! A queue lock: first come, first served, and each waiter spins on a cache line of its own.
//!
//! The algorithm is the list-based lock of J. M. Mellor-Crummey and M. L. Scott, "Algorithms for
//! Scalable Synchronization on Shared-Memory Multiprocessors", ACM TOCS 9(1), 1991, section 2.4.
//!
//! ```text
//!   lock.tail ──────────────────────────────┐
//!                                           ▼
//!   [holder's node] ─next─► [node, waits] ─next─► [node, waits]
//! ```
//!
//! A node lies on the stack of the thread that waits with it, and its neighbours write to it. So it
//! must stay where it is until it is out of the queue. Two things ensure that. It is pinned, which
//! means that its memory is not reused before its destructor has run; and its destructor takes it
//! out of the queue if that has not happened yet. A guard that is leaked (`mem::forget`) thus keeps
//! the lock closed until the node goes out of scope, and not longer. The lock outlives the node
//! because the node's type names the lock's lifetime.

use core::cell::Cell;
use core::fmt;
use core::marker::PhantomPinned;
use core::pin::{Pin, pin};
use core::ptr;

use crate::shim::atomic::{AtomicBool, AtomicPtr, Ordering};
use crate::shim::cell::{MutPtr, UnsafeCell};
use crate::shim::tuning::HINT_LIMIT;
use crate::shim::{hint, yield_now};
use crate::{Backoff, CachePadded};

/// What the neighbours in the queue see of a node.
struct Waiter {
    /// The next node; null while there is none, or while it is still linking itself.
    next: AtomicPtr<Waiter>,
    /// Cleared by the previous holder when it is our turn.
    waiting: AtomicBool,
}

/// The queue.
struct RawMcsLock {
    /// The last in the queue; null when the lock is open.
    tail: AtomicPtr<Waiter>,
}

impl RawMcsLock {
    /// Waits in the queue with `waiter`.
    ///
    /// # Safety
    ///
    /// `waiter` stays where it is until a call of [`unlock`](Self::unlock) with it has returned.
    #[inline(always)]
    unsafe fn lock(&self, waiter: &Waiter) {
        waiter.next.store(ptr::null_mut(), Ordering::Relaxed);
        waiter.waiting.store(true, Ordering::Relaxed);
        // Release: the next thread links itself to an initialised node. Acquire: the same for us
        // and the one before; and if there is none, pairs with the Release exchange of `unlock`.
        let before = self
            .tail
            .swap(ptr::from_ref(waiter).cast_mut(), Ordering::AcqRel);
        if !before.is_null() {
            // SAFETY: it was in the queue when we were put behind it, and cannot leave it before it
            // has seen our link.
            unsafe { Self::wait_behind(before, waiter) }
        }
    }

    /// Links `waiter` behind `before` and waits for its turn.
    ///
    /// `before` is a pointer, not a reference: a reference would promise that the node is there
    /// until the call returns, but it may go away as soon as it is linked.
    ///
    /// # Safety
    ///
    /// `before` is the node in front of `waiter`, and was not linked to it yet.
    #[cold]
    #[inline(never)]
    unsafe fn wait_behind(before: *const Waiter, waiter: &Waiter) {
        // SAFETY: the node stays until it has seen this store. Only its atomic `next` is borrowed.
        // Release pairs with the Acquire load of `next` in `unlock`: our node is initialised.
        unsafe { &(*before).next }.store(ptr::from_ref(waiter).cast_mut(), Ordering::Release);
        let mut turns = 0;
        // Acquire pairs with the Release store in `pass_on`.
        while waiter.waiting.load(Ordering::Acquire) {
            // No backoff: no other thread reads this line, so frequent loads disturb none.
            if turns < HINT_LIMIT {
                turns += 1;
                hint::spin_loop();
            } else {
                yield_now();
            }
        }
    }

    /// Takes the lock if the queue is empty.
    ///
    /// # Safety
    ///
    /// As for [`lock`](Self::lock), if it returns `true`.
    #[inline(always)]
    unsafe fn try_lock(&self, waiter: &Waiter) -> bool {
        waiter.next.store(ptr::null_mut(), Ordering::Relaxed);
        let node = ptr::from_ref(waiter).cast_mut();
        // As the swap in `lock`; on failure nothing is read.
        self.tail
            .compare_exchange(ptr::null_mut(), node, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok()
    }

    /// Passes the lock to the next node. No other thread refers to `waiter` when it returns.
    ///
    /// # Safety
    ///
    /// `waiter` holds the lock.
    #[inline(always)]
    unsafe fn unlock(&self, waiter: &Waiter) {
        let node = ptr::from_ref(waiter).cast_mut();
        // Acquire pairs with the Release store in `wait_behind`.
        let next = waiter.next.load(Ordering::Acquire);
        if next.is_null()
            // Release pairs with the swap in `lock`: what we wrote under the lock.
            && self
                .tail
                .compare_exchange(node, ptr::null_mut(), Ordering::Release, Ordering::Relaxed)
                .is_ok()
        {
            return;
        }
        // SAFETY: a node is queued after ours, since it is linked or the tail is not ours.
        unsafe { Self::pass_on(waiter) }
    }

    /// # Safety
    ///
    /// A node is in the queue after `waiter`, which holds the lock.
    #[cold]
    #[inline(never)]
    unsafe fn pass_on(waiter: &Waiter) {
        let backoff = Backoff::new();
        let next = loop {
            // Acquire as in `unlock`.
            let next = waiter.next.load(Ordering::Acquire);
            if !next.is_null() {
                break next;
            }
            // It has swapped the tail and is about to link itself.
            backoff.snooze();
        };
        // SAFETY: it waits for this store and does not go away before. It may be gone after it.
        // Release pairs with the Acquire load in `wait_behind`: what we wrote under the lock.
        unsafe { &(*next).waiting }.store(false, Ordering::Release);
    }
}

/// A thread's place in the queue of an [`McsLock`], for the guard form [`McsLock::lock`]. It may be
/// used any number of times, for one lock at a time.
pub struct McsNode<'lock> {
    // Padded: the owner spins on it while its neighbours work.
    waiter: CachePadded<Waiter>,
    /// The lock that is held with this node, until it is released.
    held: Cell<Option<&'lock RawMcsLock>>,
    _pinned: PhantomPinned,
}

impl McsNode<'_> {
    const_unless_loom! {
        /// Returns a node that is in no queue.
        #[inline]
        pub const fn new() -> Self {
            Self {
                waiter: CachePadded::new(Waiter {
                    next: AtomicPtr::new(ptr::null_mut()),
                    waiting: AtomicBool::new(false),
                }),
                held: Cell::new(None),
                _pinned: PhantomPinned,
            }
        }
    }

    /// Opens the lock that is held with this node, if there is one.
    #[inline(always)]
    fn release(&self) {
        if let Some(lock) = self.held.take() {
            // SAFETY: `held` is set exactly while this node holds that lock.
            unsafe { lock.unlock(&self.waiter) }
        }
    }
}

impl Default for McsNode<'_> {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for McsNode<'_> {
    /// Opens a lock whose guard was leaked.
    #[inline]
    fn drop(&mut self) {
        self.release();
    }
}

impl fmt::Debug for McsNode<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let held = self.held.take();
        self.held.set(held);
        f.debug_struct("McsNode")
            .field("holds_a_lock", &held.is_some())
            .finish()
    }
}

/// A value that one thread at a time may use, in the order in which they arrived.
///
/// - Fairness: first come, first served, from the one atomic swap with which a thread enters.
/// - Progress: blocking. With n threads a waiter is served after at most n − 1 others. But each of
///   those has to be running when its turn comes: one that the scheduler has preempted delays all
///   that are queued after it.
/// - Cost: one swap and one exchange uncontended, 4.6 ns where parking_lot's mutex takes 5.1 and a
///   ticket lock 2.1. Waiters spin on their own cache line, then yield. No allocation.
/// - Wins when no thread may starve and sections are long: 0.5 times the time of parking_lot's
///   `FairMutex`, with microsecond sections and more threads than cores.
/// - Loses when sections are short. Every hand-over moves the lock to another core: 216 ns per
///   operation with two threads on two cores, where locks that let the last holder in again take
///   15 to 22; and microseconds with more threads than cores. Use it for its order, not its speed.
///
/// ```
/// use efio_sync::{McsLock, McsNode};
/// use std::pin::pin;
///
/// static NAMES: McsLock<Vec<&str>> = McsLock::new(Vec::new());
/// NAMES.with(|names| names.push("Mellor-Crummey"));
///
/// // With a guard: the node comes from the caller.
/// let node = pin!(McsNode::new());
/// let mut names = NAMES.lock(node);
/// names.push("Scott");
/// assert_eq!(names.len(), 2);
/// ```
///
/// The lock outlives the node, so that a leaked guard cannot leave a node without its lock:
///
/// ```compile_fail,E0597
/// use efio_sync::{McsLock, McsNode};
/// use std::pin::pin;
///
/// let node = pin!(McsNode::new());
/// let lock = McsLock::new(0);
/// std::mem::forget(lock.lock(node));
/// ```
pub struct McsLock<T: ?Sized> {
    raw: RawMcsLock,
    value: UnsafeCell<T>,
}

// SAFETY: the lock hands the value to one thread at a time, so sharing the lock needs what moving
// the value between threads needs.
unsafe impl<T: ?Sized + Send> Sync for McsLock<T> {}
// SAFETY: a lock owns its value. It can only be moved when no node refers to it.
unsafe impl<T: ?Sized + Send> Send for McsLock<T> {}

impl<T> McsLock<T> {
    const_unless_loom! {
        /// Returns an open lock around `value`.
        #[inline]
        pub const fn new(value: T) -> Self {
            Self {
                raw: RawMcsLock { tail: AtomicPtr::new(ptr::null_mut()) },
                value: UnsafeCell::new(value),
            }
        }
    }

    /// Takes the value out.
    #[inline]
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }
}

impl<T: ?Sized> McsLock<T> {
    /// Waits for its turn, runs `f` on the value, passes the lock on (also when `f` panics).
    ///
    /// The node lies in the frame of this call, out of reach of `f`.
    #[inline]
    pub fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
        let node = pin!(McsNode::new());
        f(&mut self.lock(node))
    }

    /// Waits for its turn in the queue with `node`. The lock is passed on when the guard is
    /// dropped; if the guard is leaked, when the node is dropped or used again.
    #[inline]
    pub fn lock<'a, 'lock>(
        &'lock self,
        node: Pin<&'a mut McsNode<'lock>>,
    ) -> McsGuard<'a, 'lock, T> {
        let node: &'a McsNode<'lock> = node.into_ref().get_ref();
        node.release();
        // SAFETY: the node is pinned, so it stays where it is until it is dropped, and its
        // destructor calls `unlock` unless that has happened before.
        unsafe { self.raw.lock(&node.waiter) }
        node.held.set(Some(&self.raw));
        McsGuard {
            value: self.value.get_mut(),
            release: Release(node, &self.raw),
        }
    }

    /// Attempts to take the lock: `None` if a thread holds it or waits for it.
    #[inline]
    pub fn try_lock<'a, 'lock>(
        &'lock self,
        node: Pin<&'a mut McsNode<'lock>>,
    ) -> Option<McsGuard<'a, 'lock, T>> {
        let node: &'a McsNode<'lock> = node.into_ref().get_ref();
        node.release();
        // SAFETY: as in `lock`.
        unsafe { self.raw.try_lock(&node.waiter) }.then(|| {
            node.held.set(Some(&self.raw));
            McsGuard {
                value: self.value.get_mut(),
                release: Release(node, &self.raw),
            }
        })
    }

    /// Returns whether the lock is held; out of date when it returns.
    #[inline]
    pub fn is_locked(&self) -> bool {
        !self.raw.tail.load(Ordering::Relaxed).is_null()
    }

    /// Returns the value without locking: `&mut self` shows that no other reference to it exists.
    #[inline]
    pub fn get_mut(&mut self) -> &mut T {
        let value = self.value.get_mut();
        // SAFETY: `&mut self`; no guard is alive, since it would borrow the lock.
        unsafe { &mut *ptr::from_mut(value.deref()) }
    }
}

impl<T: Default> Default for McsLock<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T: ?Sized> fmt::Debug for McsLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("McsLock")
            .field("is_locked", &self.is_locked())
            .finish_non_exhaustive()
    }
}

/// Access to the value of an [`McsLock`]; passes the lock to the next waiter when dropped.
///
/// It stays with the thread that waited, since its node is there:
///
/// ```compile_fail
/// use efio_sync::{McsLock, McsNode};
/// use std::pin::pin;
///
/// let lock = McsLock::new(0);
/// let node = pin!(McsNode::new());
/// let guard = lock.lock(node);
/// std::thread::scope(|scope| scope.spawn(move || drop(guard)).join());
/// ```
#[must_use = "the lock opens when the guard is dropped"]
pub struct McsGuard<'a, 'lock, T: ?Sized> {
    // Fields drop in this order: the access ends before the lock opens.
    value: MutPtr<T>,
    release: Release<'a, 'lock>,
}

// SAFETY: a shared guard gives `&T`, and whether the atomic tail is our node.
unsafe impl<T: ?Sized + Sync> Sync for McsGuard<'_, '_, T> {}

impl<T: ?Sized> McsGuard<'_, '_, T> {
    /// Returns whether a thread waits for this guard's drop. Once true it stays so: that thread
    /// gets the lock before any that comes later, the one that has the guard now included.
    #[inline]
    pub fn has_waiter(&self) -> bool {
        let Release(node, lock) = &self.release;
        let me: *const Waiter = &*node.waiter;
        // Relaxed: our own swap is before, so this is our node or a later one.
        lock.tail.load(Ordering::Relaxed).cast_const() != me
    }
}

impl_guard!(mut McsGuard<'_, '_>);

/// Opens the lock of the node when dropped.
struct Release<'a, 'lock>(&'a McsNode<'lock>, &'lock RawMcsLock);

impl Drop for Release<'_, '_> {
    #[inline(always)]
    fn drop(&mut self) {
        self.0.release();
    }
}
