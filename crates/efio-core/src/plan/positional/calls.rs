//! The inputs and outputs of the plan of positional ops.

use crate::error::Errno;
use crate::op::CacheMode;
use crate::slot_map::Key;

/// What an op does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Fills the memory from the file.
    Read,
    /// Writes the memory to the file.
    Write,
    /// Sets the length of the file, which is the op's offset.
    Truncate,
}

/// An op as the caller submitted it; `M` is its memory.
#[derive(Debug, PartialEq, Eq)]
pub struct Asked<M> {
    /// What to do.
    pub kind: Kind,
    /// Its place in the sequence: how many bytes were accepted before it.
    pub seq: u64,
    /// File offset, or the new length.
    pub offset: u64,
    /// How many bytes.
    pub len: usize,
    /// The caller's name for it.
    pub token: u64,
    /// The bytes; `None` for a truncation.
    pub memory: Option<M>,
}

impl<M> Asked<M> {
    /// Returns how much of the sequence it takes. A truncation counts as one byte, so that a mark
    /// either includes it or not.
    pub fn seq_len(&self) -> u64 {
        match self.kind {
            Kind::Read => 0,
            Kind::Write => self.len as u64,
            Kind::Truncate => 1,
        }
    }
}

/// What the driver has to do next.
#[derive(Debug, PartialEq, Eq)]
pub enum Next<M> {
    /// Submit this.
    Submit(Transfer<M>),
    /// Complete this op without the kernel: it cannot be submitted, or has nothing to transfer.
    Finish(Finished<M>),
}

/// An op for the kernel.
#[derive(Debug, PartialEq, Eq)]
pub struct Transfer<M> {
    /// To be given back with the completion.
    pub key: Key,
    /// What to do.
    pub kind: Kind,
    /// File offset of the first byte, or the new length.
    pub offset: u64,
    /// Where in the memory it begins.
    pub start: usize,
    /// How many bytes.
    pub len: usize,
    /// The mode of the transfer.
    pub cache_mode: CacheMode,
    /// The memory.
    pub memory: Option<M>,
}

/// A completed op.
#[derive(Debug, PartialEq, Eq)]
pub struct Finished<M> {
    /// What it did.
    pub kind: Kind,
    /// The caller's name for it.
    pub token: u64,
    /// File offset, or the new length.
    pub offset: u64,
    /// How many bytes it was to transfer.
    pub len: usize,
    /// How many bytes were transferred, also before an error.
    pub len_done: usize,
    /// Success or the error.
    pub result: Result<(), Errno>,
    /// The memory, unless it was lost with its op (F54).
    pub memory: Option<M>,
}
