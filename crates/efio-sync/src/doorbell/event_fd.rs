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
/// [`clear`](Self::clear) when it was readable. A notifier may write just after the sleeper has
/// awoken for another reason; the next sleep then ends at once, which does no harm.
///
/// It can be in an edge-triggered set too: a notifier that finds the sleeper armed writes, so each
/// sleep that a notification follows has an edge of its own. Clear it all the same: a pipe that is
/// never emptied becomes full, and has no edges then.
///
/// ```
/// use efio_sync::{Doorbell, EventFd};
///
/// let bell = Doorbell::new(EventFd::new()?);
/// std::thread::scope(|scope| {
///     scope.spawn(|| bell.notify());
///     if bell.arm() {
///         // Sleeps in poll(2). A loop polls `bell.alarm()` there together with its sockets.
///         bell.alarm().wait(None);
///         if bell.disarm() {
///             bell.alarm().clear();
///         }
///     } // else it was notified before
/// });
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct EventFd {
    fd: WakeFd,
}

impl EventFd {
    /// Returns a fresh descriptor, not readable.
    ///
    /// # Errors
    ///
    /// The kernel's: `EMFILE`, `ENFILE`, `ENOMEM`.
    pub fn new() -> io::Result<Self> {
        Ok(Self { fd: WakeFd::new()? })
    }

    /// Makes it unreadable again. Returns whether it was readable.
    pub fn clear(&self) -> bool {
        self.fd.clear()
    }

    /// Waits until it is readable, at most `timeout` (`None`: for ever). Returns whether it is; an
    /// interrupting signal makes it return early. Does not clear it.
    ///
    /// If other code closed it by its number, the wait ends, and there is a new descriptor: see
    /// [`repair`](Self::repair). The wait checks for that when it has lasted twice as long as at
    /// the check before, and at least once a minute.
    pub fn wait(&self, timeout: Option<Duration>) -> bool {
        let mut left = timeout;
        let mut watch = Watch::default();
        loop {
            let part = watch.part(left);
            match self.poll(part) {
                // A signal.
                None => return false,
                // No file has the number.
                Some(revents) if revents & libc::POLLNVAL != 0 => {
                    self.repair();
                    return false;
                }
                Some(0) if part != left => {
                    left = left.zip(part).map(|(left, part)| left - part);
                    if self.repair() {
                        return false;
                    }
                }
                // A regular file, which may have the number by now, is always readable: that is no
                // wake-up, and must not be cleared.
                Some(revents) => return revents != 0 && !self.repair(),
            }
        }
    }

    /// The events of one poll(2); `None` after a signal.
    fn poll(&self, timeout: Option<Duration>) -> Option<libc::c_short> {
        let mut poll = libc::pollfd {
            fd: self.as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        };
        // SAFETY: one pollfd that lives through the call.
        let count = unsafe { libc::poll(&mut poll, 1, milliseconds(timeout)) };
        (count >= 0).then_some(poll.revents)
    }

    /// Makes a new descriptor if other code closed this one by its number, and returns whether it
    /// did. For the sleeper, which then waits for the new number. Always `false` where the system
    /// has no mark for it.
    ///
    /// A notifier checks by itself, and writes nothing to the descriptor of another file: the
    /// sleeper has to check from time to time.
    pub fn repair(&self) -> bool {
        self.fd.repair()
    }
}

/// How long a sleeper may sleep before it checks that its descriptor is still there: a tenth of a
/// second first, then twice as long each time, and a minute at most. A sleep of an hour has about
/// 70 checks.
#[derive(Debug)]
struct Watch {
    next: Duration,
}

impl Watch {
    const FIRST: Duration = Duration::from_millis(100);
    const LAST: Duration = Duration::from_secs(60);

    /// The next part of a sleep of `left`.
    fn part(&mut self, left: Option<Duration>) -> Option<Duration> {
        let part = self.next;
        self.next = (part * 2).min(Self::LAST);
        Some(left.map_or(part, |left| left.min(part)))
    }
}

impl Default for Watch {
    /// At the beginning of a sleep.
    fn default() -> Self {
        Self { next: Self::FIRST }
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
