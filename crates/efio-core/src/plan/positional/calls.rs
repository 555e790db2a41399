//! What goes into the plan of positional ops and what comes out of it.

use crate::error::Errno;
use crate::op::CacheMode;

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

/// An op as the caller asked for it; `M` is its memory.
#[derive(Debug, PartialEq, Eq)]
pub struct Asked<M> {
    /// What to do.
    pub kind: Kind,
    /// Its place in the sequence: what was accepted before it.
    pub seq: u64,
    /// File offset, or the new length.
    pub offset: u64,
    /// How many bytes.
    pub len: usize,
    /// The caller's name for it.
    pub token: u64,
    /// The bytes; nothing for a truncation.
    pub memory: Option<M>,
}

impl<M> Asked<M> {
    /// How much of the sequence it takes. A truncation counts as one byte, so that a mark tells
    /// whether it is included.
    pub fn seq_len(&self) -> u64 {
        match self.kind {
            Kind::Read => 0,
            Kind::Write => self.len as u64,
            Kind::Truncate => 1,
        }
    }
}

/// What is to be done next.
#[derive(Debug, PartialEq, Eq)]
pub enum Next<M> {
    /// Submit this.
    Submit(Transfer<M>),
    /// Tell the caller: this op will not reach the kernel, or does not have to.
    Finish(Finished<M>),
}

/// An op for the kernel.
#[derive(Debug, PartialEq, Eq)]
pub struct Transfer<M> {
    /// To be given back with the completion.
    pub key: u32,
    /// What to do.
    pub kind: Kind,
    /// File offset of the first byte, or the new length.
    pub offset: u64,
    /// Where in the memory it begins.
    pub start: usize,
    /// How many bytes.
    pub len: usize,
    /// How.
    pub cache_mode: CacheMode,
    /// The memory.
    pub memory: Option<M>,
}

/// What a completion led to.
#[derive(Debug, PartialEq, Eq)]
pub enum After<M> {
    /// The op goes on: [`try_next`](super::Positional::next) submits the rest.
    Again,
    /// The same by another route. Counted as a fallback.
    FellBack,
    /// The op is over.
    Finished(Finished<M>),
}

/// An op that is over.
#[derive(Debug, PartialEq, Eq)]
pub struct Finished<M> {
    /// What it did.
    pub kind: Kind,
    /// The caller's name for it.
    pub token: u64,
    /// File offset, or the new length.
    pub offset: u64,
    /// How many bytes it asked for.
    pub len: usize,
    /// Bytes moved before it ended, well or not.
    pub len_done: usize,
    /// How it went.
    pub result: Result<(), Errno>,
    /// The memory, unless it was lost on the way (F54).
    pub memory: Option<M>,
}
