//! The steps of [`MsQueue`]'s operations on its list, and the life of a node.
//!
//! A push prepares a node, appends it and swings the tail; a pop reserves nodes by moving the head
//! past them. A node is free when its value is out and the head has moved on.

use core::mem::MaybeUninit;
use core::ptr;

use efio_sync::shim::atomic::Ordering;

use super::MsQueue;
use super::arena::{TAKEN, UNLINKED};
use super::link::Link;
use super::run::Run;
use crate::access::{Access, Shared};

/// Nodes that only the caller uses, linked through `next`, `last` to nil.
pub(super) struct Chain {
    pub first: u32,
    pub last: u32,
    pub len: u32,
}

impl<T, const FIRST: usize> MsQueue<T, FIRST> {
    /// Returns the last node and the end after it.
    #[inline(always)]
    pub(super) fn last(&self) -> (Link, Link) {
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

    /// Moves the tail to the next node, on behalf of the thread that linked it.
    #[inline(always)]
    fn swing(&self, tail: Link, next: Link) {
        // Release pairs with the Acquire in `last` and `reserve`. If it fails, another thread did
        // it.
        Shared::advance(
            &self.tail,
            tail.pack(),
            tail.then(next.index, 1).pack(),
            Ordering::Release,
        );
    }

    /// Links the caller's nodes after the last one. `false`: closed; the caller still owns them.
    #[inline(always)]
    pub(super) fn append(&self, chain: Chain) -> bool {
        loop {
            let (tail, end) = self.last();
            if end.is_closed() {
                return false;
            }
            // SAFETY: a tail is a node in use.
            let next = unsafe { &self.arena.node(tail.index).next };
            // Release pairs with the Acquire load of `next` in `reserve`: the value is there.
            // SeqCst: see the check for an empty queue there.
            if Shared::advance(
                next,
                end.pack(),
                end.then(chain.first, 1).pack(),
                Ordering::SeqCst,
            ) {
                // Release as in `swing`.
                let new_tail = tail.then(chain.last, chain.len);
                let swung = self
                    .tail
                    .compare_exchange(
                        tail.pack(),
                        new_tail.pack(),
                        Ordering::Release,
                        Ordering::Relaxed,
                    )
                    .is_ok();
                if !swung && chain.len > 1 {
                    // Others moved it, one node at a time; make sure that it reaches the end.
                    self.last();
                }
                return true;
            }
        }
    }

    /// Reserves up to `want` items at the front.
    #[inline(always)]
    pub(super) fn reserve(&self, want: usize) -> Option<Run<'_, T, FIRST>> {
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
            // find the other empty, at least one is right.
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

    /// Counts nodes from `first` on, at most `want` and not beyond `tail`. Returns the last one and
    /// how many. `None`: the list was inconsistent, because the head has moved.
    #[inline(always)]
    fn walk(&self, first: u32, tail: u32, want: usize) -> Option<(u32, u32)> {
        let (mut last, mut count) = (first, 1);
        while (count as usize) < want && last != tail {
            // SAFETY: reached through a link from a node in use.
            let next = unsafe { &self.arena.node(last).next };
            // Acquire as in `reserve`.
            let next = Link::unpack(next.load(Ordering::Acquire));
            if next.is_end() {
                return None;
            }
            last = next.index;
            count += 1;
        }
        Some((last, count))
    }

    /// Takes a node, copies `value` into it and sets its link to nil. The caller must forget
    /// `value` if the node goes into the queue. `None`: no node is available.
    #[inline(always)]
    pub(super) fn prepare<A: Access>(&self, value: &T) -> Option<u32> {
        let index = self.arena.take::<A>()?;
        // SAFETY: taken just now.
        let node = unsafe { self.arena.node(index) };
        // SAFETY: only we use the node. The copy of the value is used at most once: the caller
        // either links the node and forgets the value, or puts the node back.
        node.value.with_mut(|cell| unsafe {
            ptr::copy_nonoverlapping(value, (*cell).as_mut_ptr(), 1);
        });
        node.state.store(0, Ordering::Relaxed);
        let old = Link::unpack(node.next.load(Ordering::Relaxed));
        // Release pairs with the Acquire loads of `next` in `last` and `reserve`: a thread for
        // which this node still is the tail or the head, and which reads this nil, would link to it
        // or believe the queue empty; it must then see that tail or head has moved on.
        node.next
            .store(Link::nil(old.tag.wrapping_add(1)).pack(), Ordering::Release);
        Some(index)
    }

    /// Puts back `len` linked nodes that no other thread saw.
    ///
    /// # Safety
    ///
    /// Only the caller uses them.
    #[cold]
    pub(super) unsafe fn put_all(&self, first: u32, len: u32) {
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

    /// Frees the node `index`, past which we moved the head, if its value is out.
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
    pub(super) unsafe fn finish(&self, index: u32, flag: u8) {
        // SAFETY: the node is in use as long as a flag is missing.
        let state = unsafe { &self.arena.node(index).state };
        // Acquire pairs with the Release of the other flag: the other thread is done with the
        // node. With the other flag set no other thread will write, so a load is enough.
        if state.load(Ordering::Acquire) == (TAKEN | UNLINKED) - flag
            || state.fetch_or(flag, Ordering::AcqRel) == (TAKEN | UNLINKED) - flag
        {
            // SAFETY: both flags are set: no other thread uses the node.
            unsafe { self.arena.put::<Shared>(index) };
        }
    }

    /// Moves the value out of a node.
    ///
    /// # Safety
    ///
    /// The caller won it and did not take it before.
    #[inline(always)]
    pub(super) unsafe fn read(&self, index: u32) -> T {
        // SAFETY: the winner is the only one to read; the node is not recycled before it says
        // TAKEN.
        let node = unsafe { self.arena.node(index) };
        // SAFETY: as above, and the value was written before the node was linked.
        node.value
            .with(|cell| unsafe { MaybeUninit::assume_init_read(&*cell) })
    }
}
