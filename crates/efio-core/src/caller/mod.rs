//! The caller's side: what a call does on the caller's own thread. No call waits for a disk, and
//! the only system call of most is the one that wakes a sleeping driver.
//!
//! Each call takes the file's lock, so that calls from several threads run one after the other
//! (F50), checks the generation under it (F8, F9), and works on the
//! [`CallerState`](crate::fd::CallerState). [`Shared::lock`](crate::shared::Shared::lock) returns
//! the guard, [`Locked`], whose methods the calls are.

mod close;
mod locked;
mod open;
mod poll;
pub mod position;
mod positional;
mod read;
mod size;
pub mod transfer;
mod unwritten;
mod wait;
mod write;

pub use locked::Locked;
pub use positional::SubmitError;

use crate::error::Errno;

pub(crate) const EBADF: Errno = Errno(libc::EBADF);
pub(crate) const EINVAL: Errno = Errno(libc::EINVAL);
pub(crate) const EAGAIN: Errno = Errno(libc::EAGAIN);
