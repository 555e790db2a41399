//! A buffer with an alignment of the caller's choice, and the free list of spare ones.

use core::fmt;
use core::ops::{Deref, DerefMut};
use core::ptr::{self, NonNull};
use core::slice;
use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};

use efio_sync::shim::Arc;
use efio_sync::shim::atomic::AtomicPtr;
use efio_sync::shim::atomic::Ordering::{Acquire, Relaxed, Release};

use crate::chunk::{AppendChunk, Chunk};

/// Bytes at an aligned address with a fixed capacity: a page to do direct IO from, or the tail of a
/// stream.
///
/// All of the capacity is initialised from the start (with zeros), so that it can be lent to
/// anything that fills a `&mut [u8]`.
///
/// ```
/// use efio_chunks::AlignedBuf;
///
/// let mut page = AlignedBuf::new(4096, 4096);
/// assert_eq!(page.extend_from_slice(b"hello"), 5);
/// assert_eq!(&page[..], b"hello");
/// assert_eq!(page.as_ptr().addr() % 4096, 0);
/// ```
pub struct AlignedBuf {
    memory: Memory,
    len: usize,
    /// Takes the memory when the buffer is dropped.
    home: Option<Arc<FreeList>>,
}

/// Initialised memory of one layout.
struct Memory {
    start: NonNull<u8>,
    layout: Layout,
}

impl Memory {
    /// `None`: no memory. The layout's size is not zero.
    fn zeroed(layout: Layout) -> Option<Self> {
        debug_assert_ne!(layout.size(), 0);
        // SAFETY: the size is not zero.
        let start = NonNull::new(unsafe { alloc_zeroed(layout) })?;
        Some(Self { start, layout })
    }

    /// # Safety
    /// The memory is not used again.
    unsafe fn free(&self) {
        // SAFETY: it came from this allocator with this layout.
        unsafe { dealloc(self.start.as_ptr(), self.layout) }
    }
}

// SAFETY: it owns its memory as a `Box<[u8]>` does.
unsafe impl Send for AlignedBuf {}
// SAFETY: a shared reference gives shared access to the bytes below `len` only.
unsafe impl Sync for AlignedBuf {}

impl AlignedBuf {
    /// Returns an empty buffer with room for `capacity` bytes (at least one), the first at a
    /// multiple of `align`.
    ///
    /// # Panics
    /// If `align` is not a power of two or `capacity` exceeds `isize::MAX`.
    pub fn new(capacity: usize, align: usize) -> Self {
        let layout = layout(capacity, align);
        let memory = Memory::zeroed(layout).unwrap_or_else(|| handle_alloc_error(layout));
        Self {
            memory,
            len: 0,
            home: None,
        }
    }

    /// Like [`new`](Self::new), but `None` if there is no memory.
    ///
    /// # Panics
    /// As `new`.
    pub fn try_new(capacity: usize, align: usize) -> Option<Self> {
        let memory = Memory::zeroed(layout(capacity, align))?;
        Some(Self {
            memory,
            len: 0,
            home: None,
        })
    }

    /// Takes a buffer from the free list, or allocates one that will return there. `None`: no
    /// memory.
    pub(crate) fn from_free_list(free_list: &Arc<FreeList>) -> Option<Self> {
        let memory = free_list
            .take()
            .or_else(|| Memory::zeroed(free_list.layout))?;
        Some(Self {
            memory,
            len: 0,
            home: Some(free_list.clone()),
        })
    }

    /// Returns how many bytes fit.
    pub fn capacity(&self) -> usize {
        self.memory.layout.size()
    }

    /// Returns the alignment of the first byte.
    pub fn align(&self) -> usize {
        self.memory.layout.align()
    }

    /// Appends bytes, as many as fit. Returns how many.
    pub fn extend_from_slice(&mut self, bytes: &[u8]) -> usize {
        let count = bytes.len().min(self.capacity() - self.len);
        self.spare()[..count].copy_from_slice(&bytes[..count]);
        self.len += count;
        count
    }

    /// Returns the unused room after the bytes: initialised, with any content.
    pub fn spare(&mut self) -> &mut [u8] {
        let room = self.capacity() - self.len;
        // SAFETY: all of the capacity is initialised, and it is borrowed for writing.
        unsafe { slice::from_raw_parts_mut(self.memory.start.as_ptr().add(self.len), room) }
    }

