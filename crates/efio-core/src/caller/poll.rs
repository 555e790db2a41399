//! The readiness of a file, and calls that only wait for it.

use super::{EBADF, Locked};
use crate::event::Readiness;
use crate::fd::{Interest, Notify, Requests};
use std::io::{self, ErrorKind};

impl Locked<'_> {
    /// Returns what calls would do now, without starting IO.
    pub fn readiness(&mut self) -> Readiness {
        let readable = self.state.may_read && self.is_readable();
        let failed = self.slot.failure().is_some();
        let writable = self.state.may_write && (failed || self.has_room());
        Readiness { readable, writable }
    }

    /// Returns `Ok` once a read would return at once. Starts a run as a read does.
    pub fn readable(&mut self, notify: Notify<'_>) -> io::Result<()> {
        if self.readiness().readable {
            return Ok(());
        }
        match self.available(notify) {
            // The next read returns an error of the file; this call one of the descriptor.
            Err(error) if error.kind() != ErrorKind::WouldBlock && self.readiness().readable => {
                Ok(())
            }
            result => result.map(drop),
        }
    }

    /// Returns `Ok` once a write would return at once.
    pub fn writable(&mut self, notify: Notify<'_>) -> io::Result<()> {
        if !self.state.may_write {
            return Err(EBADF.into());
        }
        let check = |file: &mut Self| {
            let is_ready = file.slot.failure().is_some() || file.has_room();
            is_ready.then_some(Ok(()))
        };
        self.check_or_register(Interest::ROOM, Requests::WANT_ROOM, notify, check)
    }
}
