//! How long a file is, with everything that was accepted: the kernel is asked once it has all of
//! it.

use super::{EAGAIN, EBADF};
use crate::command::{Command, SizeCommand, SizeListener};
use crate::fd::{About, Fd, Interest, Notify, OpenState, Question, Requests, Slot};
use crate::oneshot::{Receiver, channel};
use crate::shared::Shared;
use std::io;
use std::task::Waker;

impl Shared {
    /// The size of `fd`, or "would block".
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
                    // Of the answer a loop hears by an event that a plain call is owed.
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
                // The event comes after the answer.
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

    /// The next call of `asker` asks anew.
    pub fn forget_size(&self, fd: Fd, notify: Notify<'_>) {
        // Closed: it is forgotten already.
        let _ = self.with_file(fd, |slot, caller| {
            Ok(caller
                .asked
                .then(|| slot.take_question(About::Size, notify)))
        });
    }

    /// Whether the kernel has opened the file, or its error; else "would block".
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

    /// Asks the driver, with custody: so that the file is open when the driver hears of it, or its
    /// close comes later.
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
