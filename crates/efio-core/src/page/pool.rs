//! The page pool: slabs in huge pages, with one byte budget for the whole engine.
//!
//! ```text
//! PagePool ── slab 0 (2 MiB, huge page) ── Buddy ── Block 4 KiB … 2 MiB
//!          ├─ slab 1 …
//!          └─ at most budget / 2 MiB of them
//! ```
//!
//! Reads and writes take blocks only from slabs that are mapped and touched already; the driver
//! [`grow`](PagePool::grow)s the pool, so that a call on the data path never pays for the page
//! faults of a new slab. A block returns when its last owner drops it, on whatever thread that is.

use super::buddy::{Buddy, SLAB_BYTES, SLAB_ORDER, UNIT_BYTES};
use crate::sys::fork::ForkGuard;
use crate::sys::memory::Mapping;
use efio_sync::shim::atomic::{AtomicUsize, Ordering};
use efio_sync::{Doorbell, EventFd, SpinLock};
use std::fmt;
use std::io;
use std::ptr::NonNull;
use std::sync::Arc;

/// The source of a pool's slabs.
pub trait SlabSource: Send + Sync {
    /// Maps `len` bytes, aligned to `len` and touched.
    ///
    /// # Errors
    ///
    /// `ENOMEM` as a rule.
    fn map(&self, len: usize) -> io::Result<Mapping>;

    /// Takes back a slab that has no users any more.
    fn take_back(&self, slab: Mapping) {
        drop(slab);
    }
}

/// The kernel as a source, which maps slabs in huge pages.
pub struct KernelMemory;

impl SlabSource for KernelMemory {
    fn map(&self, len: usize) -> io::Result<Mapping> {
        Mapping::huge(len)
    }
}

/// A pool of page memory with a fixed upper bound.
pub struct PagePool {
    source: Arc<dyn SlabSource>,
    slabs: SpinLock<Slabs>,
    max_slabs: usize,
    /// Bytes of allocated blocks. Written under the lock, read without it as an estimate.
    used: AtomicUsize,
    /// See [`PagePool::wake_ups`].
    wake_ups: AtomicUsize,
    fork_guard: ForkGuard,
}

#[derive(Default)]
struct Slabs {
    /// By number; `None` where one was released.
    maps: Vec<Option<Mapping>>,
    /// How many are mapped.
    mapped: usize,
    /// Numbers of released slabs, to be used again.
    free_numbers: Vec<u32>,
    buddies: Vec<Buddy>,
    /// `Buddy::largest` of each slab, side by side, so that the search reads one cache line.
    largest: Vec<u8>,
    /// How many slabs are being mapped.
    pending: usize,
    /// How many blocks were returned so far.
    returned: u64,
    /// The driver that waits for free memory.
    watch: Option<Watch>,
}

/// A driver that sleeps until memory is returned.
struct Watch {
    doorbell: Arc<Doorbell<EventFd>>,
    /// It is notified when no more than this is used.
    used_at_most: usize,
}

impl PagePool {
    /// Creates a pool of at most `budget` bytes, rounded down to whole slabs, with the first slab
    /// mapped.
    ///
    /// # Errors
    ///
    /// `ENOMEM` when the first slab cannot be mapped; `EINVAL` when the budget is below one slab.
    pub fn new(budget: usize, source: Arc<dyn SlabSource>) -> io::Result<Arc<Self>> {
        let max_slabs = budget / SLAB_BYTES;
        if max_slabs == 0 {
            return Err(io::Error::from_raw_os_error(libc::EINVAL));
        }
        let pool = Arc::new(Self {
            source,
            slabs: SpinLock::new(Slabs::default()),
            max_slabs,
            used: AtomicUsize::new(0),
            wake_ups: AtomicUsize::new(0),
            fork_guard: ForkGuard::here()?,
        });
        pool.grow()?;
        Ok(pool)
    }

