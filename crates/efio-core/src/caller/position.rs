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
//! The question is kept as every [`Question`] is:
//!
//! 1. A write of the caller that asked cancels it.
//! 2. Writes of other callers do not, so that a reader is not delayed by a writer. Its result is
//!    the end before those writes, and the position stays at the end of the file.
//!
//! A read at the end that it asked for returns 0 bytes, unless others have made the file longer
//! since.

use super::{EAGAIN, EBADF};
use crate::command::SizeListener;
use crate::error::Errno;
use crate::fd::{About, CallerState, Fd, Interest, Notify, OpenState, Question, Slot};
use crate::shared::Shared;
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

impl Shared {
    /// Runs `call` once the position is known; returns `end()` at the end of file. Without a
    /// `need`, or if the file is not open for reading, it does not look for the position.
    #[inline(always)]
    pub(super) fn at_position<R>(
        &self,
        fd: Fd,
        notify: Notify<'_>,
        need: Option<Need>,
        end: impl Fn() -> R,
        mut call: impl FnMut(&Slot, &mut CallerState) -> io::Result<R>,
    ) -> io::Result<R> {
        loop {
            let result = self.with_file(fd, |slot, caller| {
                if caller.at_end && need.is_some() && caller.may_read {
                    return Ok(None);
                }
                call(slot, caller).map(Some)
            })?;
            match (result, need) {
                (Some(result), _) => return Ok(result),
                (None, Some(need)) => {
                    if self.settle_position(fd, notify, need)?.is_end {
                        return Ok(end());
                    }
                }
                (None, None) => unreachable!("asked for without a need"),
            }
        }
    }

    /// Returns the position of `fd`, or "would block": then `notify` is notified as a reader is.
    #[cold]
    pub(super) fn settle_position(
        &self,
        fd: Fd,
        notify: Notify<'_>,
        need: Need,
    ) -> io::Result<Settled> {
        // A waker among them is dropped without the lock.
        let mut displaced = Vec::new();
        let result = self.with_file(fd, |slot, caller| {
            if !caller.at_end {
                return Ok(Settled {
                    position: caller.position,
                    is_end: false,
                });
            }
            let Some(found) = self.end_for(fd, slot, caller, notify, &mut displaced)? else {
                if need != Need::Seek {
                    self.counters.reads_blocked.add(1);
                    slot.count(1, |stats| &mut stats.reads_blocked);
                }
                return Err(EAGAIN.into());
            };
            let settled = found.map(|end| Settled {
                position: end.at,
                is_end: is_end_now(caller, end),
            });
            let is_kept = settled.is_ok_and(|settled| settled.is_end) || settled.is_err();
            if need != Need::Probe || !is_kept {
                take_end(slot, caller, notify, found, &mut displaced);
            }
            if need == Need::Read && settled.is_ok_and(|settled| settled.is_end) {
                slot.reads_served.bump(1);
            }
            Ok(settled?)
        });
        drop(displaced);
        result
    }

    /// Returns what is known of the end; else requests it and registers `notify`.
    fn end_for(
        &self,
        fd: Fd,
        slot: &Slot,
        caller: &mut CallerState,
        notify: Notify<'_>,
        displaced: &mut Vec<Question>,
    ) -> io::Result<Option<Result<End, Errno>>> {
        let mut found = find_end(slot, caller, notify);
        if found.is_none() {
            self.ask_end(fd, slot, caller, notify, displaced)?;
            let registration = slot.register(Interest::DATA, notify);
            found = find_end(slot, caller, notify);
            if found.is_some() {
                slot.deregister(registration, notify);
            }
        }
        Ok(found)
    }

    /// Asks the driver where the file ends, unless that request is pending.
    fn ask_end(
        &self,
        fd: Fd,
        slot: &Slot,
        caller: &mut CallerState,
        notify: Notify<'_>,
        displaced: &mut Vec<Question>,
    ) -> io::Result<()> {
        let accepted = slot.marks.accepted();
        if caller.asked && slot.is_asked(About::End, notify, accepted) {
            return Ok(());
        }
        let question = self.ask_size(fd, slot, About::End, notify, SizeListener::Reader)?;
        displaced.extend(slot.keep_question(question));
        caller.set_asked(true);
        Ok(())
    }

    /// Returns the position of `fd`, or that it is the end of the file.
    pub fn place_of(&self, fd: Fd) -> io::Result<Place> {
        self.with_file(fd, |_, caller| {
            let CallerState {
                position, at_end, ..
            } = *caller;
            Ok(Place { position, at_end })
        })
    }

    /// Restores the position of `fd`.
    pub fn put_back(&self, fd: Fd, place: Place) -> io::Result<()> {
        self.seek(fd, place.position)?;
        self.with_file(fd, |_, caller| {
            caller.at_end = place.at_end;
            Ok(())
        })
    }
}

/// Returns where the file ends, if that is known; or the error for which it never will be.
fn find_end(slot: &Slot, caller: &CallerState, notify: Notify<'_>) -> Option<Result<End, Errno>> {
    let accepted = slot.marks.accepted();
    let all_written = slot.marks.written() >= accepted;
    let refused = slot.open_state() == OpenState::Refused;
    if let Some(failure) = slot.failure().filter(|_| refused || !all_written) {
        return Some(Err(failure.errno));
    }
    if refused {
        return Some(Err(EBADF));
    }
    let kernel = caller.kernel.as_ref().filter(|_| all_written);
    if let Some(at) = kernel.and_then(|kernel| kernel.end()) {
        let is_latest = true;
        return Some(Ok(End { at, is_latest }));
    }
    if !caller.asked {
        return None;
    }
    let (mark, len) = slot.on_answer(About::End, notify, accepted)?;
    let is_latest = mark == accepted;
    Some(len.map(|at| End { at, is_latest }))
}

/// Sets the position to the end that was found, unless other calls have appended through the
/// descriptor since the request: then the position stays at the new end.
fn take_end(
    slot: &Slot,
    caller: &mut CallerState,
    notify: Notify<'_>,
    found: Result<End, Errno>,
    displaced: &mut Vec<Question>,
) {
    match found {
        Ok(end) if end.is_latest => {
            if caller.asked {
                displaced.extend(slot.take_questions(About::End));
            }
            caller.position = end.at;
            caller.at_end = false;
        }
        found => {
            if found.is_err() {
                _ = slot.report_failure();
            }
            displaced.extend(slot.take_question(About::End, notify));
        }
    }
}

/// Returns whether the file still ends there, apart from what was appended through the descriptor.
fn is_end_now(caller: &CallerState, end: End) -> bool {
    let kernel = caller.kernel.as_ref().filter(|_| end.is_latest);
    let now = kernel.and_then(|kernel| kernel.end());
    now.is_none_or(|now| now <= end.at)
}

/// Returns, for a file whose position is its end, whether a read would return at once.
pub(super) fn is_end_known(slot: &Slot, caller: &CallerState) -> bool {
    match find_end(slot, caller, Notify::Event) {
        Some(Ok(end)) => is_end_now(caller, end),
        Some(Err(_)) => true,
        None => false,
    }
}
