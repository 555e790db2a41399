//! A word that a handler wipes in a child.

use crate::sys::fork::mark_by_handler;
use std::io;
use std::sync::atomic::AtomicU32;

/// The word of [`ForkGuard`](crate::sys::fork::ForkGuard).
///
/// # Errors
///
/// What `pthread_atfork(3)` says: `ENOMEM`.
pub fn fork_mark() -> io::Result<&'static AtomicU32> {
    mark_by_handler()
}
