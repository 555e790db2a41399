//! The size of a file, including everything that was accepted: the driver asks the kernel once all
//! of it is written.

use super::{EAGAIN, EBADF};
use crate::command::{Command, SizeCommand, SizeListener};
use crate::fd::{About, Fd, Interest, Notify, OpenState, Question, Requests, Slot};
use crate::oneshot::{Receiver, channel};
use crate::shared::Shared;
use std::io;
use std::task::Waker;

impl Shared {
    /// Returns the size of `fd`, or "would block".
    pub fn size_for(&self, fd: Fd, notify: Notify<'_>) -> io::Result<u64> {
        self.open_for(fd, notify)?;
        let mut displaced = None;
        let result = self.with_file(fd, |slot, caller| {
            let asked = caller
                .asked
                .then(|| slot.take_question(About::Size, notify));
            if let Some(failure) = slot.report_failure() {
                return Err(failure.into());
            }
            let valid = asked.flatten().filter(|question| question.mark().is_some());
            let question = valid.map_or_else(
                || {
                    // The driver notifies an event loop of the result by a Readable event.
                    let listener = match notify {
                        Notify::Event => SizeListener::Event,
                        Notify::Waker(_) => SizeListener::Waker,
                    };
                    self.ask_size(fd, slot, About::Size, notify, listener)
                },
                Ok,
            )?;
            let waker = match notify {
                Notify::Waker(waker) => waker,
                // The event comes after the result.
                Notify::Event => Waker::noop(),
            };
            match question.size().and_then(|answer| answer.get(waker)) {
                Some(result) => Ok(result?),
                None => {
                    displaced = slot.keep_question(question);
                    caller.set_asked(true);
                    Err(EAGAIN.into())
                }
            }
        });
        drop(displaced);
        result
    }

    /// Drops the pending questions of `notify` about the size and the end: its next call asks again.
    pub fn forget_ends(&self, fd: Fd, notify: Notify<'_>) {
        // Fails if the file is closed: the questions are dropped then.
        let _ = self.with_file(fd, |slot, caller| {
            let take = |about| slot.take_question(about, notify);
            Ok(caller.asked.then(|| [About::Size, About::End].map(take)))
        });
    }

    /// Returns `Ok` once the kernel has opened the file, or the error of the open; else "would
    /// block".
    pub(super) fn open_for(&self, fd: Fd, notify: Notify<'_>) -> io::Result<()> {
        self.with_file(fd, |slot, _| {
            let check = || match slot.open_state() {
                OpenState::Pending => None,
                OpenState::Open => Some(Ok(())),
                OpenState::Refused => {
                    Some(Err(slot.report_failure().map_or(EBADF, |f| f.errno).into()))
                }
            };
            self.check_or_register(fd, slot, Interest::OPENED, Requests::NONE, notify, check)
        })
    }

    /// Sends the driver a request for the size, under the file's lock: so a close of the file comes
    /// after it in the inbox.
    pub(super) fn ask_size(
        &self,
        fd: Fd,
        slot: &Slot,
        about: About,
        notify: Notify<'_>,
        listener: SizeListener,
    ) -> io::Result<Question> {
        let (sender, receiver): (_, Receiver<u64>) = channel();
        let after = slot.marks.accepted();
        self.command(Command::Size(SizeCommand {
            fd,
            after,
            listener,
            sender,
        }))?;
        Ok(Question::new(about, notify, after, Some(receiver)))
    }
}
