//! Shared parts of the benchmarks: how candidates are measured beside each other. The peers
//! themselves are known to the benches alone.

pub mod rounds;
