//! Michael-Scott multi-producer multi-consumer queues, `no_std` + `alloc` and checked with loom.
//!
//! | | nodes | bound | progress | for |
//! |---|---|---|---|---|
//! | [`SegQueue`] | segments of 128 slots | memory | waits, briefly and seldom | speed |
//! | [`MsQueue`] | one per item | memory, or a capacity | lock-free | a bound, or lock-freedom |
//!
//! Both are linearizable, have the same methods, and share them through the trait [`Queue`]. With a
//! doorbell around either, an [`inbox`] has one receiver that can wait: a thread or a task.
//!
//! Targets need 64-bit atomics: they hold an index and a tag, or a position that is never reused.
//! With 32 bits either would repeat within minutes. Armv7-M (thumbv7m, thumbv7em) has none.
//!
//! Features: `std` (default) lets waiting threads yield the processor and receivers sleep.
#![cfg_attr(not(feature = "std"), no_std)]

extern crate alloc;

#[cfg(not(target_has_atomic = "64"))]
compile_error!("efio-queue needs 64-bit atomics, which this target does not have");

mod access;
#[macro_use]
mod by_value;
mod drop_rest;
mod error;
pub mod inbox;
pub mod ms;
mod queue;
pub mod seg;

pub use error::PushError;
pub use ms::MsQueue;
pub use queue::Queue;
pub use seg::SegQueue;

/// The README's example, compiled.
#[doc = include_str!("../README.md")]
#[cfg(doctest)]
struct Readme;

/// A queue is as `Send` as its items.
///
/// ```compile_fail,E0277
/// fn needs_send<T: Send>(_: T) {}
/// needs_send(efio_queue::SegQueue::<std::rc::Rc<u8>>::new());
/// ```
///
/// ```compile_fail,E0277
/// fn needs_sync<T: Sync>(_: T) {}
/// needs_sync(efio_queue::SegQueue::<std::rc::Rc<u8>>::new());
/// ```
///
/// ```compile_fail,E0277
/// fn needs_send<T: Send>(_: T) {}
/// needs_send(efio_queue::MsQueue::<std::rc::Rc<u8>>::new());
/// ```
///
/// ```compile_fail,E0277
/// fn needs_sync<T: Sync>(_: T) {}
/// needs_sync(efio_queue::MsQueue::<std::rc::Rc<u8>>::new());
/// ```
///
/// ```compile_fail,E0277
/// fn needs_send<T: Send>(_: T) {}
/// let queue = efio_queue::SegQueue::<std::rc::Rc<u8>>::new();
/// needs_send(queue.drain());
/// ```
///
/// `Sync` needs only `Send` items: a `Cell` is enough.
///
/// ```
/// fn needs_both<T: Send + Sync>(_: T) {}
/// needs_both(efio_queue::SegQueue::<std::cell::Cell<u8>>::new());
/// needs_both(efio_queue::MsQueue::<std::cell::Cell<u8>>::new());
/// let queue = efio_queue::SegQueue::<std::cell::Cell<u8>>::new();
/// needs_both(queue.drain());
/// ```
///
/// There is only one receiver.
///
/// ```compile_fail,E0599
/// use efio_queue::{SegQueue, inbox};
/// let (_, receiver) = inbox::new(SegQueue::<u8>::new(), inbox::WakerSlot::new());
/// let another = receiver.clone();
/// ```
#[cfg(doctest)]
struct Bounds;