    /// Maps and touches one more slab; `false` when the budget is used up.
    ///
    /// # Errors
    ///
    /// `ENOMEM` when the kernel refuses the memory.
    pub fn grow(&self) -> io::Result<bool> {
        {
            let mut slabs = self.slabs.lock();
            if slabs.mapped + slabs.pending >= self.max_slabs {
                return Ok(false);
            }
            slabs.pending += 1;
        }
        // Mapped outside the lock: touching 2 MiB takes far longer than anyone should spin.
        let mapping = self.source.map(SLAB_BYTES);
        let mut slabs = self.slabs.lock();
        slabs.pending -= 1;
        let mapping = Some(mapping?);
        slabs.mapped += 1;
        let buddy = Buddy::new();
        if let Some(number) = slabs.free_numbers.pop() {
            let number = number as usize;
            slabs.maps[number] = mapping;
            slabs.largest[number] = buddy.largest();
        } else {
            slabs.maps.push(mapping);
            slabs.largest.push(buddy.largest());
            slabs.buddies.push(buddy);
        }
        Ok(true)
    }

    /// Takes an unused slab out of the pool, if `keep` bytes are mapped without it. No block is
    /// allocated from it any more. The backend has to forget its number before it is
    /// [`released`](Self::release).
    ///
    /// With 3 slabs mapped (6 MiB), `keep` 4 MiB takes one out, and `keep` 5 MiB none.
    pub fn release_slab(&self, keep: usize) -> Option<(u32, Mapping)> {
        let mut slabs = self.slabs.lock();
        if slabs.mapped * SLAB_BYTES < keep + SLAB_BYTES {
            return None;
        }
        let is_unused = |&largest: &u8| largest == SLAB_ORDER + 1;
        // The last one: blocks are taken from the first that has room.
        let number = slabs.largest.iter().rposition(is_unused)?;
        slabs.largest[number] = 0;
        slabs.mapped -= 1;
        let mapping = slabs.maps[number].take()?;
        Some((number as u32, mapping))
    }

    /// Releases the memory of a slab that was taken out with [`release_slab`](Self::release_slab).
    pub fn release(&self, number: u32, mapping: Mapping) {
        self.source.take_back(mapping);
        self.slabs.lock().free_numbers.push(number);
    }

    /// Takes a block of `2^order` units from the mapped slabs.
    pub fn take(self: &Arc<Self>, order: u8) -> Option<Block> {
        let mut slabs = self.slabs.lock();
        let slabs = &mut *slabs;
        let slab = slabs.largest.iter().position(|&largest| largest > order)?;
        let first = slabs.buddies[slab].allocate(order)?;
        slabs.largest[slab] = slabs.buddies[slab].largest();
        let base = slabs.maps[slab].as_ref()?.base();
        // SAFETY: `first` is a unit of this slab, so the offset stays inside its mapping.
        let ptr = unsafe { base.add(first * UNIT_BYTES) };
        // Relaxed: an estimate; the lock orders the blocks themselves.
        self.used.fetch_add(UNIT_BYTES << order, Ordering::Relaxed);
        Some(Block {
            pool: Arc::clone(self),
            ptr,
            slab: slab as u32,
            first: first as u16,
            order,
        })
    }

    /// Takes a block of `order`, or the largest smaller one down to `least` that is free.
    pub fn take_at_most(self: &Arc<Self>, order: u8, least: u8) -> Option<Block> {
        (least..=order).rev().find_map(|order| self.take(order))
    }

    /// Takes a block of `order`, from a new slab if none is free, or else a smaller one. Only the
    /// driver calls this.
    pub fn take_or_grow(self: &Arc<Self>, order: u8) -> Option<Block> {
        if let Some(block) = self.take(order) {
            return Some(block);
        }
        // A kernel without memory is like a budget without room: a smaller block has to do.
        match self.grow() {
            Ok(true) => self.take(order),
            Ok(false) | Err(_) => self.take_at_most(order, 0),
        }
    }

    /// Takes a block of `order`, from a new slab if none is free: for callers that may pay for the
    /// mapping.
    ///
    /// # Errors
    ///
    /// `EAGAIN` when the budget is used up, `ENOMEM` when the kernel refuses memory (F36).
    pub fn take_or_map(self: &Arc<Self>, order: u8) -> io::Result<Block> {
        loop {
            if let Some(block) = self.take(order) {
                return Ok(block);
            }
            if !self.grow()? {
                return Err(io::Error::from_raw_os_error(libc::EAGAIN));
            }
        }
    }

