//! The life of a file, from open to closed.
//!
//! ```text
//!  Opening ─ opened ─► Serving ─ close requested, then drained ─► Closing
//!     │                                                              │
//!     └──── failed ───────────────► Gone ◄──── kernel file closed ───┘
//!                                     └─ close requested ─► Closed
//! ```
//!
//! A close that is requested while the open is in flight waits for it: the late kernel file is
//! drained and closed like any other, so none leaks.

use crate::error::Errno;

/// The phase of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Opening,
    Serving,
    Closing,
    Gone,
    Closed,
}

/// What the driver has to do next to close a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing now.
    Wait,
    /// Close the kernel's file.
    CloseKernelFile,
    /// Free the slot and report the close with the first error.
    Finish(Result<(), Errno>),
}

/// The life of one open file.
#[derive(Debug)]
pub struct Lifecycle {
    phase: Phase,
    close_asked: bool,
    first_error: Option<Errno>,
}

impl Lifecycle {
    /// Creates the life of a file whose open was just submitted.
    pub fn new() -> Self {
        Self {
            phase: Phase::Opening,
            close_asked: false,
            first_error: None,
        }
    }

    /// Handles the success of the open.
    pub fn handle_opened(&mut self) {
        debug_assert_eq!(self.phase, Phase::Opening);
        self.phase = Phase::Serving;
    }

    /// Handles the failure of the open.
    pub fn handle_open_error(&mut self, errno: Errno) {
        debug_assert_eq!(self.phase, Phase::Opening);
        self.phase = Phase::Gone;
        self.handle_error(errno);
    }

    /// Handles the failure of a write or sync: the close returns the first error.
    pub fn handle_error(&mut self, errno: Errno) {
        self.first_error.get_or_insert(errno);
    }

    /// Handles the close of the caller.
    pub fn handle_close(&mut self) {
        self.close_asked = true;
    }

    /// Returns whether ops of the file may be submitted.
    pub fn is_serving(&self) -> bool {
        self.phase == Phase::Serving
    }

    /// Returns whether the file is closed.
    pub fn is_closed(&self) -> bool {
        self.phase == Phase::Closed
    }

    /// Returns whether the caller closed the file: everything that was accepted is due.
    pub fn is_draining(&self) -> bool {
        self.close_asked
    }

    /// Returns the next step, given whether each accepted byte is written or lost (`drained`) and
    /// whether any op of the file is in flight (`busy`).
    pub fn poll_step(&mut self, drained: bool, busy: bool) -> Step {
        if !self.close_asked || busy {
            return Step::Wait;
        }
        match self.phase {
            Phase::Serving if drained => {
                self.phase = Phase::Closing;
                Step::CloseKernelFile
            }
            Phase::Gone => {
                self.phase = Phase::Closed;
                Step::Finish(self.first_error.map_or(Ok(()), Err))
            }
            _ => Step::Wait,
        }
    }

    /// Handles the completion of `close(2)`, which is never retried.
    pub fn handle_kernel_closed(&mut self, result: Result<usize, Errno>) {
        debug_assert_eq!(self.phase, Phase::Closing);
        self.phase = Phase::Gone;
        if let Err(errno) = result {
            self.handle_error(errno);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EIO: Errno = Errno(libc::EIO);

    #[test]
    fn drains_before_it_closes() {
        let mut life = Lifecycle::new();
        life.handle_opened();
        assert_eq!(
            life.poll_step(true, false),
            Step::Wait,
            "no close is requested"
        );
        life.handle_close();
        assert_eq!(life.poll_step(false, false), Step::Wait, "bytes are left");
        assert_eq!(
            life.poll_step(true, true),
            Step::Wait,
            "an op is in flight (F12)"
        );
        assert_eq!(life.poll_step(true, false), Step::CloseKernelFile);
        assert_eq!(life.poll_step(true, false), Step::Wait, "only once");
        life.handle_kernel_closed(Ok(0));
        assert_eq!(life.poll_step(true, false), Step::Finish(Ok(())));
    }

    /// F13: a close that overtakes its open.
    #[test]
    fn a_late_open_is_closed() {
        let mut life = Lifecycle::new();
        life.handle_close();
        assert_eq!(life.poll_step(true, true), Step::Wait);
        life.handle_opened();
        assert_eq!(life.poll_step(true, false), Step::CloseKernelFile);
    }

    /// F32, F33: the first error wins and close(2) is not retried.
    #[test]
    fn the_first_error_is_reported() {
        let mut life = Lifecycle::new();
        life.handle_opened();
        life.handle_error(EIO);
        life.handle_close();
        assert_eq!(life.poll_step(true, false), Step::CloseKernelFile);
        life.handle_kernel_closed(Err(Errno(libc::EDQUOT)));
        assert_eq!(life.poll_step(true, false), Step::Finish(Err(EIO)));

        let mut life = Lifecycle::new();
        life.handle_open_error(Errno(libc::ENOENT));
        life.handle_close();
        assert_eq!(
            life.poll_step(true, false),
            Step::Finish(Err(Errno(libc::ENOENT)))
        );
    }
}
