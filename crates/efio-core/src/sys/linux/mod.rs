//! The system calls of Linux.

mod beneath;
mod data;
mod fork;
mod holes;
mod stat;

pub use beneath::open_beneath;
pub use data::{
    DIRECT, READS_NOW, flags_of, open_again, read, read_now, reports_end, sync_data,
    sync_directory, write,
};
pub use fork::fork_mark;
pub use holes::data_from;
pub use stat::{file_id, file_id_at, file_info, file_system, working_directory};

use crate::sys::memory::PAGE_BYTES;
use std::ptr::NonNull;

/// The flag to open a directory that a path only passes through: it need not be readable.
pub const SEARCH: i32 = libc::O_PATH;

/// Flags for a private mapping.
pub const MAP_FLAGS: i32 = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;

/// Asks for huge pages; a refusal changes only the speed.
pub fn prefer_huge_pages(base: NonNull<u8>, len: usize) {
    debug_assert!(len % PAGE_BYTES == 0);
    // SAFETY: advice about the caller's memory does not change its content.
    unsafe { libc::madvise(base.as_ptr().cast(), len, libc::MADV_HUGEPAGE) };
}

/// Removes a pending signal that this thread caused and that its mask blocks.
pub fn drop_pending(signal: libc::c_int) {
    let mut set = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
    let now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the set is initialised before it is read, and the call does not wait.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        libc::sigaddset(set.as_mut_ptr(), signal);
        libc::sigtimedwait(set.as_ptr(), std::ptr::null_mut(), &raw const now);
    }
}

/// Lets the calling thread preempt no running thread when it wakes: it starts on a free processor,
/// or when the scheduler chooses it. Threads that it spawns inherit that. A thread whose policy the
/// application has set keeps it, and a refusal changes nothing.
pub fn wake_without_preempting() {
    // Its other fields, where a C library has some, are for other policies.
    // SAFETY: all fields are numbers, and 0 is the only priority of this policy.
    let param: libc::sched_param = unsafe { std::mem::zeroed() };
    // SAFETY: the calls concern this thread, and the second one reads `param`.
    unsafe {
        if libc::sched_getscheduler(0) == libc::SCHED_OTHER {
            libc::sched_setscheduler(0, libc::SCHED_BATCH, &raw const param);
        }
    }
}