    /// Maps one more slab when less than one is free, so that callers find memory mapped. Only the
    /// driver calls this.
    pub fn keep_ready(&self) {
        if self.mapped().saturating_sub(self.used()) < SLAB_BYTES {
            // Callers that need refused memory get smaller pages, or wait.
            let _ = self.grow();
        }
    }

    /// Whether a block of the smallest size is free in a mapped slab.
    pub fn has_room(&self) -> bool {
        self.used() < self.mapped()
    }

    /// Returns the bytes of allocated blocks (an estimate while others take and return them).
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// Returns the bytes of the budget that are not used, mapped or not.
    pub fn free(&self) -> usize {
        self.budget().saturating_sub(self.used())
    }

    /// Returns the upper bound in bytes.
    pub fn budget(&self) -> usize {
        self.max_slabs * SLAB_BYTES
    }

    /// Returns the bytes that are mapped.
    pub fn mapped(&self) -> usize {
        self.slabs.lock().mapped * SLAB_BYTES
    }

    /// Returns how many blocks were returned so far.
    pub fn returned(&self) -> u64 {
        self.slabs.lock().returned
    }

    /// Notifies `doorbell`, once, when `bytes` more are free. Returns `false` when a block was
    /// returned after [`returned`](Self::returned) was `seen`. The driver calls this before it
    /// sleeps while files wait for memory: it learns in no other way of what the program drops on
    /// its own threads (F94).
    pub fn watch(&self, doorbell: &Arc<Doorbell<EventFd>>, seen: u64, bytes: usize) -> bool {
        // A block is returned before this check under the lock, or its return finds the watch.
        let mut slabs = self.slabs.lock();
        if slabs.returned != seen {
            return false;
        }
        slabs.watch = Some(Watch {
            doorbell: Arc::clone(doorbell),
            used_at_most: self.used().saturating_sub(bytes),
        });
        true
    }

    /// Returns how often returned memory had to wake the driver with a system call.
    pub fn wake_ups(&self) -> usize {
        self.wake_ups.load(Ordering::Relaxed)
    }

    /// Ends the watch. The driver calls this when it is awake again.
    pub fn unwatch(&self) {
        let watch = self.slabs.lock().watch.take();
        drop(watch);
    }

