//! The driver's doorbell as an operation of the ring, so that the driver sleeps in one place.
//!
//! A multishot poll of the eventfd completes once for each write to it, however high its count is
//! already: so nobody has to read it, and a ring of the bell costs the driver no system call. The
//! count goes up by one for each sleep and never ends.

use super::ring::Ring;
use efio_sync::EventFd;
use io_uring::{cqueue, opcode, types};
use std::os::fd::{AsRawFd, RawFd};
use std::time::Duration;

/// Marks the completions of the poll.
pub const DOORBELL: u64 = u64::MAX;

/// The longest sleep without a look whether the descriptor is still there: at first, and at last.
const LOOK: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(60));

/// The poll of the bell's descriptor.
pub struct DoorbellPoll {
    fd: RawFd,
    armed: bool,
    /// When a sleep that nothing ends is interrupted for such a look.
    look: Duration,
}

impl DoorbellPoll {
    /// A poll of `fd`, which has to stay open as long as the ring.
    pub fn new(fd: &impl AsRawFd) -> Self {
        Self {
            fd: fd.as_raw_fd(),
            armed: false,
            look: LOOK.0,
        }
    }

    /// Before the driver sleeps: starts the poll unless it is running.
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

    /// How long a sleep may last, `timeout` at most.
    pub fn bound(&self, timeout: Option<Duration>) -> Option<Duration> {
        Some(timeout.map_or(self.look, |timeout| timeout.min(self.look)))
    }

    /// Whether a sleep is shorter for that.
    pub fn is_bound(&self, timeout: Option<Duration>) -> bool {
        timeout.is_none_or(|timeout| timeout > self.look)
    }

    /// After a sleep that began `bound` ago at the latest: if somebody closed the descriptor of the bell,
    /// as `closefrom(3)` does, there is a new one (F70). Who rang meanwhile left the bell rung.
    pub fn look(&mut self, bell: &EventFd, slept: Duration) {
        if slept < self.look {
            return;
        }
        self.look = (self.look * 2).min(LOOK.1);
        if bell.repair() {
            self.fd = bell.as_raw_fd();
            self.armed = false;
        }
    }

    /// The poll completed once. The kernel may end it at any time; the next sleep begins a new one.
    pub fn on_notified(&mut self, completion: &cqueue::Entry) {
        self.armed = cqueue::more(completion.flags());
        self.look = LOOK.0;
    }
}
