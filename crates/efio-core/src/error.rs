//! Errors: the kernel's errno everywhere, and the sticky failure of a file.

use std::fmt;
use std::io;

/// An error number as the kernel gives it (`errno(3)`).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Errno(pub i32);

impl Errno {
    /// Whether the operation may simply be tried again: interrupted, or not now.
    pub fn is_transient(self) -> bool {
        matches!(self.0, libc::EINTR | libc::EAGAIN)
    }

    /// The error as callers see it. `EAGAIN` means "not yet" to them, and nothing else: an op that
    /// ended with it for good failed with `EBUSY`.
    pub(crate) fn as_failure(self) -> Self {
        match self.0 {
            libc::EAGAIN => Self(libc::EBUSY),
            _ => self,
        }
    }
}

impl fmt::Debug for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Errno({}: {})", self.0, io::Error::from(*self))
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        io::Error::from(*self).fmt(f)
    }
}

impl std::error::Error for Errno {}

impl From<Errno> for io::Error {
    fn from(errno: Errno) -> Self {
        Self::from_raw_os_error(errno.0)
    }
}

impl From<io::Error> for Errno {
    /// `EIO` for an error that did not come from the kernel.
    fn from(error: io::Error) -> Self {
        Self::from(&error)
    }
}

impl From<&io::Error> for Errno {
    /// `EIO` for an error that did not come from the kernel.
    fn from(error: &io::Error) -> Self {
        Self(error.raw_os_error().unwrap_or(libc::EIO))
    }
}

/// What made a file unusable for writing: the first error and where the loss begins. It never goes
/// away: every later write and sync, and the close, return it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The first error.
    pub errno: Errno,
    /// The lowest file offset of an accepted byte that may not have reached the disk. In append
    /// mode, where only the kernel knows offsets, it counts from the first byte written through the
    /// descriptor. [`NOTHING_LOST`](Self::NOTHING_LOST) when there is no such byte.
    pub offset: u64,
}

impl Failure {
    /// The offset of a failure that lost no accepted byte: a sync failed, and the syncs before it
    /// had covered all that was written through the descriptor. The kernel then means bytes of
    /// others, or the name of a new file.
    pub const NOTHING_LOST: u64 = u64::MAX;
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.offset {
            Self::NOTHING_LOST => write!(f, "{}; no accepted byte is lost", self.errno),
            offset => write!(f, "{}; bytes from offset {offset} may be lost", self.errno),
        }
    }
}

impl std::error::Error for Failure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.errno)
    }
}

impl From<Failure> for io::Error {
    fn from(failure: Failure) -> Self {
        failure.errno.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_says_what_is_lost() {
        let errno = Errno(libc::EIO);
        let text = |offset| Failure { errno, offset }.to_string();
        assert_eq!(text(7), format!("{errno}; bytes from offset 7 may be lost"));
        let nothing = text(Failure::NOTHING_LOST);
        assert_eq!(nothing, format!("{errno}; no accepted byte is lost"));
    }
}
