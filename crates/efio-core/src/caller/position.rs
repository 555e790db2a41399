//! The position after an append: the end of the file, which only the kernel knows.
//!
//! A write in append mode sets `at_end` and nothing else. Whoever then needs the position has to
//! find the end first; the kernel is asked once it has all accepted bytes.
//!
//! ```text
//!  at_end ─ all is written, and the end is in memory ───────────────────────────────► it is found
//!         └ else ask the driver, say who waits, look once more ─ no answer ─► EAGAIN
//!  the answer ─► promise, then Readable or a wake-up ─► the call again ─────────────► it is found
//! ```
//!
//! The question is kept as every [`Question`] is: a write of whoever asked voids it, writes of
//! others do not, so that a reader beside a writer is answered: as it would have been before those
//! writes, and the position is the end of the file still. What a read finds where it asked for the
//! end is the end of file, unless the file has grown by what others appended.

use super::{EAGAIN, EBADF};
use crate::command::SizeListener;
use crate::error::Errno;
use crate::fd::{About, CallerState, Fd, Interest, Notify, OpenState, Question, Slot};
use crate::shared::Shared;
use std::io;

/// Where the next byte is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    position: u64,
    at_end: bool,
}

impl Place {
    /// The position, unless it is the end of the file and not known.
    pub fn known(self) -> Option<u64> {
        (!self.at_end).then_some(self.position)
    }
}

/// What the position is needed for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    /// To read from it.
    Read,
    /// To know whether a read would be answered.
    Probe,
    /// To tell it, or to move from it.
    Seek,
}

/// A position that was settled.
#[derive(Clone, Copy)]
pub(super) struct Settled {
    pub(super) position: u64,
    /// The file ended there when it was asked for.
    is_end: bool,
}

/// The end of a file.
#[derive(Clone, Copy)]
struct End {
    at: u64,
    /// With everything that is accepted by now.
    is_latest: bool,
}

impl Shared {
    /// `call` at a position that is known, or what is there at the end of file. Without a `need`,
    /// and of a file that is not open for reading, nothing is asked.
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

    /// Has the position of `fd` known, or "would block": then `asker` is told as a reader is.
    #[cold]
    pub(super) fn settle_position(
        &self,
        fd: Fd,
        notify: Notify<'_>,
        need: Need,
    ) -> io::Result<Settled> {
        // A waker among them is dropped without custody.
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

    /// What is known of the end; else it is asked for, and `asker` waits.
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

    /// Asks the driver where the file ends, unless that is asked already.
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

    /// The position of `fd`, or that it is the end of the file.
    pub fn place_of(&self, fd: Fd) -> io::Result<Place> {
        self.with_file(fd, |_, caller| {
            let CallerState {
                position, at_end, ..
            } = *caller;
            Ok(Place { position, at_end })
        })
    }

    /// Moves the position of `fd` back to where it was.
    pub fn put_back(&self, fd: Fd, place: Place) -> io::Result<()> {
        self.seek(fd, place.position)?;
        self.with_file(fd, |_, caller| {
            caller.at_end = place.at_end;
            Ok(())
        })
    }
}

/// Where the file ends, as far as that is known; or why that is never known.
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

/// The position is at the end that was found; unless others have appended through the descriptor
/// since it was asked for, and the position is behind that.
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

/// Whether the file ends there still, but for what was appended through the descriptor.
fn is_end_now(caller: &CallerState, end: End) -> bool {
    let kernel = caller.kernel.as_ref().filter(|_| end.is_latest);
    let now = kernel.and_then(|kernel| kernel.end());
    now.is_none_or(|now| now <= end.at)
}

/// Of a file whose position is its end: whether a read would be answered.
pub(super) fn is_end_known(slot: &Slot, caller: &CallerState) -> bool {
    match find_end(slot, caller, Notify::Event) {
        Some(Ok(end)) => is_end_now(caller, end),
        Some(Err(_)) => true,
        None => false,
    }
}