    /// Sets the length to `len`: shorter, or longer by bytes of [`spare`](Self::spare).
    ///
    /// # Panics
    /// If `len` exceeds the capacity.
    pub fn set_len(&mut self, len: usize) {
        assert!(
            len <= self.capacity(),
            "{len} bytes in a buffer of {}",
            self.capacity()
        );
        self.len = len;
    }
}

fn layout(capacity: usize, align: usize) -> Layout {
    Layout::from_size_align(capacity.max(1), align).expect("a power of two, and a size that fits")
}

impl Deref for AlignedBuf {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: initialised, and changed only through `&mut`.
        unsafe { slice::from_raw_parts(self.memory.start.as_ptr(), self.len) }
    }
}

impl DerefMut for AlignedBuf {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: initialised and borrowed for writing.
        unsafe { slice::from_raw_parts_mut(self.memory.start.as_ptr(), self.len) }
    }
}

impl AsRef<[u8]> for AlignedBuf {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl fmt::Debug for AlignedBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AlignedBuf")
            .field("len", &self.len)
            .field("capacity", &self.capacity())
            .field("align", &self.align())
            .finish()
    }
}

impl Drop for AlignedBuf {
    fn drop(&mut self) {
        let kept = self
            .home
            .as_ref()
            .is_some_and(|free_list| free_list.put(&self.memory));
        if !kept {
            // SAFETY: the free list did not take it, and this is its end.
            unsafe { self.memory.free() };
        }
    }
}

// SAFETY: the memory stays where it is while the buffer moves, `len` changes only through `&mut`,
// and the bytes are initialised.
unsafe impl Chunk for AlignedBuf {
    fn as_ptr(&self) -> *const u8 {
        self.memory.start.as_ptr()
    }

    fn len(&self) -> usize {
        self.len
    }

    fn memory(&self) -> usize {
        self.memory.layout.size()
    }

    unsafe fn set_len(&mut self, len: usize) {
        self.len = len;
    }
}

// SAFETY: the pointer is a field, not derived from a reference; the layout is constant; nothing
// here reads or writes past `len` without `&mut`.
unsafe impl AppendChunk for AlignedBuf {
    fn as_mut_ptr(&self) -> *mut u8 {
        self.memory.start.as_ptr()
    }

    fn capacity(&self) -> usize {
        self.memory.layout.size()
    }
}

/// The most buffers that a free list can hold.
const SPARES: usize = 8;

/// A few spare buffers of one layout, which the reader returns to the writer.
///
/// A slot is null or holds memory that it owns. The thread that moves a slot from one state to the
/// other owns the memory that it moved, so any thread may put and take.
pub(crate) struct FreeList {
    slots: [AtomicPtr<u8>; SPARES],
    /// How many of the slots are in use.
    spares: usize,
    layout: Layout,
}

impl FreeList {
    /// Returns an empty list for up to `spares` buffers, at most eight.
    pub(crate) fn new(capacity: usize, align: usize, spares: usize) -> Self {
        let slots = core::array::from_fn(|_| AtomicPtr::new(ptr::null_mut()));
        Self {
            slots,
            spares: spares.min(SPARES),
            layout: layout(capacity, align),
        }
    }

    fn take(&self) -> Option<Memory> {
        self.slots[..self.spares].iter().find_map(|slot| {
            if slot.load(Relaxed).is_null() {
                return None;
            }
            // Acquire: pairs with the Release in `put`: the thread that used the memory before is
            // done.
            let start = NonNull::new(slot.swap(ptr::null_mut(), Acquire))?;
            Some(Memory {
                start,
                layout: self.layout,
            })
        })
    }

    /// Takes the memory if a slot is empty, and returns whether it did. The layouts agree.
    fn put(&self, memory: &Memory) -> bool {
        debug_assert_eq!(memory.layout, self.layout);
        self.slots[..self.spares].iter().any(|slot| {
            // Release: pairs with the Acquire in `take`.
            let put =
                slot.compare_exchange(ptr::null_mut(), memory.start.as_ptr(), Release, Relaxed);
            put.is_ok()
        })
    }
}

impl Drop for FreeList {
    fn drop(&mut self) {
        while let Some(memory) = self.take() {
            // SAFETY: only the free list had it.
            unsafe { memory.free() };
        }
    }
}
