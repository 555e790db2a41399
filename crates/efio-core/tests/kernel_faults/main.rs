//! Faults that the real kernel can be made to have, each named by its number in the table of
//! `docs/TESTING.md`. What needs root, a loop device or a filter prints SKIPPED where that is not
//! available.

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
