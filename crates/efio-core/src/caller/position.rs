//! The position after an append: the end of the file, which only the kernel knows.
//!
//! A write in append mode only sets `at_end`. A call that needs the position then has to find the
//! end first; the driver asks the kernel once all accepted bytes are written.
//!
//! ```text
//!  at_end ─ all is written, and the kernel knows the end without a disk ──────────────► found
//!         └ else ask the driver, register, check once more ─ no result ─► EAGAIN
//!  the result ─► oneshot, then Readable or a wake-up ─► the call is repeated ─────────► found
//! ```
//!
//! The question is kept as every [`Question`](crate::fd::Question) is:
//!
//! 1. A write of the caller that asked cancels it.
//! 2. Writes of other callers do not, so that a reader is not delayed by a writer. Its result is
//!    the end before those writes, and the position stays at the end of the file.
//!
//! A read at the end that it asked for returns 0 bytes, unless others have made the file longer
//! since.

use super::{EAGAIN, EBADF, Locked};
use crate::command::SizeListener;
use crate::error::Errno;
use crate::fd::{About, Interest, Notify, OpenState};
use std::io;

/// The offset of the next read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    position: u64,
    at_end: bool,
}

impl Place {
    /// Returns the position, unless it is the end of the file and not known.
    pub fn known(self) -> Option<u64> {
        (!self.at_end).then_some(self.position)
    }
}

/// What the position is needed for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    /// To read from it.
    Read,
    /// To find out whether a read would return at once.
    Probe,
    /// To return it, or to move from it.
    Seek,
}

/// A known position.
#[derive(Clone, Copy)]
pub(super) struct Settled {
    pub(super) position: u64,
    /// The file ended there at the time of the request.
    is_end: bool,
}

/// The end of a file.
#[derive(Clone, Copy)]
struct End {
    at: u64,
    /// It includes everything that is accepted by now.
    is_latest: bool,
}

impl Locked<'_> {
    /// Finds the position if it is the end of the file. Returns whether a read there is at the end
    /// of file.
    #[inline]
    pub(super) fn is_at_end(&mut self, notify: Notify<'_>, need: Need) -> io::Result<bool> {
        Ok(self.state.at_end && self.settle_position(notify, need)?.is_end)
    }

    /// Returns the position, or "would block": then `notify` is notified as a reader is.
    #[cold]
    pub(super) fn settle_position(
        &mut self,
        notify: Notify<'_>,
        need: Need,
    ) -> io::Result<Settled> {
        if !self.state.at_end {
            return Ok(Settled {
                position: self.state.position,
                is_end: false,
            });
        }
        let Some(found) = self.end_for(notify)? else {
            if need != Need::Seek {
                self.count_blocked_read();
            }
            return Err(EAGAIN.into());
        };
        let settled = found.map(|end| Settled {
            position: end.at,
            is_end: self.is_end_now(end),
        });
        let is_kept = settled.map_or(true, |settled| settled.is_end);
        if need != Need::Probe || !is_kept {
            self.take_end(notify, found);
        } else if self.state.is_asked() {
            self.slot.share_answer(About::End, notify);
        }
        if need == Need::Read && settled.is_ok_and(|settled| settled.is_end) {
            self.slot.reads_served.bump(1);
        }
        Ok(settled?)
    }

    /// Returns what is known of the end; else requests it and registers `notify`.
    fn end_for(&mut self, notify: Notify<'_>) -> io::Result<Option<Result<End, Errno>>> {
        let mut found = self.find_end(notify);
        if found.is_none() {
            self.ask_end(notify)?;
            let registration = self.slot.register(Interest::DATA, notify);
            found = self.find_end(notify);
            if found.is_some() {
                self.slot.deregister(registration);
            }
        }
        Ok(found)
    }

    /// Asks the driver where the file ends, unless that request is pending.
    fn ask_end(&mut self, notify: Notify<'_>) -> io::Result<()> {
        let accepted = self.slot.marks.accepted();
        if self.state.is_asked() && self.slot.is_asked(About::End, notify, accepted) {
            return Ok(());
        }
        let question = self.ask_size(About::End, notify, SizeListener::Reader)?;
        self.keep_question(question);
        Ok(())
    }

    /// Returns the position, or that it is the end of the file.
    pub fn place(&self) -> Place {
        Place {
            position: self.state.position,
            at_end: self.state.at_end,
        }
    }

    /// Restores the position.
    pub fn put_back(&mut self, place: Place) -> io::Result<()> {
        self.seek(place.position)?;
        self.state.at_end = place.at_end;
        Ok(())
    }

    /// Returns where the file ends, if that is known; or the error for which it never will be.
    fn find_end(&self, notify: Notify<'_>) -> Option<Result<End, Errno>> {
        let slot = self.slot;
        let accepted = slot.marks.accepted();
        let all_written = slot.marks.written() >= accepted;
        let refused = slot.open_state() == OpenState::Refused;
        if let Some(failure) = slot.failure().filter(|_| refused || !all_written) {
            return Some(Err(failure.errno));
        }
        if refused {
            return Some(Err(EBADF));
        }
        let kernel = self.state.kernel.as_ref().filter(|_| all_written);
        if let Some(at) = kernel.and_then(|kernel| kernel.end()) {
            let is_latest = true;
            return Some(Ok(End { at, is_latest }));
        }
        if !self.state.is_asked() {
            return None;
        }
        let (mark, len) = slot.on_answer(About::End, notify, accepted)?;
        let is_latest = mark == accepted;
        Some(len.map(|at| End { at, is_latest }))
    }

    /// Sets the position to the end that was found, unless other calls have appended through the
    /// descriptor since the request: then the position stays at the new end.
    fn take_end(&mut self, notify: Notify<'_>, found: Result<End, Errno>) {
        match found {
            Ok(end) if end.is_latest => {
                self.forget_all_questions(About::End);
                self.state.position = end.at;
                self.state.at_end = false;
            }
            found => {
                if found.is_err() {
                    _ = self.slot.report_failure();
                }
                self.forget_answer(About::End, notify);
            }
        }
    }

    /// Returns whether the file still ends there, apart from what was appended through the
    /// descriptor.
    fn is_end_now(&self, end: End) -> bool {
        let kernel = self.state.kernel.as_ref().filter(|_| end.is_latest);
        let now = kernel.and_then(|kernel| kernel.end());
        now.is_none_or(|now| now <= end.at)
    }

    /// Returns, for a file whose position is its end, whether a read would return at once.
    pub(super) fn is_end_known(&self) -> bool {
        match self.find_end(Notify::Event) {
            Some(Ok(end)) => self.is_end_now(end),
            Some(Err(_)) => true,
            None => false,
        }
    }
}
