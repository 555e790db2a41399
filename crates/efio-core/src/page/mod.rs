//! Page memory, which callers, the driver and the kernel share without copying.
//!
//! The memory ladder, slab > block > page > slice, from the largest to the smallest:
//!
//! ```text
//!         0                                  1 MiB                                2 MiB
//!  slab   ├────────────────────────────────────┴────────────────────────────────────┤
//!         2 MiB, mapped from the kernel as one huge page
//!
//!  block  ├──────── 1 MiB ─────────────────────┼──── 512 KiB ─────┼ 256 KiB ┼─ free ─┤
//!         4 KiB · 2^k for k in 0 ..= 9, aligned to its own size, within one slab
//!
//!  page                                        ├lead┼─ published ─┼ room ┤
//!         one block that is part of a stream; lead < 4 KiB for a page to write
//!
//!  slice                                              ├─ slice ──┤
//!         1 byte … 2 MiB of the published bytes of one page
//! ```
//!
//! | type | owner | who may use the bytes |
//! |---|---|---|
//! | [`Slab`] | the pool | the blocks in it |
//! | [`Block`] | one | its owner: a read op fills it |
//! | [`Page`] | shared, counted | all owners read published bytes; one stream appends to its open tail |
//! | [`PageSlice`] | shared, counted | all owners read them; a write op holds one |

mod buddy;
mod buffer;
mod pool;

pub use buddy::{SLAB_BYTES, SLAB_ORDER, UNIT_BYTES, order_for};
pub use buffer::Buffer;
pub use pool::{Block, KernelMemory, PagePool, Slab, SlabSource};

use efio_chunks::{AppendChunk, Chunk};
use std::fmt;
use std::sync::Arc;

/// A block that is part of a stream: shared, and never changed below its published length.
#[derive(Clone)]
pub struct Page(Arc<PageInner>);

struct PageInner {
    block: Block,
    /// File offset of the first byte; in append mode its place among the accepted bytes.
    offset: u64,
    /// Bytes of the block before the first one: memory and file offset stay congruent modulo 4 KiB,
    /// so that bytes that are aligned in the file are aligned in memory as well.
    lead: u32,
    /// Initialised bytes when the page entered its stream; the stream counts those that are
    /// appended later.
    len: u32,
    /// The run of read-ahead that it belongs to: a seek makes older runs void.
    epoch: u32,
}

impl Page {
    /// Creates an empty page to append to, for bytes from file offset `offset` on.
    ///
    /// For offset 5000 the first byte is at 904 of the block: 5000 = 4096 + 904.
    pub fn open(block: Block, offset: u64) -> Self {
        let lead = (offset % UNIT_BYTES as u64) as u32;
        Self(Arc::new(PageInner {
            block,
            offset,
            lead,
            len: 0,
            epoch: 0,
        }))
    }

    /// Creates a page whose bytes `lead .. lead + len` a read op filled from file offset `offset`
    /// on.
    ///
    /// # Panics
    ///
    /// When the range is not inside the block.
    pub fn filled(block: Block, offset: u64, lead: usize, len: usize, epoch: u32) -> Self {
        assert!(lead + len <= block.len(), "a page ends inside its block");
        let (lead, len) = (lead as u32, len as u32);
        Self(Arc::new(PageInner {
            block,
            offset,
            lead,
            len,
            epoch,
        }))
    }

    /// Returns the file offset of the first byte.
    pub fn offset(&self) -> u64 {
        self.0.offset
    }

    /// Returns the run of read-ahead that filled it.
    pub fn epoch(&self) -> u32 {
        self.0.epoch
    }
}

// SAFETY: the bytes are in a mapping that the block keeps out of the pool until the last clone is
// dropped, at an address that does not depend on where the handle is. `len` never changes.
unsafe impl Chunk for Page {
    fn as_ptr(&self) -> *const u8 {
        // SAFETY: `lead` is inside the block.
        unsafe { self.0.block.as_ptr().add(self.0.lead as usize) }
    }

    fn len(&self) -> usize {
        self.0.len as usize
    }
}

// SAFETY: the same pointer as `as_ptr`; the block is that much longer than its lead.
unsafe impl AppendChunk for Page {
    fn as_mut_ptr(&self) -> *mut u8 {
        // SAFETY: as in `as_ptr`.
        unsafe { self.0.block.as_ptr().add(self.0.lead as usize) }
    }

    fn capacity(&self) -> usize {
        self.0.block.len() - self.0.lead as usize
    }
}

