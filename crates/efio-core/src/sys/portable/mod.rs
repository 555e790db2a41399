//! The system calls of every Unix system.

mod data;
mod fork;
mod holes;
mod stat;

pub use crate::sys::beneath::walk as open_beneath;
pub use data::{
    DIRECT, READS_NOW, flags_of, open_again, read, read_now, reports_end, sync_data,
    sync_directory, write,
};
pub use fork::fork_mark;
pub use holes::data_from;
pub use stat::{file_id, file_id_at, file_info, file_system, working_directory};

use std::ptr::NonNull;

/// The flag to open a directory that a path only passes through.
pub const SEARCH: i32 = libc::O_RDONLY;

/// Flags for a private mapping.
pub const MAP_FLAGS: i32 = libc::MAP_PRIVATE | libc::MAP_ANON;

/// Does nothing: systems with huge pages use them by themselves.
pub fn prefer_huge_pages(_base: NonNull<u8>, _len: usize) {}

/// Does nothing: without a ring the driver writes nothing itself, so no signal is pending.
pub fn drop_pending(_signal: libc::c_int) {}

/// Does nothing: the scheduler decides which thread a waking thread preempts.
pub fn wake_without_preempting() {}
