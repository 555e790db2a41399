//! Sync and close: requests to the driver; the answers are events.

use super::EAGAIN;
use crate::error::Failure;
use crate::fd::{Attention, Ends, Fd, OpenState, Progress, Slot, Waiting};
use crate::shared::Shared;
use std::io;

impl Shared {
    /// Asks that everything accepted so far becomes durable; the mark that `Synced` will reach.
    pub fn sync(&self, fd: Fd) -> io::Result<u64> {
        self.with_ends(fd, |slot, ends| {
            if let Some(failure) = slot.failure() {
                return Err(failure.into());
            }
            slot.request_sync(ends.accepted);
            self.attend(fd.index(), slot, Attention::SYNC);
            Ok(ends.accepted)
        })
    }

    /// Whether the kernel has every byte accepted so far; asks for it otherwise.
    pub fn flush(&self, fd: Fd) -> io::Result<()> {
        self.with_ends(fd, |slot, ends| {
            let mut announced = false;
            loop {
                if let Some(failure) = slot.failure() {
                    return Err(failure.into());
                }
                if slot.marks.written() >= ends.accepted {
                    return Ok(());
                }
                if announced {
                    self.attend(fd.index(), slot, Attention::FLUSH);
                    return Err(EAGAIN.into());
                }
                slot.wait_for(Waiting::FLUSHED);
                announced = true;
            }
        })
    }

    /// Ends the descriptor; the driver writes what is left and closes the kernel's file.
    pub fn close(&self, fd: Fd, durable: bool) -> io::Result<()> {
        self.with_ends(fd, |slot, ends| {
            slot.end();
            // Dropping the caller's ends seals the open page and gives unread pages back.
            *ends = Ends::default();
            let bits = if durable {
                Attention::CLOSE_SYNC
            } else {
                Attention::CLOSE
            };
            self.attend(fd.index(), slot, bits);
            slot.failure().map_or(Ok(()), |failure| Err(failure.into()))
        })
    }

    /// The three marks.
    pub fn progress(&self, fd: Fd) -> io::Result<Progress> {
        self.look(fd, |slot| slot.marks.progress())
    }

    /// What poisoned the file.
    pub fn failure(&self, fd: Fd) -> io::Result<Option<Failure>> {
        self.look(fd, Slot::failure)
    }

    /// Whether the kernel has opened the file: `Ok(false)` while it works on it.
    pub fn open_status(&self, fd: Fd) -> io::Result<bool> {
        let (state, failure) = self.look(fd, |slot| (slot.open_state(), slot.failure()))?;
        match state {
            OpenState::Pending => Ok(false),
            OpenState::Open => Ok(true),
            OpenState::Refused => {
                Err(failure
                    .map_or_else(|| io::Error::from_raw_os_error(libc::EIO), io::Error::from))
            }
        }
    }
}
