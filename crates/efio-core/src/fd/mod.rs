//! Descriptors, which are small numbers with a generation, and the state of each file.

mod requests;
mod slot;
mod sparse_counters;
mod table;
mod unwritten;
mod watermarks;

pub use requests::Requests;
pub use slot::{
    About, CALLER, CallerState, DRIVER, Interest, Notify, OpenState, Question, RunBy, Slot,
};
pub use table::FdTable;
pub use unwritten::{Lost, Unwritten};
pub use watermarks::Progress;

use std::fmt;

/// A file descriptor of efio: an index with a generation, so that a descriptor used after its file
/// was closed fails with `EBADF` and never reaches the file that has the index now.
///
/// It is plain data: keep it in an event loop's user data, or pass it to C with
/// [`to_bits`](Self::to_bits).
///
/// ```text
///  63          32 31       0
///  ┌─────────────┬──────────┐
///  │ generation  │  index   │      generation 3 of index 5: 0x0000_0003_0000_0005, Fd(5#3)
///  └─────────────┴──────────┘
/// ```
///
/// # Examples
///
/// ```
/// use efio_core::Fd;
///
/// let fd = Fd::from_bits(0x0000_0003_0000_0005);
/// assert_eq!((fd.generation(), fd.index()), (3, 5));
/// assert_eq!(fd.to_bits(), 0x0000_0003_0000_0005);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fd {
    generation: u32,
    index: u32,
}

impl Fd {
    pub(crate) fn new(index: u32, generation: u32) -> Self {
        Self { generation, index }
    }

    /// Returns the index in the engine's table: small, and reused after close.
    pub fn index(self) -> u32 {
        self.index
    }

    /// Returns the generation, which differs for each file that used the index.
    pub fn generation(self) -> u32 {
        self.generation
    }

    /// Packs generation and index into one number.
    pub fn to_bits(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.index)
    }

    /// Unpacks what [`to_bits`](Self::to_bits) returned. Any number is allowed: calls with a
    /// descriptor that was never issued fail with `EBADF`.
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