    fn put_back(&self, slab: u32, first: u16, order: u8) {
        if self.fork_guard.is_child() {
            // A forked child does not need it, and another thread may have held the lock (F68).
            return;
        }
        let mut guard = self.slabs.lock();
        let slabs = &mut *guard;
        let slab = slab as usize;
        slabs.buddies[slab].release(usize::from(first), order);
        slabs.largest[slab] = slabs.buddies[slab].largest();
        // Relaxed: as in `take`.
        self.used.fetch_sub(UNIT_BYTES << order, Ordering::Relaxed);
        slabs.returned = slabs.returned.wrapping_add(1);
        let used = self.used();
        let watch = slabs.watch.take_if(|watch| used <= watch.used_at_most);
        drop(guard);
        if watch.is_some_and(|watch| watch.doorbell.notify()) {
            // Relaxed: a count, as the statistics are.
            self.wake_ups.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Drop for PagePool {
    fn drop(&mut self) {
        for slab in self.slabs.get_mut().maps.drain(..).flatten() {
            self.source.take_back(slab);
        }
    }
}

/// One block of page memory with a single owner. Its bytes are those of the last user: only bytes
/// that were written since may be published.
pub struct Block {
    pool: Arc<PagePool>,
    ptr: NonNull<u8>,
    slab: u32,
    first: u16,
    order: u8,
}

/// A slab, which a backend may register with the kernel.
#[derive(Clone, Copy, Debug)]
pub struct Slab {
    /// Its number; slabs are numbered from 0, and a released number is reused.
    pub number: u32,
    /// Its first byte.
    pub base: NonNull<u8>,
}

// SAFETY: a block is the only handle to its memory, like a `Box<[u8]>`; the pool is thread-safe.
unsafe impl Send for Block {}
// SAFETY: `&Block` gives access only to the pointer, the size, and the bytes for reading, which
// nobody writes while the block is borrowed; see the methods.
unsafe impl Sync for Block {}

impl Block {
    /// Returns the size in bytes, a power of two from 4 KiB to 2 MiB.
    #[allow(clippy::len_without_is_empty, reason = "a block is never empty")]
    pub fn len(&self) -> usize {
        UNIT_BYTES << self.order
    }

    /// Returns the address of the first byte, aligned to 4 KiB.
    pub fn as_ptr(&self) -> *mut u8 {
        self.ptr.as_ptr()
    }

    /// Returns the slab that the block is in.
    pub fn slab(&self) -> Slab {
        // SAFETY: the block begins that many units after the base of its slab.
        let base = unsafe { self.ptr.sub(usize::from(self.first) * UNIT_BYTES) };
        Slab {
            number: self.slab,
            base,
        }
    }

    /// Returns the whole block: initialised, and stale as in [`as_mut_slice`](Self::as_mut_slice).
    pub fn as_slice(&self) -> &[u8] {
        // SAFETY: as in `as_mut_slice`; nobody writes while the block is borrowed.
        unsafe { std::slice::from_raw_parts(self.ptr.as_ptr(), self.len()) }
    }

    /// Returns the whole block for writing: the bytes are initialised (the kernel zeroed them once)
    /// but stale.
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        // SAFETY: the mapping is readable and writable, lives as long as the pool, and this block
        // is its only user, which `&mut self` makes exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.ptr.as_ptr(), self.len()) }
    }
}

impl fmt::Debug for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Block({} KiB)", self.len() >> 10)
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        self.pool.put_back(self.slab, self.first, self.order);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(budget: usize) -> io::Result<Arc<PagePool>> {
        PagePool::new(budget, Arc::new(KernelMemory))
    }

    #[test]
    fn the_budget_is_a_hard_bound() {
        let pool = of(2 * SLAB_BYTES).unwrap();
        assert_eq!(pool.mapped(), SLAB_BYTES);
        let first = pool.take(9).unwrap();
        assert!(pool.take(0).is_none(), "the second slab is not mapped yet");
        assert!(pool.grow().unwrap());
        let second = pool.take(0).unwrap();
        assert!(!pool.grow().unwrap(), "the budget is two slabs");
        assert!(pool.take(9).is_none());
        assert_eq!(pool.used(), SLAB_BYTES + UNIT_BYTES);
        drop((first, second));
        assert_eq!(pool.used(), 0);
        assert!(pool.take(9).is_some());
    }

    #[test]
    fn an_unused_slab_is_released_and_mapped_again() {
        let pool = PagePool::new(3 * SLAB_BYTES, Arc::new(KernelMemory)).unwrap();
        assert!(pool.release_slab(SLAB_BYTES).is_none(), "one is to be kept");
        pool.grow().unwrap();
        pool.grow().unwrap();
        let blocks: Vec<_> = (0..3).map(|_| pool.take(9).unwrap()).collect();
        assert!(pool.release_slab(0).is_none(), "all are in use");
        let mut blocks = blocks.into_iter();
        drop(blocks.next());
        let (number, mapping) = pool.release_slab(2 * SLAB_BYTES).unwrap();
        assert_eq!((number, pool.mapped()), (0, 2 * SLAB_BYTES));
        assert!(pool.take(0).is_none(), "no block comes from it");
        pool.release(number, mapping);
        assert!(pool.grow().unwrap() && !pool.grow().unwrap());
        assert_eq!(pool.take(9).unwrap().slab().number, 0, "its number again");
        drop(blocks);
        assert_eq!(pool.used(), 0);
    }

    #[test]
    fn a_smaller_block_serves_when_large_ones_are_gone() {
        let pool = of(SLAB_BYTES).unwrap();
        let half = pool.take(8).unwrap();
        assert_eq!(pool.take_at_most(9, 0).unwrap().len(), SLAB_BYTES / 2);
        assert_eq!(
            half.as_ptr() as usize % half.len(),
            0,
            "blocks are aligned to their size"
        );
        assert!(of(SLAB_BYTES - 1).is_err());
    }
}
