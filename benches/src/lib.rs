//! Shared parts of the benchmarks: how candidates are measured beside each other, and what a
//! comparison results in. Only the benches and binaries know the peers.

pub mod catalog;
pub mod interleave;
pub mod primitives;
pub mod record;
mod saved;
