//! Spin and compare-and-swap locks, an MCS queue lock and a doorbell, checked with loom.
//!
//! | | for | waits by | order |
//! |---|---|---|---|
//! | [`SpinLock`] | a few instructions on shared data | spinning, then yielding | none |
//! | [`CasLock`], [`CasCell`] | a holder with a tag, which can hand the lock over | spinning, then sleeping | none |
//! | [`McsLock`] | data that no thread may starve for | spinning on its own cache line, then yielding | first come, first served |
//! | [`RwSpinLock`] | data that is mostly read | spinning, then yielding | writers before readers |
//! | [`Doorbell`] | waking a thread that waits for work | sleeping where the sleeper likes | – |
//!
//! [`Backoff`] and [`CachePadded`] are what they are built with. Everything can be made in a
//! `const` context. None of the locks is re-entrant, and none is poisoned by a panic.
//!
//! A spinning thread needs another core on which the holder runs. With more runnable threads than
//! cores the holder may be off the processor, and then waiting costs what the scheduler takes to
//! bring it back; each type's documentation says how it copes and what was measured (two cores of
//! an AMD EPYC of the Zen 4 generation, Linux 6.18).
//!
//! # Features
//!
//! - `std` (default): yielding, sleeping, [`Parker`], [`EventFd`]. Without it the crate is `no_std`
//!   and every wait is a busy one.
//! - `alloc`: [`Alarm`] for `Arc`.
//! - `lock_api`: [`RawSpinLock`] and [`RawRwSpinLock`] as raw locks of the `lock_api` crate.
#![cfg_attr(not(feature = "std"), no_std)]

#[cfg(feature = "alloc")]
extern crate alloc;

#[macro_use]
#[cfg(feature = "__shim")]
#[doc(hidden)]
pub mod shim;
// Of parts of it only the crates above make use.
#[macro_use]
#[cfg(not(feature = "__shim"))]
#[allow(dead_code, unused_imports)]
mod shim;
#[macro_use]
mod guard;

mod backoff;
mod cache_padded;
mod cas_cell;
mod cas_lock;
mod doorbell;
#[cfg(all(feature = "lock_api", not(loom)))]
mod lock_api;
mod mcs_lock;
mod parking;
mod raw_rw_spin_lock;
mod rw_spin_lock;
mod spin_lock;

pub use backoff::Backoff;
pub use cache_padded::CachePadded;
pub use cas_cell::{CasCell, CasCellGuard};
pub use cas_lock::{CasGuard, CasLock};
#[cfg(all(feature = "std", unix))]
pub use doorbell::EventFd;
pub use doorbell::{Alarm, Doorbell};
#[cfg(feature = "std")]
pub use doorbell::{Parker, Sleep};
pub use mcs_lock::{McsGuard, McsLock, McsNode};
pub use raw_rw_spin_lock::RawRwSpinLock;
pub use rw_spin_lock::{RwSpinLock, RwSpinReadGuard, RwSpinUpgradableGuard, RwSpinWriteGuard};
pub use spin_lock::{RawSpinLock, SpinLock, SpinLockGuard};

/// The README's example compiles.
#[cfg(all(doctest, feature = "std"))]
#[doc = include_str!("../README.md")]
struct Readme;
