//! Files that ended with a loss that was not reported: the report of the shutdown has them.
//!
//! | the failure was reported by | how the driver detects that |
//! |---|---|
//! | a call on the file | the slot has a flag |
//! | a close that is awaited | its receiver has a waker |
//! | the callback | it ran, before the shutdown |
//! | the queue of events | it has fewer events than were pushed after this one |

use super::Driver;
use super::file::OpenFile;
use crate::backend::Backend;
use crate::error::{Errno, Failure};
use crate::fd::{Fd, OpenState, Slot};
use std::collections::HashMap;

/// The maximum of files that are remembered.
const MAX_LOSSES: usize = 1 << 16;

/// Files that lost bytes, with how their failure is reported.
#[derive(Default)]
pub struct Losses {
    /// How the failure of a file that is still open is reported.
    failed: HashMap<u32, FailureListener>,
    ended: Vec<Loss>,
}

struct Loss {
    fd: Fd,
    /// Accepted and not written.
    bytes: u64,
    failure: Failure,
    listener: FailureListener,
}

/// What reports a failure.
#[derive(Clone, Copy)]
enum FailureListener {
    Nobody,
    Callback,
    /// The event of this number, once it is taken from the queue.
    Queue(u64),
}

impl<B: Backend> Driver<B> {
    /// Records that the event of a failure was emitted.
    pub(super) fn on_failure_emitted(&mut self, file: &OpenFile<B::File>) {
        let listener = self.failure_listener(file, 0);
        self.losses.failed.insert(file.fd.index(), listener);
    }

    /// Returns what reports the last event, or the one that comes `later` events after it.
    fn failure_listener(&self, file: &OpenFile<B::File>, later: u64) -> FailureListener {
        if file.wakers {
            return FailureListener::Nobody;
        }
        match self.outbox.queued() {
            Some(number) => FailureListener::Queue(number + later),
            None if self.deadline.is_none() && self.shared.config.callback_reports_failures => {
                FailureListener::Callback
            }
            // The program is in `shutdown`, and reads the report.
            None => FailureListener::Nobody,
        }
    }

    /// Records the loss of a file that is closed with `result`, before its `Closed` event.
    /// `is_reported`: the close is awaited.
    pub(super) fn note_loss(
        &mut self,
        slot: &Slot,
        file: &OpenFile<B::File>,
        result: Result<(), Errno>,
        is_reported: bool,
    ) {
        let listener = match self.losses.failed.is_empty() {
            true => None,
            false => self.losses.failed.remove(&file.fd.index()),
        };
        let Err(errno) = result else { return };
        let listener = listener.unwrap_or_else(|| self.failure_listener(file, 1));
        let marks = slot.marks.progress();
        let was_open = slot.open_state() == OpenState::Open;
        let lost = marks.accepted > 0 || (was_open && slot.failure().is_some());
        if !lost || is_reported || slot.was_failure_reported() {
            return;
        }
        // An error of `close(2)` itself may concern any byte.
        let failure = slot.failure().unwrap_or(Failure { errno, offset: 0 });
        if self.losses.ended.len() >= MAX_LOSSES {
            let taken = self.taken();
            self.losses
                .ended
                .retain(|loss| loss.listener.is_unreported(taken));
        }
        if self.losses.ended.len() < MAX_LOSSES {
            self.losses.ended.push(Loss {
                fd: file.fd,
                bytes: marks.accepted - marks.written,
                failure,
                listener,
            });
        }
    }

    /// Returns how many events were taken from the queue so far.
    fn taken(&self) -> u64 {
        let pushed = self.outbox.queued().unwrap_or(0);
        pushed.saturating_sub(self.shared.events.count() as u64)
    }

    /// Returns the files whose failure was not reported: how many bytes they lost, and why.
    pub(super) fn losses(&self) -> impl Iterator<Item = (Fd, u64, Failure)> {
        let taken = self.taken();
        let losses = self.losses.ended.iter();
        let open = losses.filter(move |loss| loss.listener.is_unreported(taken));
        open.map(|loss| (loss.fd, loss.bytes, loss.failure))
    }
}

impl FailureListener {
    /// Returns whether the failure is not reported once the first `taken` events are taken.
    fn is_unreported(self, taken: u64) -> bool {
        match self {
            Self::Nobody => true,
            Self::Callback => false,
            Self::Queue(number) => number > taken,
        }
    }
}
