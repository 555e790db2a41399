//! One segment: `SLOTS` values in a row, and the state of each.
//!
//! ```text
//!   ┌ header ─────────────┐┌ taken ──────────┐┌ slots ───────────────────────────┐
//!   │ seq  next  link mark ││ u8 u8 u8 u8 …   ││ stamp value │ stamp value │ …     │
//!   └─ written once a life ┘└ by consumers ───┘└ by producers ────────────────────┘
//! ```
//!
//! Three regions with three kinds of writers, on cache lines of their own: a consumer that takes a
//! value writes nothing on a line that a producer is still filling.
//!
//! A segment is used many times: it carries the positions `seq * SLOTS ..` of the queue, is
//! recycled and comes back with another `seq`. Nothing is cleared in between: a stamp names the one
//! position for which its value was written, and the mark of a taken slot alternates from life to
//! life.

use alloc::alloc::{Layout, alloc, dealloc};
use core::mem::MaybeUninit;
use core::ptr::{self, NonNull};

use efio_sync::shim::atomic::{AtomicPtr, AtomicU8, AtomicU64, Ordering};
use efio_sync::shim::cell::UnsafeCell;

/// `SLOTS` slots of a queue; see the module.
#[repr(C, align(64))]
pub(super) struct Segment<T, const SLOTS: usize> {
    /// Its number in the queue: positions `seq * SLOTS .. (seq + 1) * SLOTS`.
    pub(super) seq: AtomicU64,
    /// The segment after this one: null until allocated, or [`no_memory`].
    pub(super) next: AtomicPtr<Self>,
    /// The next one in the pool's stacks. Never `next`, which a late producer may still read.
    pub(super) link: AtomicPtr<Self>,
    /// What consumers write into `taken` in this life: 1 or 2.
    mark: AtomicU8,
    taken: Aligned<[AtomicU8; SLOTS]>,
    slots: Aligned<[Slot<T>; SLOTS]>,
}

/// On cache lines of its own within the segment.
#[repr(align(64))]
struct Aligned<T>(T);

/// Room for one value.
struct Slot<T> {
    /// `position + 1` of the value, once it is written; older before that.
    stamp: AtomicU64,
    value: UnsafeCell<MaybeUninit<T>>,
}

/// Stands in `next` where a segment could not be allocated. Never dereferenced.
pub(super) fn no_memory<S>() -> *mut S {
    ptr::without_provenance_mut(1)
}

impl<T, const SLOTS: usize> Segment<T, SLOTS> {
    /// A segment in its first life, not yet part of any queue. `None`: no memory.
    pub(super) fn allocate(seq: u64) -> Option<NonNull<Self>> {
        // SAFETY: the layout of a segment is never of size zero.
        let segment = NonNull::new(unsafe { alloc(Layout::new::<Self>()) })?.cast::<Self>();
        let raw = segment.as_ptr();
        // SAFETY: `raw` is fresh memory with the layout of a segment; each field is written once,
        // in place, so that a segment of large values never passes over the stack.
        unsafe {
            (&raw mut (*raw).seq).write(AtomicU64::new(seq));
            (&raw mut (*raw).next).write(AtomicPtr::new(ptr::null_mut()));
            (&raw mut (*raw).link).write(AtomicPtr::new(ptr::null_mut()));
            (&raw mut (*raw).mark).write(AtomicU8::new(1));
            let taken = (&raw mut (*raw).taken).cast::<AtomicU8>();
            let slots = (&raw mut (*raw).slots).cast::<Slot<T>>();
            for offset in 0..SLOTS {
                taken.add(offset).write(AtomicU8::new(0));
                slots.add(offset).write(Slot {
                    stamp: AtomicU64::new(0),
                    value: UnsafeCell::new(MaybeUninit::uninit()),
                });
            }
        }
        Some(segment)
    }

    /// Frees a segment. Values in it are not dropped.
    ///
    /// # Safety
    ///
    /// It came from [`allocate`](Self::allocate) and no thread reads it any more.
    pub(super) unsafe fn free(segment: NonNull<Self>) {
        // SAFETY: the caller gives it up; the atomics and cells need dropping only under loom.
        unsafe {
            ptr::drop_in_place(segment.as_ptr());
            dealloc(segment.as_ptr().cast(), Layout::new::<Self>());
        }
    }

