//! The plans: the decisions of the driver as pure state machines. Inputs are methods `handle_*`,
//! outputs methods `poll_*`. No plan makes a system call or uses a clock, thread or atomic, so that
//! plans can be tested by hand, by proptest and by simulation.
//!
//! | plan | decides |
//! |---|---|
//! | [`ReadAhead`] | what to read, in which sizes, how far ahead; order, end of file, short reads |
//! | [`WriteBehind`] | what to write, in which sizes and cache mode, and what is durable |
//! | [`Positional`] | when to submit reads, writes and truncations at an offset, and how |
//! | [`IoCaps`] | whether direct and uncached IO are available, after refusals of the kernel |
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
pub use positional::{Asked, Finished, Kind, Next, Positional, Transfer};
pub use precedence::{Precedence, Ticket};
pub use read_ahead::{Delivered, ReadAhead, ReadLimits, ReadRequest};
pub use write_behind::{Pending, WriteBehind, WriteLimits, WriteRange};
