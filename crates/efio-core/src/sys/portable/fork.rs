//! A word that a handler resets in a child.

use crate::sys::fork::mark_by_handler;
use std::io;
use std::sync::atomic::AtomicU32;

/// Returns the word of [`ForkGuard`](crate::sys::fork::ForkGuard).
///
/// # Errors
///
/// Those of `pthread_atfork(3)`: `ENOMEM`.
pub fn fork_mark() -> io::Result<&'static AtomicU32> {
    mark_by_handler()
}
