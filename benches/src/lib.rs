//! Shared parts of the benchmarks: how candidates are measured beside each other, and what a
//! comparison leaves behind. The peers themselves are known to the benches and binaries alone.

pub mod catalog;
pub mod interleave;
pub mod primitives;
pub mod record;
mod saved;