/// Published bytes of a page, for a write. The slice holds the page, so that the memory cannot be
/// reused before the op completes.
#[derive(Clone)]
pub struct PageSlice {
    page: Page,
    start: usize,
    len: usize,
}

impl PageSlice {
    /// Creates a slice of the bytes `start .. start + len` of `page`, counted from its first byte.
    ///
    /// # Safety
    ///
    /// The bytes must be published: initialised, and never written again while the page lives.
    pub unsafe fn new(page: Page, start: usize, len: usize) -> Self {
        debug_assert!(start + len <= page.capacity());
        Self { page, start, len }
    }

    /// Returns the bytes.
    pub fn as_slice(&self) -> &[u8] {
        // SAFETY: the contract of `new`: initialised and immutable, and inside the block.
        unsafe { std::slice::from_raw_parts(self.page.as_ptr().add(self.start), self.len) }
    }

    /// Returns the slab that the bytes are in.
    pub fn slab(&self) -> Slab {
        self.page.0.block.slab()
    }

    /// Returns the number of bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns the file offset of the first byte.
    pub fn offset(&self) -> u64 {
        self.page.offset() + self.start as u64
    }

    /// Returns the first `len` bytes as a slice.
    ///
    /// # Panics
    ///
    /// When there are fewer.
    pub fn first(&self, len: usize) -> Self {
        assert!(len <= self.len);
        Self {
            page: self.page.clone(),
            start: self.start,
            len,
        }
    }

    /// Converts the slice into a page for file offset `offset`, without copying.
    ///
    /// A slice at 904 of its block can become a page for offset 904 or 5000, not for 905.
    ///
    /// # Errors
    ///
    /// The slice, if it is not the only owner of its page, or if memory and file offset would not
    /// be congruent modulo 4 KiB.
    pub fn into_page(self, offset: u64) -> Result<Page, Self> {
        let Self { page, start, len } = self;
        let lead = page.0.lead as usize + start;
        if (offset % UNIT_BYTES as u64) as usize != lead % UNIT_BYTES {
            return Err(Self { page, start, len });
        }
        match Arc::try_unwrap(page.0) {
            Ok(inner) => Ok(Page::filled(inner.block, offset, lead, len, 0)),
            Err(shared) => Err(Self {
                page: Page(shared),
                start,
                len,
            }),
        }
    }

    /// Appends `next`, if its bytes follow these in the same page.
    ///
    /// # Errors
    ///
    /// `next`, if they do not.
    pub fn extend(&mut self, next: Self) -> Result<(), Self> {
        let follows =
            Arc::ptr_eq(&self.page.0, &next.page.0) && self.start + self.len == next.start;
        if !follows {
            return Err(next);
        }
        self.len += next.len;
        Ok(())
    }

    /// Drops the first `n` bytes.
    ///
    /// # Panics
    ///
    /// When there are fewer.
    pub fn advance(&mut self, n: usize) {
        assert!(n <= self.len);
        self.start += n;
        self.len -= n;
    }
}

impl fmt::Debug for PageSlice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PageSlice({} + {})", self.offset(), self.len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Offset 5000 of one file, at 904 of its second cache page.
    fn slice() -> PageSlice {
        let pool = PagePool::new(SLAB_BYTES, Arc::new(KernelMemory)).unwrap();
        let mut block = pool.take(1).unwrap();
        block.as_mut_slice()[904..1004].fill(7);
        // SAFETY: initialised above, and the page is not appended to.
        unsafe { PageSlice::new(Page::filled(block, 5000, 904, 100, 3), 0, 100) }
    }

    #[test]
    fn a_slice_becomes_a_page_of_another_file() {
        let before = slice();
        let address = before.as_slice().as_ptr();
        let page = before.into_page(4096 * 7 + 904).unwrap();
        assert_eq!(page.as_ptr(), address, "nothing was copied");
        assert_eq!((page.offset(), page.len()), (4096 * 7 + 904, 100));

        let mut middle = slice();
        middle.advance(10);
        let page = middle.into_page(914).unwrap();
        assert_eq!((page.offset(), page.len()), (914, 90));
    }

    #[test]
    fn a_shared_or_misaligned_slice_becomes_no_page() {
        assert_eq!(slice().into_page(905).err().unwrap().offset(), 5000);
        let shared = slice();
        let other = shared.clone();
        assert_eq!(shared.into_page(904).err().unwrap().len(), other.len());
    }
}
