//! Positional IO and truncation: submits ops to the driver; the results are events.
//!
//! Each write or truncation takes part of the sequence of accepted bytes, under the file's lock. So
//! the marks include it like the bytes of `write`, and a call that waits for a mark waits for the
//! op.

use super::read::end_run;
use super::{EBADF, EINVAL};
use crate::error::{Errno, SubmitError};
use crate::fd::{CallerState, Fd, Notify, OpenState, Requests, Slot};
use crate::page::{Block, Buffer};
use crate::plan::{Asked, Kind};
use crate::shared::Shared;
use std::io;

impl Shared {
    /// Allocates memory for positional IO.
    pub fn buffer(&self, len: usize) -> io::Result<Buffer> {
        self.check_process()?;
        Buffer::take(&self.pool, len)
    }

    /// Reads into the buffer in the background.
    pub fn read_at(
        &self,
        fd: Fd,
        offset: u64,
        buffer: Buffer,
        token: u64,
    ) -> Result<(), SubmitError> {
        self.start_at(fd, Kind::Read, offset, buffer, token)
    }

    /// Writes the buffer in the background.
    pub fn write_at(
        &self,
        fd: Fd,
        offset: u64,
        buffer: Buffer,
        token: u64,
    ) -> Result<(), SubmitError> {
        self.start_at(fd, Kind::Write, offset, buffer, token)
    }

    fn start_at(
        &self,
        fd: Fd,
        kind: Kind,
        offset: u64,
        buffer: Buffer,
        token: u64,
    ) -> Result<(), SubmitError> {
        let mut buffer = Some(buffer);
        let started = self.with_file(fd, |slot, caller| {
            let len = buffer.as_ref().map_or(0, |buffer| buffer.len());
            let end = offset.checked_add(len as u64);
            check(slot, caller, kind, end)?;
            let asked = Asked {
                kind,
                seq: slot.marks.accepted(),
                offset,
                len,
                token,
                memory: buffer.take().and_then(Buffer::into_block),
            };
            self.submit_positional(fd, slot, caller, asked)
                .map_err(|asked| {
                    buffer = Some(Buffer::of(asked.memory, len));
                    Errno(libc::ENOMEM).into()
                })
        });
        started.map_err(|error| SubmitError {
            error,
            buffer: buffer.expect("nothing fails once it is given away"),
        })
    }

    /// Sets the length of the file, after everything that was accepted before.
    pub fn truncate(&self, fd: Fd, len: u64) -> io::Result<()> {
        self.with_file(fd, |slot, caller| {
            check(slot, caller, Kind::Truncate, Some(len))?;
            let asked = Asked {
                kind: Kind::Truncate,
                seq: slot.marks.accepted(),
                offset: len,
                len: 0,
                token: 0,
                memory: None,
            };
            let asked = self.submit_positional(fd, slot, caller, asked);
            asked.map_err(|_| Errno(libc::ENOMEM).into())
        })
    }

    /// Submits the op to the driver; returns it when there is no memory to queue it.
    fn submit_positional(
        &self,
        fd: Fd,
        slot: &Slot,
        caller: &mut CallerState,
        asked: Asked<Block>,
    ) -> Result<(), Asked<Block>> {
        let (is_sequenced, kind) = (asked.seq_len() > 0, asked.kind);
        let before = slot.put_positional(asked)?;
        if is_sequenced {
            if caller.asked && kind == Kind::Truncate {
                slot.void_all_questions();
                caller.set_asked(false);
            } else if caller.asked {
                caller.set_asked(slot.void_questions(Notify::Event));
            }
            if caller.append {
                // A page holds bytes that are adjacent in the sequence.
                caller.seal();
            }
        }
        let bits = Requests::POSITIONAL;
        if self.inbox.requested(fd.index(), before, bits) {
            self.counters.driver.doorbell_calls.add(1);
        }
        // The op may change what was read ahead.
        if is_sequenced && caller.reading && end_run(caller) {
            self.request(fd.index(), slot, Requests::CONSUMED);
        }
        Ok(())
    }
}

/// Checks what can be checked without the kernel; `end` is the offset after the last byte.
fn check(slot: &Slot, caller: &CallerState, kind: Kind, end: Option<u64>) -> Result<(), Errno> {
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
            || slot.marks.written() < slot.marks.accepted();
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
