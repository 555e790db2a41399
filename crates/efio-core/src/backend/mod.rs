//! Backends: the only places that wait for a disk.
//!
//! Every backend keeps this contract, and the driver relies on it:
//!
//! 1. Each submitted request completes once, with its own id, in any order. `submit` may refuse a
//!    request for the moment by returning it.
//! 2. The backend owns the memory of a request until the completion. The completion returns the
//!    block of a read or of a block write; the slices of a write are dropped at any time after the
//!    kernel is done with them.
//! 3. Results are those of the system call, unchanged: short transfers stay short, errors stay
//!    errors. The plans decide what they mean.
//! 4. `submit` and `reap` never wait for a disk. The driver sleeps in `wait`, which returns when a
//!    completion may be available, when the driver's doorbell is notified, or at the timeout.

mod pool;
mod select;
#[cfg(feature = "__sim")]
mod sim;
mod work_queue;

cfg_if::cfg_if! {
    if #[cfg(all(
        target_os = "linux",
        not(efio_portable),
        // The architectures for which the crate io-uring has the kernel's structures.
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
#[cfg(feature = "__sim")]
pub use sim::{Foreign, Memory, SimDisk, SimInode, SimMemory, SimOpen, SimOptions, SimStore};
pub use uring::UringBackend;
pub use work_queue::WorkQueue;

use crate::op::{Completion, FileId, ReadNow, Request};
use std::sync::Arc;
use std::time::Duration;

/// Performs the driver's ops; the contract is in the documentation of the module.
pub trait Backend {
    /// An open file.
    type File;

    /// Submits a request, unless there is no room for it now.
    ///
    /// # Errors
    ///
    /// The request itself, to be submitted again after a completion.
    fn submit(&mut self, request: Request<Self::File>) -> Result<(), Request<Self::File>>;

    /// Starts the submitted requests that still wait to be batched with others: the driver will be
    /// busy for a while.
    fn flush(&mut self) {}

    /// Appends the available completions to `out`.
    fn reap(&mut self, out: &mut Vec<Completion<Self::File>>);

    /// Returns the file's identity, which is the same under each of its names.
    fn id(file: &Self::File) -> FileId;

    /// Returns how callers read what the kernel holds in memory, if this backend supports it.
    fn read_now(file: &Arc<Self::File>) -> Option<Arc<dyn ReadNow>> {
        let _ = file;
        None
    }

    /// Forgets the slab with this number, which is about to be unmapped, so that the kernel's
    /// registration of it ends. The number may be used again. No op has memory of the slab.
    fn forget_slab(&mut self, number: u32) {
        let _ = number;
    }

    /// Sleeps until there may be something to do, for at most `timeout`.
    fn wait(&mut self, timeout: Option<Duration>);
}
