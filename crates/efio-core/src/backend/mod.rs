//! Backends: the only places that wait for a disk.
//!
//! The contract, which every backend keeps and the driver relies on:
//!
//! - Each submitted request gets one completion, with its own id, in any order. `submit` may refuse
//!   a request for the moment by giving it back.
//! - The memory of a request belongs to the backend until the completion. The memory of a read
//!   comes back with it; slices of a write may be dropped at any time after the kernel is done.
//! - Results are those of the system call, unchanged: short transfers stay short, errors stay
//!   errors. The plans decide what they mean.
//! - `submit` and `reap` never wait for a disk. `wait` is where the driver sleeps: it returns when a
//!   completion may be there, when the driver's doorbell was rung, or at the timeout.

mod pool;
mod select;
mod sim;
mod work_queue;

cfg_if::cfg_if! {
    if #[cfg(all(
        target_os = "linux",
        not(efio_portable),
        // Those of which the crate io-uring has the kernel's structures.
        any(
            target_arch = "x86_64",
            target_arch = "aarch64",
            target_arch = "riscv64",
            target_arch = "loongarch64",
            target_arch = "powerpc64",
        ),
    ))] {
        mod uring;
    } else {
        #[path = "no_uring.rs"]
        mod uring;
    }
}

pub use pool::PoolBackend;
pub use select::{BackendInfo, Selected, start};
pub use sim::{Foreign, Memory, SimDisk, SimInode, SimMemory, SimOpen, SimOptions, SimStore};
pub use uring::UringBackend;
pub use work_queue::WorkQueue;

use crate::op::{Completion, FileId, ReadNow, Request};
use std::sync::Arc;
use std::time::Duration;

/// Does what ops say; the contract is in the documentation of the module.
pub trait Backend {
    /// An open file.
    type File;

    /// Begins a request; gives it back when there is no room for it now.
    ///
    /// # Errors
    ///
    /// The request itself, to be submitted again after a completion.
    fn submit(&mut self, request: Request<Self::File>) -> Result<(), Request<Self::File>>;

    /// Begins at once what was submitted and waits for company: the driver will be busy for a while.
    fn flush(&mut self) {}

    /// Moves the completions that are there to `out`.
    fn reap(&mut self, out: &mut Vec<Completion<Self::File>>);

    /// Which file it is, whatever its names.
    fn id(file: &Self::File) -> FileId;

    /// How callers read what the kernel holds in memory, if this backend has a way.
    fn read_now(file: &Arc<Self::File>) -> Option<Arc<dyn ReadNow>> {
        let _ = file;
        None
    }

    /// The slab with this number is about to be unmapped, and the number to be used again: what the
    /// backend told the kernel about it is void. No op has memory of it.
    fn forget_slab(&mut self, number: u32) {
        let _ = number;
    }

    /// Sleeps until there may be something to do, at most `timeout`.
    fn wait(&mut self, timeout: Option<Duration>);
}
