//! Shared parts of the benchmarks: peers live here and nowhere else in the workspace.
