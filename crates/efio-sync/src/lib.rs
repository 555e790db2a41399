//! Spin and compare-and-swap locks, an MCS queue lock and a doorbell.
#![cfg_attr(not(feature = "std"), no_std)]

#[cfg(feature = "alloc")]
extern crate alloc;

#[doc(hidden)]
pub mod shim;
