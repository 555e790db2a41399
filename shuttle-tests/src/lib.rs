//! Random schedules of many threads, in `tests/`. The library itself is empty.
//!
//! loom explores every schedule of a few operations; shuttle tries many schedules of many. All its
//! atomics are sequentially consistent, so it shows liveness and logic, never orderings: that no
//! thread waits for ever, that each item comes out once and in its producer's order.
//!
//! ```text
//! RUSTFLAGS="--cfg shuttle" cargo test -p shuttle-tests --release --target-dir target/shuttle
//! ```
