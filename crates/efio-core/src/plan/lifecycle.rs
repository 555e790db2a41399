//! From open to closed.
//!
//! ```text
//!            opened              close asked            drained             closed
//!  Opening ─────────► Serving ─────────────► Draining ─────────► Closing ─────────► Closed
//!     │ failed                                   ▲ the open failed or was too late: nothing to
//!     └────────► Refused ── close asked ─────────┘ write, and no kernel file to close
//! ```
//!
//! A close that is asked for while the open is under way waits for it: the late kernel file is
//! drained and closed like any other, so none leaks.

use crate::error::Errno;

/// Where a file stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Opening,
    Serving,
    Refused,
    Closing,
    Closed,
}

/// What the driver has to do next for the end of a file's life.
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
    /// Later opens of the same file wait for it.
    pub has_due: bool,
    first_error: Option<Errno>,
}

impl Lifecycle {
    /// A file whose open was just submitted.
    pub fn new() -> Self {
        Self {
            phase: Phase::Opening,
            close_asked: false,
            has_due: false,
            first_error: None,
        }
    }

    /// The kernel opened the file.
    pub fn handle_opened(&mut self) {
        debug_assert_eq!(self.phase, Phase::Opening);
        self.phase = Phase::Serving;
    }

    /// The kernel refused to open the file.
    pub fn handle_open_error(&mut self, errno: Errno) {
        debug_assert_eq!(self.phase, Phase::Opening);
        self.phase = Phase::Refused;
        self.handle_error(errno);
    }

    /// A write or sync failed: the close will say so. The first error counts.
    pub fn handle_error(&mut self, errno: Errno) {
        self.first_error.get_or_insert(errno);
    }

    /// The caller closed the file.
    pub fn handle_close(&mut self) {
        self.close_asked = true;
    }

    /// Whether accepted bytes may go to the kernel.
    pub fn is_serving(&self) -> bool {
        self.phase == Phase::Serving
    }

    /// Whether the caller closed the file: all that was accepted is to be written now.
    pub fn is_draining(&self) -> bool {
        self.close_asked
    }

    /// The next step, given whether each accepted byte is written or lost (`drained`) and whether
    /// any op of the file is in flight (`busy`).
    pub fn poll_step(&mut self, drained: bool, busy: bool) -> Step {
        if !self.close_asked || busy {
            return Step::Wait;
        }
        match self.phase {
            Phase::Serving if drained => {
                self.phase = Phase::Closing;
                Step::CloseKernelFile
            }
            Phase::Refused => {
                self.phase = Phase::Closed;
                Step::Finish(self.result())
            }
            _ => Step::Wait,
        }
    }

    /// The kernel closed its file, well or not: `close(2)` is never retried.
    pub fn handle_kernel_closed(&mut self, result: Result<(), Errno>) -> Step {
        debug_assert_eq!(self.phase, Phase::Closing);
        self.phase = Phase::Closed;
        if let Err(errno) = result {
            self.handle_error(errno);
        }
        Step::Finish(self.result())
    }

    fn result(&self) -> Result<(), Errno> {
        self.first_error.map_or(Ok(()), Err)
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
        assert_eq!(life.poll_step(true, false), Step::Wait, "nobody asked");
        life.handle_close();
        assert_eq!(life.poll_step(false, false), Step::Wait, "bytes are left");
        assert_eq!(
            life.poll_step(true, true),
            Step::Wait,
            "an op is in flight (F12)"
        );
        assert_eq!(life.poll_step(true, false), Step::CloseKernelFile);
        assert_eq!(life.poll_step(true, false), Step::Wait, "only once");
        assert_eq!(life.handle_kernel_closed(Ok(())), Step::Finish(Ok(())));
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
        assert_eq!(
            life.handle_kernel_closed(Err(Errno(libc::EDQUOT))),
            Step::Finish(Err(EIO))
        );

        let mut life = Lifecycle::new();
        life.handle_open_error(Errno(libc::ENOENT));
        life.handle_close();
        assert_eq!(
            life.poll_step(true, false),
            Step::Finish(Err(Errno(libc::ENOENT)))
        );
    }
}
