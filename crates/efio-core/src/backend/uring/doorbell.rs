//! The driver's doorbell as an operation of the ring, so that the driver sleeps in one place.
//!
//! A multishot poll of the eventfd completes once for each write to it, however high its count is
//! already: so nobody has to read it, and a ring of the bell costs the driver no system call. The
//! count goes up by one for each sleep and never ends.

use super::ring::Ring;
use io_uring::{cqueue, opcode, types};
use std::os::fd::{AsRawFd, RawFd};

/// Marks the completions of the poll.
pub const DOORBELL: u64 = u64::MAX;

/// The poll of the bell's descriptor.
pub struct BellPoll {
    fd: RawFd,
    armed: bool,
}

impl BellPoll {
    /// A poll of `fd`, which has to stay open as long as the ring.
    pub fn new(fd: &impl AsRawFd) -> Self {
        Self {
            fd: fd.as_raw_fd(),
            armed: false,
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

    /// The poll completed once. The kernel may end it at any time; the next sleep begins a new one.
    pub fn rang(&mut self, completion: &cqueue::Entry) {
        self.armed = cqueue::more(completion.flags());
    }
}
