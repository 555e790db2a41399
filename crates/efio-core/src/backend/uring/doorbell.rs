//! The driver's doorbell as an operation of the ring, so that the driver sleeps in one place.
//!
//! A multishot poll of the eventfd completes once for each write to it, however high its count is
//! already. So nobody has to read the eventfd, and a notification costs the driver no system call.
//! The count goes up by one for each sleep and never reaches its end.

use super::ring::Ring;
use efio_sync::EventFd;
use io_uring::{cqueue, opcode, types};
use std::os::fd::{AsRawFd, RawFd};
use std::time::Duration;

/// Marks the completions of the poll.
pub const DOORBELL: u64 = u64::MAX;

/// The longest sleep before the descriptor is checked: the first time, and at most.
///
/// | sleeps without any notification | 1st | 2nd | 3rd | … | 11th and later |
/// |---|---|---|---|---|---|
/// | ends after | 100 ms | 200 ms | 400 ms | … | 60 s |
const CHECK_AFTER: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(60));

/// The poll of the doorbell's descriptor.
pub struct DoorbellPoll {
    fd: RawFd,
    armed: bool,
    /// How long a sleep lasts until it is interrupted for the next check.
    check_after: Duration,
}

impl DoorbellPoll {
    /// Creates a poll of `fd`, which has to stay open as long as the ring.
    pub fn new(fd: &impl AsRawFd) -> Self {
        Self {
            fd: fd.as_raw_fd(),
            armed: false,
            check_after: CHECK_AFTER.0,
        }
    }

    /// Starts the poll unless it is running. The driver calls this before it sleeps.
    pub fn arm(&mut self, ring: &mut Ring) {
        if self.armed {
            return;
        }
        let entry = opcode::PollAdd::new(types::Fd(self.fd), libc::POLLIN as u32)
            .multi(true)
            .build()
            .user_data(DOORBELL);
        // SAFETY: the entry names no memory, and the descriptor stays open as long as the ring.
        unsafe { ring.push(&entry) };
        self.armed = true;
    }

    /// Shortens the `timeout` of a sleep to the time of the next check.
    pub fn bound(&self, timeout: Option<Duration>) -> Option<Duration> {
        Some(timeout.map_or(self.check_after, |timeout| timeout.min(self.check_after)))
    }

    /// Whether [`bound`](Self::bound) shortens this timeout.
    pub fn is_bound(&self, timeout: Option<Duration>) -> bool {
        timeout.is_none_or(|timeout| timeout > self.check_after)
    }

    /// Checks the doorbell's descriptor after a sleep that took `slept`, if a check is due. If
    /// somebody closed the descriptor, as `closefrom(3)` does, a new one replaces it (F70). A
    /// notification sent meanwhile is kept in the doorbell itself.
    pub fn check(&mut self, alarm: &EventFd, slept: Duration) {
        if slept < self.check_after {
            return;
        }
        self.check_after = (self.check_after * 2).min(CHECK_AFTER.1);
        if alarm.repair() {
            self.fd = alarm.as_raw_fd();
            self.armed = false;
        }
    }

    /// Handles a completion of the poll. The kernel may end the poll at any time; the next sleep
    /// starts a new one.
    pub fn on_notified(&mut self, completion: &cqueue::Entry) {
        self.armed = cqueue::more(completion.flags());
        self.check_after = CHECK_AFTER.0;
    }
}
