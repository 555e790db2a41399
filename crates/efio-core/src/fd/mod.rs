//! Descriptors: small numbers with a generation, and what stands behind them.

mod caller_state;
mod cold_state;
mod interest;
mod questions;
mod requests;
mod slot;
mod sparse_counters;
mod table;
mod waiters;
mod watermarks;

pub use caller_state::{CallerState, RunBy};
pub use interest::{Interest, Notify};
pub use questions::{About, Question};
pub use requests::Requests;
pub use slot::{CALLER, DRIVER, OpenState, Slot};
pub use table::FdTable;
pub use watermarks::Progress;

use std::fmt;

/// A file as efio names it: an index with a generation, so that a number kept after its file was
/// closed is recognised (`EBADF`) and never reaches the file that lives there now.
///
/// It is plain data: hold it in an event loop's user data, or pass it to C with
/// [`to_bits`](Self::to_bits).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fd {
    generation: u32,
    index: u32,
}

impl Fd {
    pub(crate) fn new(index: u32, generation: u32) -> Self {
        Self { generation, index }
    }

    /// The position in the table: small, and reused after close.
    pub fn index(self) -> u32 {
        self.index
    }

    /// Which user of that position this is.
    pub fn generation(self) -> u32 {
        self.generation
    }

    /// Both in one number.
    pub fn to_bits(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.index)
    }

    /// The inverse of [`to_bits`](Self::to_bits). Any number is allowed: one that was never issued
    /// gives `EBADF` in use.
    pub fn from_bits(bits: u64) -> Self {
        Self {
            generation: (bits >> 32) as u32,
            index: bits as u32,
        }
    }
}

impl fmt::Debug for Fd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fd({}#{})", self.index, self.generation)
    }
}
