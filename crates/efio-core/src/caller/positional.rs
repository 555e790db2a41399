//! Positional IO and truncation: submits ops to the driver; the results are events.
//!
//! Each write or truncation takes part of the sequence of accepted bytes, under the file's lock. So
//! the marks include it like the bytes of `write`, and a call that waits for a mark waits for the
//! op.

use super::{EBADF, EINVAL, Locked};
use crate::error::Errno;
use crate::fd::{Notify, OpenState, Requests};
use crate::page::{Block, Buffer};
use crate::plan::{Asked, Kind};
use std::fmt;
use std::io;

/// A positional op that was refused at once, with the buffer that it was given.
#[derive(Debug)]
#[non_exhaustive]
pub struct SubmitError {
    /// Why.
    pub error: io::Error,
    /// The buffer, as it was.
    pub buffer: Buffer,
}

impl fmt::Display for SubmitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl std::error::Error for SubmitError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

impl From<SubmitError> for io::Error {
    fn from(refused: SubmitError) -> Self {
        refused.error
    }
}

impl Locked<'_> {
    /// Reads into the buffer in the background.
    pub fn read_at(&mut self, offset: u64, buffer: Buffer, token: u64) -> Result<(), SubmitError> {
        self.start_at(Kind::Read, offset, buffer, token)
    }

    /// Writes the buffer in the background.
    pub fn write_at(&mut self, offset: u64, buffer: Buffer, token: u64) -> Result<(), SubmitError> {
        self.start_at(Kind::Write, offset, buffer, token)
    }

    fn start_at(
        &mut self,
        kind: Kind,
        offset: u64,
        buffer: Buffer,
        token: u64,
    ) -> Result<(), SubmitError> {
        let len = buffer.len();
        if let Err(errno) = self.check(kind, offset.checked_add(len as u64)) {
            return Err(SubmitError {
                error: errno.into(),
                buffer,
            });
        }
        let asked = Asked {
            kind,
            seq: self.slot.marks.accepted(),
            offset,
            len,
            token,
            memory: buffer.into_block(),
        };
        self.submit_positional(asked).map_err(|asked| SubmitError {
            error: Errno(libc::ENOMEM).into(),
            buffer: Buffer::of(asked.memory, len),
        })
    }

    /// Sets the length of the file, after everything that was accepted before.
    pub fn truncate(&mut self, len: u64) -> io::Result<()> {
        self.check(Kind::Truncate, Some(len))?;
        let asked = Asked {
            kind: Kind::Truncate,
            seq: self.slot.marks.accepted(),
            offset: len,
            len: 0,
            token: 0,
            memory: None,
        };
        let asked = self.submit_positional(asked);
        asked.map_err(|_| Errno(libc::ENOMEM).into())
    }

    /// Submits the op to the driver; returns it when there is no memory to queue it.
    fn submit_positional(&mut self, asked: Asked<Block>) -> Result<(), Asked<Block>> {
        let (is_sequenced, kind) = (asked.seq_len() > 0, asked.kind);
        let before = self.slot.put_positional(asked)?;
        if is_sequenced {
            if kind == Kind::Truncate {
                self.state.void_all_questions(self.slot);
            } else {
                self.state.void_questions(self.slot, Notify::Event);
            }
            if self.state.append {
                // A page holds bytes that are adjacent in the sequence.
                self.state.seal();
            }
        }
        let inbox = &self.shared.inbox;
        inbox.requested(self.fd.index(), before, Requests::POSITIONAL);
        if is_sequenced {
            // The op may change what was read ahead.
            self.end_run();
        }
        Ok(())
    }

    /// Checks what can be checked without the kernel; `end` is the offset after the last byte.
    fn check(&self, kind: Kind, end: Option<u64>) -> Result<(), Errno> {
        let (slot, caller) = (self.slot, &*self.state);
        let allowed = match kind {
            Kind::Read => caller.may_read,
            Kind::Write | Kind::Truncate => caller.may_write,
        };
        if !allowed {
            return Err(EBADF);
        }
        if let Some(failure) = slot.report_failure() {
            let will_fail = kind != Kind::Read
                || slot.open_state() == OpenState::Refused
                || !slot.marks.is_all_written();
            if will_fail {
                return Err(failure.errno);
            }
        }
        // The kernel would put the bytes at the end, whatever the offset says.
        if kind == Kind::Write && caller.append {
            return Err(EINVAL);
        }
        match end {
            Some(end) if end <= i64::MAX as u64 => Ok(()),
            _ => Err(EINVAL),
        }
    }
}
