//! What only Linux has.

mod beneath;
mod data;
pub mod fork;
mod stat;

pub use beneath::open_beneath;
pub use data::{
    DIRECT, READS_NOW, flags_of, open_again, read, read_now, sync_data, sync_directory, write,
};
pub use stat::{identify, look_at};

use crate::page::UNIT_BYTES;
use std::ptr::NonNull;

/// Flags for a private mapping.
pub const MAP_FLAGS: i32 = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;

/// Asks for huge pages; refusing it changes nothing but the speed.
pub fn prefer_huge_pages(base: NonNull<u8>, len: usize) {
    debug_assert!(len % UNIT_BYTES == 0);
    // SAFETY: advice about memory of the caller's does not change what is in it.
    unsafe { libc::madvise(base.as_ptr().cast(), len, libc::MADV_HUGEPAGE) };
}
