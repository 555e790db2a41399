//! Reads and writes, and the memory that they own.

use super::CacheMode;
use crate::page::{Block, PageSlice};
use std::sync::Arc;

/// A read or write of an open file.
#[derive(Debug)]
pub struct Transfer<F> {
    /// The file.
    pub file: Arc<F>,
    /// How.
    pub cache_mode: CacheMode,
    /// Where in the file; a write to a file opened with O_APPEND goes to the end of file.
    pub offset: u64,
    /// Where the bytes go, or come from.
    pub memory: Memory,
}

/// The memory of a transfer, owned by the op until its completion.
#[derive(Debug)]
pub enum Memory {
    /// A read fills it.
    Fill(BlockRange),
    /// A write of these bytes.
    Block(BlockRange),
    /// A write of these slices, one after the other.
    Slices(Vec<PageSlice>),
}

/// A range of a block.
#[derive(Debug)]
pub struct BlockRange {
    block: Block,
    start: usize,
    len: usize,
}

impl<F> Transfer<F> {
    /// Whether it is a read.
    pub fn is_read(&self) -> bool {
        matches!(self.memory, Memory::Fill(_))
    }
}

impl Memory {
    /// Returns how many bytes it has.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Fill(range) | Self::Block(range) => range.len,
            Self::Slices(slices) => slices.iter().map(PageSlice::len).sum(),
        }
    }

    /// Returns the bytes of a write; none for a read.
    #[cfg(feature = "__sim")]
    pub fn parts(&self) -> Vec<&[u8]> {
        match self {
            Self::Fill(_) => Vec::new(),
            Self::Block(range) => vec![range.as_slice()],
            Self::Slices(slices) => slices.iter().map(PageSlice::as_slice).collect(),
        }
    }

    /// Returns the block that the completion gives back.
    pub fn into_block(self) -> Option<Block> {
        match self {
            Self::Fill(range) | Self::Block(range) => Some(range.block),
            Self::Slices(_) => None,
        }
    }
}

impl BlockRange {
    /// Returns `len` bytes of `block`, from its byte `start` on.
    pub fn new(block: Block, start: usize, len: usize) -> Self {
        Self { block, start, len }
    }

    /// Returns how many bytes it has.
    #[allow(clippy::len_without_is_empty, reason = "nobody asks")]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Returns the block.
    pub fn block(&self) -> &Block {
        &self.block
    }

    /// Returns the address of the first byte.
    pub fn as_ptr(&self) -> *mut u8 {
        self.block.as_ptr().wrapping_add(self.start)
    }

    /// Returns the bytes; see [`Block::as_slice`].
    pub fn as_slice(&self) -> &[u8] {
        &self.block.as_slice()[self.start..][..self.len]
    }

    /// Returns the bytes; see [`Block::as_mut_slice`].
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        &mut self.block.as_mut_slice()[self.start..][..self.len]
    }
}
