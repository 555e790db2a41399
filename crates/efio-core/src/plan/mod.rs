//! The decisions of the driver, one file each, pure: events go in, ops come out. No system call,
//! clock, thread or atomic, so that they can be tested by hand, by proptest and by simulation.
//!
//! | plan | decides |
//! |---|---|
//! | [`ReadAhead`] | what to read, in which sizes, how far ahead; order, end of file, short reads |
//! | [`WriteBehind`] | what may go to disk, in what form, and what is durable |
//! | [`Positional`] | when reads, writes and truncations that name their offset may go, and how |
//! | [`Routes`] | what is left of direct and uncached IO after refusals |
//! | [`Precedence`] | which open waits for which close, and for which other open |
//! | [`Lifecycle`] | open → serve → drain → close |

mod io_caps;
mod lifecycle;
mod positional;
mod precedence;
mod read_ahead;
mod write_behind;

pub use io_caps::IoCaps;
pub use lifecycle::{Lifecycle, Step};
pub use positional::{After, Asked, Finished, Kind, Next, Positional, Transfer};
pub use precedence::{Precedence, Ticket};
pub use read_ahead::{Delivered, ParkedRead, ReadAhead, ReadLimits, ReadRequest};
pub use write_behind::{ErrorAction, ParkedWrite, Pending, WriteBehind, WriteRange};