    /// Begins the next life as segment `seq`. The caller is the segment's sole owner.
    pub(super) fn renew(&self, seq: u64) {
        let mark = 3 - self.mark.load(Ordering::Relaxed);
        self.mark.store(mark, Ordering::Relaxed);
        self.next.store(ptr::null_mut(), Ordering::Relaxed);
        // Release pairs with the Acquire load of `seq` in `reserve`: a producer with an old pointer
        // to this segment that finds its own `seq` also finds every slot free.
        self.seq.store(seq, Ordering::Release);
    }

    /// Returns how many values from `position` on (at `offset`) can be taken, at most `limit`.
    #[inline(always)]
    pub(super) fn written(&self, offset: usize, position: u64, limit: usize) -> usize {
        let slots = self.slots.0[offset..][..limit].iter();
        slots
            .zip(position + 1..)
            // Acquire pairs with the Release in `write`: the value is there.
            .take_while(|(slot, stamp)| slot.stamp.load(Ordering::Acquire) == *stamp)
            .count()
    }

    /// Writes the value of `position`.
    ///
    /// # Safety
    ///
    /// The caller reserved `position`, which belongs to `offset` of this segment, for writing.
    #[inline(always)]
    pub(super) unsafe fn write(&self, offset: usize, position: u64, value: T) {
        let slot = &self.slots.0[offset];
        // SAFETY: the reservation makes the caller the only writer, and no consumer reads before
        // the stamp. The last consumer of the slot was done before this life of the segment began.
        slot.value.with_mut(|cell| unsafe { (*cell).write(value) });
        // Release pairs with the Acquire in `written`.
        slot.stamp.store(position + 1, Ordering::Release);
    }

    /// Writes `count` values, moved from `source`, for the positions from `position` on.
    ///
    /// # Safety
    ///
    /// As for [`write`](Self::write), for each of them. The values at `source` are the caller's to
    /// move.
    #[inline(always)]
    pub(super) unsafe fn write_batch(
        &self,
        offset: usize,
        position: u64,
        source: *const T,
        count: usize,
    ) {
        let slots = self.slots.0[offset..][..count].iter();
        for (index, slot) in slots.enumerate() {
            // SAFETY: as in `write`.
            slot.value
                .with_mut(|cell| unsafe { (*cell).write(source.add(index).read()) });
            // Release as in `write`.
            slot.stamp
                .store(position + index as u64 + 1, Ordering::Release);
        }
    }

    /// Takes the value out of a slot and gives the slot up.
    ///
    /// # Safety
    ///
    /// The caller saw the position that belongs to `offset` [`written`](Self::written) and then
    /// reserved it for reading.
    #[inline(always)]
    pub(super) unsafe fn take(&self, offset: usize) -> T {
        // SAFETY: the value is there (stamp), and the reservation makes the caller the only one to
        // take it. The segment lives on until `taken` is set.
        let value = self.slots.0[offset]
            .value
            .with(|cell| unsafe { (*cell).assume_init_read() });
        // Release pairs with the Acquire in `is_consumed`: the slot is reused after our read.
        self.taken.0[offset].store(self.mark.load(Ordering::Relaxed), Ordering::Release);
        value
    }

    /// Moves `count` values from `offset` on to `target` and gives the slots up.
    ///
    /// # Safety
    ///
    /// As for [`take`](Self::take), for each of them. At `target` is room for them.
    #[inline(always)]
    pub(super) unsafe fn take_batch(&self, offset: usize, target: *mut T, count: usize) {
        let mark = self.mark.load(Ordering::Relaxed);
        let slots = self.slots.0[offset..][..count].iter();
        let taken = self.taken.0[offset..][..count].iter();
        for (index, (slot, taken)) in slots.zip(taken).enumerate() {
            // SAFETY: as in `take`; the caller promises the room.
            slot.value.with(|cell| unsafe {
                target.add(index).write((*cell).assume_init_read());
            });
            // Release as in `take`.
            taken.store(mark, Ordering::Release);
        }
    }

    /// Returns whether each value of this life was taken. Called after all of them were reserved.
    pub(super) fn is_consumed(&self) -> bool {
        let mark = self.mark.load(Ordering::Relaxed);
        // Acquire pairs with the Release in `take`.
        self.taken
            .0
            .iter()
            .all(|taken| taken.load(Ordering::Acquire) == mark)
    }
}
