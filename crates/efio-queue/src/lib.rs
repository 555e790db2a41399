//! Michael-Scott multi-producer multi-consumer queues, `no_std` + `alloc` and checked with loom.
//!
//! | | nodes | bound | progress | for |
//! |---|---|---|---|---|
//! | [`SegQueue`] | segments of 128 slots | memory | waits, briefly and rarely | speed |
//! | [`MsQueue`] | one per item | memory, or a capacity | lock-free | a bound, or lock-freedom |
//!
//! Both are linearizable, have the same methods, and share them through the trait [`Queue`].
#![cfg_attr(not(feature = "std"), no_std)]

extern crate alloc;

mod access;
mod drop_rest;
mod error;
pub mod ms;
mod queue;
pub mod seg;

pub use error::PushError;
pub use ms::MsQueue;
pub use queue::Queue;
pub use seg::SegQueue;
