//! An alarm that is a file descriptor, for sleepers that wait for IO as well.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::time::Duration;

use super::{Alarm, Sleep};
use crate::shim::platform::WakeFd;

/// A descriptor that becomes readable when the sleeper is to wake: an eventfd on Linux, the reading
/// end of a pipe on other Unix systems. Non-blocking and close-on-exec.
///
/// The sleeper waits for it beside its other descriptors (poll, epoll, an io_uring poll or read),
/// between [`arm`](super::Doorbell::arm) and [`disarm`](super::Doorbell::disarm), and calls
/// [`clear`](Self::clear) when it was readable. A ringer may write just after the sleeper has
/// awoken for another reason; the next sleep then ends at once, which does no harm.
///
/// ```
/// use efio_sync::{Doorbell, EventFd};
///
/// let bell = Doorbell::new(EventFd::new()?);
/// if bell.arm() {
///     // Here: poll `bell.alarm()` together with the sockets, until one of them is ready.
///     # bell.ring();
///     bell.alarm().wait(None);
///     if bell.disarm() {
///         bell.alarm().clear();
///     }
/// }
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct EventFd {
    fd: WakeFd,
}

impl EventFd {
    /// A fresh descriptor, not readable.
    ///
    /// # Errors
    ///
    /// The kernel's: `EMFILE`, `ENFILE`, `ENOMEM`.
    pub fn new() -> io::Result<Self> {
        Ok(Self { fd: WakeFd::new()? })
    }

    /// Makes it unreadable again. Says whether it was readable.
    pub fn clear(&self) -> bool {
        self.fd.clear()
    }

    /// Waits until it is readable, at most `timeout` (`None`: for ever). Says whether it is; an
    /// interrupting signal makes it return early. Does not clear it.
    pub fn wait(&self, timeout: Option<Duration>) -> bool {
        let mut poll = libc::pollfd {
            fd: self.as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        };
        // SAFETY: one pollfd that lives through the call.
        unsafe { libc::poll(&mut poll, 1, milliseconds(timeout)) > 0 }
    }
}

/// As poll(2) wants it: rounded up, so that a wait is never shorter than asked for.
fn milliseconds(timeout: Option<Duration>) -> libc::c_int {
    match timeout {
        None => -1,
        Some(time) => {
            let up = time.as_nanos().div_ceil(1_000_000);
            up.try_into().unwrap_or(libc::c_int::MAX)
        }
    }
}

impl Alarm for EventFd {
    fn wake(&self) {
        self.fd.write();
    }
}

impl Sleep for EventFd {
    fn sleep(&self, timeout: Option<Duration>) {
        if self.wait(timeout) {
            self.clear();
        }
    }
}

impl AsFd for EventFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl AsRawFd for EventFd {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}
