//! What every Unix system has.

mod data;
mod fork;
mod holes;
mod stat;

pub use crate::sys::beneath::walk as open_beneath;
pub use data::{
    DIRECT, READS_NOW, flags_of, open_again, read, read_now, sync_data, sync_directory,
    tells_the_end, write,
};
pub use fork::fork_mark;
pub use holes::data_from;
pub use stat::{file_id, file_id_at, file_info, file_system, working_directory};

use std::ptr::NonNull;

/// How a directory is opened that is only passed through.
pub const SEARCH: i32 = libc::O_RDONLY;

/// Flags for a private mapping.
pub const MAP_FLAGS: i32 = libc::MAP_PRIVATE | libc::MAP_ANON;

/// There is nothing to ask for: who has huge pages gives them unasked.
pub fn prefer_huge_pages(_base: NonNull<u8>, _len: usize) {}

/// The driver makes no write itself without a ring, so nothing is pending there.
pub fn drop_pending(_signal: libc::c_int) {}

/// Whom a waking thread preempts is the scheduler's affair.
pub fn wake_without_preempting() {}
