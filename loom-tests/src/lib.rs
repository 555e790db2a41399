//! Loom models of efio's primitives. Each file under `tests/` models one primitive over its public
//! API; run them with
//!
//! ```text
//! RUSTFLAGS="--cfg loom" cargo test -p loom-tests --release
//! ```
