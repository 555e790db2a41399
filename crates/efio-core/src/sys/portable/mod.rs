//! What every Unix system has.

mod beneath;
mod data;
pub mod fork;
mod stat;

pub use beneath::open_beneath;
pub use data::{
    DIRECT, READS_NOW, flags_of, open_again, read, read_now, sync_data, sync_directory, write,
};
pub use stat::{identify, look_at};

use std::ptr::NonNull;

/// Flags for a private mapping.
pub const MAP_FLAGS: i32 = libc::MAP_PRIVATE | libc::MAP_ANON;

/// There is nothing to ask for: who has huge pages gives them unasked.
pub fn prefer_huge_pages(_base: NonNull<u8>, _len: usize) {}

/// Whom a waking thread preempts is the scheduler's affair.
pub fn wake_without_preempting() {}
