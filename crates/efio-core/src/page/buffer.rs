//! Memory of the pool that a caller owns, for positional IO.

use super::buddy::{SLAB_BYTES, order_for};
use super::pool::{Block, PagePool};
use crate::error::Errno;
use std::fmt;
use std::io;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

/// Memory of the engine's budget, aligned for direct IO. A [`read_at`](crate::File::read_at) or
/// [`write_at`](crate::File::write_at) takes it, and its completion returns it, to be used again.
/// Dropping it releases the memory.
///
/// A buffer has [`len`](slice::len) bytes, which the next op transfers, and room for
/// [`capacity`](Self::capacity) bytes. It dereferences to `[u8]`.
pub struct Buffer {
    /// `None` once the memory was lost with a worker that panicked (F54).
    block: Option<Block>,
    len: u32,
}

impl Buffer {
    /// The largest length: 2 MiB.
    pub const MAX_LEN: usize = SLAB_BYTES;

    /// Allocates `len` bytes, all zero, so that no bytes of an earlier user leak (F58).
    pub(crate) fn take(pool: &Arc<PagePool>, len: usize) -> io::Result<Self> {
        if len == 0 || len > Self::MAX_LEN {
            return Err(Errno(libc::EINVAL).into());
        }
        let mut block = pool.take_or_map(order_for(len))?;
        block.as_mut_slice().fill(0);
        Ok(Self::of(Some(block), len))
    }

    /// Wraps the memory of a completed op.
    pub(crate) fn of(block: Option<Block>, len: usize) -> Self {
        debug_assert!(block.as_ref().is_none_or(|block| len <= block.len()));
        let len = if block.is_some() { len as u32 } else { 0 };
        Self { block, len }
    }

    pub(crate) fn into_block(self) -> Option<Block> {
        self.block
    }

    /// Returns how many bytes it has room for: its first length, rounded up to 4 KiB times a power
    /// of two. 5000 bytes: 8192.
    pub fn capacity(&self) -> usize {
        self.block.as_ref().map_or(0, Block::len)
    }

    /// Sets the length, which is how many bytes the next op transfers. Added bytes are zero, or
    /// what this buffer had there before.
    ///
    /// # Panics
    ///
    /// When `len` is above [`capacity`](Self::capacity).
    pub fn resize(&mut self, len: usize) {
        assert!(
            len <= self.capacity(),
            "a buffer of {} bytes cannot hold {len}",
            self.capacity()
        );
        self.len = len as u32;
    }
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.block {
            Some(block) => &block.as_slice()[..self.len as usize],
            None => &[],
        }
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        match &mut self.block {
            Some(block) => &mut block.as_mut_slice()[..self.len as usize],
            None => &mut [],
        }
    }
}

impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Buffer({} of {} bytes)", self.len, self.capacity())
    }
}

impl PartialEq for Buffer {
    /// Compares the bytes.
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Buffer {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::KernelMemory;

    /// F58.
    #[test]
    fn a_buffer_shows_nothing_of_its_last_user() {
        let pool = PagePool::new(SLAB_BYTES, Arc::new(KernelMemory)).unwrap();
        let mut first = Buffer::take(&pool, Buffer::MAX_LEN).unwrap();
        assert_eq!(
            Buffer::take(&pool, 1).unwrap_err().raw_os_error(),
            Some(libc::EAGAIN),
            "the budget is used up"
        );
        first.fill(7);
        drop(first);
        let mut again = Buffer::take(&pool, 5000).unwrap();
        assert_eq!((again.len(), again.capacity()), (5000, 8192));
        again.resize(8192);
        assert!(again.iter().all(|&byte| byte == 0));
    }

    #[test]
    fn lengths_that_no_op_can_have_are_refused() {
        let pool = PagePool::new(SLAB_BYTES, Arc::new(KernelMemory)).unwrap();
        for len in [0, Buffer::MAX_LEN + 1, usize::MAX] {
            let error = Buffer::take(&pool, len).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(libc::EINVAL), "{len}");
        }
        assert!(Buffer::of(None, 10).is_empty());
    }
}
