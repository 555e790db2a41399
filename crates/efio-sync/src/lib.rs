//! Spin and compare-and-swap locks, an MCS queue lock and a doorbell.
#![cfg_attr(not(feature = "std"), no_std)]

#[cfg(feature = "alloc")]
extern crate alloc;

#[doc(hidden)]
#[macro_use]
pub mod shim;

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
