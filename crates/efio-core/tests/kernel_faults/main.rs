//! Faults that the real kernel can be made to have, each named by its number in the list that
//! `docs/TESTING.md` ends with. What needs root, a loop device or a filter says SKIPPED where it is not
//! to be had.

#[path = "../common/mod.rs"]
mod common;

mod denied;
mod descriptors;
mod frozen;
mod killed;
mod lost;
mod power;
mod process;
mod space;
