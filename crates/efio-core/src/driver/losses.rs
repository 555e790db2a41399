//! Files that ended with a loss that was not reported: the report of the shutdown has them.
//!
//! | the failure was reported by | how the driver detects that |
//! |---|---|
//! | a call on the file | the slot has a flag |
//! | a close that is awaited | its receiver has a waker |
//! | the callback | it ran, before the shutdown |
//! | the queue of events | it has fewer events than were pushed after this one |

use super::{Driven, Io};
use crate::backend::Backend;
use crate::error::{Errno, Failure};
use crate::fd::{Fd, OpenState};
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

impl<B: Backend> Driven<'_, B> {
    /// Records that the event of a failure was emitted.
    pub fn on_failure_emitted(&mut self) {
        let listener = self.failure_listener(0);
        let index = self.file.fd().index();
        self.io.losses.failed.insert(index, listener);
    }

    /// Returns what reports the last event, or the one that comes `later` events after it.
    fn failure_listener(&self, later: u64) -> FailureListener {
        if self.file.has_only_tasks() {
            return FailureListener::Nobody;
        }
        let (io, config) = (&self.io, &self.io.shared.config);
        match io.outbox.queued() {
            Some(number) => FailureListener::Queue(number + later),
            None if io.deadline.is_none() && config.callback_reports_failures => {
                FailureListener::Callback
            }
            // The program is in `shutdown`, and reads the report.
            None => FailureListener::Nobody,
        }
    }

    /// Records the loss of a file that is closed with `result`, before its `Closed` event.
    /// `is_reported`: the close is awaited.
    pub fn note_loss(&mut self, result: Result<(), Errno>, is_reported: bool) {
        let listener = match self.io.losses.failed.is_empty() {
            true => None,
            false => self.io.losses.failed.remove(&self.file.fd().index()),
        };
        let Err(errno) = result else { return };
        let listener = listener.unwrap_or_else(|| self.failure_listener(1));
        let marks = self.slot.marks.progress();
        let was_open = self.slot.open_state() == OpenState::Open;
        let lost = marks.accepted > 0 || (was_open && self.slot.failure().is_some());
        if !lost || is_reported || self.slot.was_failure_reported() {
            return;
        }
        // An error of `close(2)` itself may concern any byte.
        let failure = self.slot.failure().unwrap_or(Failure { errno, offset: 0 });
        if self.io.losses.ended.len() >= MAX_LOSSES {
            let (taken, ended) = (self.io.taken(), &mut self.io.losses.ended);
            ended.retain(|loss| loss.listener.is_unreported(taken));
        }
        if self.io.losses.ended.len() < MAX_LOSSES {
            self.io.losses.ended.push(Loss {
                fd: self.file.fd(),
                bytes: marks.accepted - marks.written,
                failure,
                listener,
            });
        }
    }
}

impl<B: Backend> Io<B> {
    /// Returns how many events were taken from the queue so far.
    fn taken(&self) -> u64 {
        let pushed = self.outbox.queued().unwrap_or(0);
        pushed.saturating_sub(self.shared.events.count() as u64)
    }

    /// Returns the files whose failure was not reported: how many bytes they lost, and why.
    pub fn losses(&self) -> impl Iterator<Item = (Fd, u64, Failure)> {
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
