//! Files that ended with a loss of which nobody heard: the shutdown reports them.
//!
//! | who heard of the failure | how that is known |
//! |---|---|
//! | a call on the file returned it | the slot says so |
//! | a close that somebody waits for | its answer is awaited |
//! | the callback | it is run, before the shutdown |
//! | the queue of events | fewer events wait there than came behind this one |

use super::Driver;
use super::file::OpenFile;
use crate::backend::Backend;
use crate::error::{Errno, Failure};
use crate::fd::{Fd, OpenState, Slot};
use std::collections::HashMap;

/// The most files that are remembered.
const MAX_LOSSES: usize = 1 << 16;

/// Files that lost something, by whether anybody heard of it.
#[derive(Default)]
pub struct Losses {
    /// Who hears that a file which is still open has failed.
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

/// Who hears of a failure.
#[derive(Clone, Copy)]
enum FailureListener {
    Nobody,
    Callback,
    /// Whoever takes the event of this number from the queue.
    Queue(u64),
}

impl<B: Backend> Driver<B> {
    /// The file failed, and its owner is told by an event.
    pub(super) fn on_failure_emitted(&mut self, file: &OpenFile<B::File>) {
        let listener = self.failure_listener(file, 0);
        self.losses.failed.insert(file.fd.index(), listener);
    }

    /// Who hears of the last event, or of one that comes so many events later.
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

    /// The file is closed, with this result, which its next event tells. `is_heard`: somebody waits for that.
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
        // An error of the close itself may be one of any byte.
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

    /// Events taken from the queue so far.
    fn taken(&self) -> u64 {
        let pushed = self.outbox.queued().unwrap_or(0);
        pushed.saturating_sub(self.shared.events.count() as u64)
    }

    /// The files that nobody heard of, with what they lost and why.
    pub(super) fn losses(&self) -> impl Iterator<Item = (Fd, u64, Failure)> {
        let taken = self.taken();
        let losses = self.losses.ended.iter();
        let open = losses.filter(move |loss| loss.listener.is_unreported(taken));
        open.map(|loss| (loss.fd, loss.bytes, loss.failure))
    }
}

impl FailureListener {
    /// Whether nobody has heard, now that the first `taken` events are.
    fn is_unreported(self, taken: u64) -> bool {
        match self {
            Self::Nobody => true,
            Self::Callback => false,
            Self::Queue(number) => number > taken,
        }
    }
}
