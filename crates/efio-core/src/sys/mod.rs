//! System calls, and nothing else: no policy, no state.

pub mod file;
pub mod fork;
pub mod memory;
pub mod signals;
pub mod socket;
