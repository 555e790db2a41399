//! The size of a file, including everything that was accepted: the driver asks the kernel once all
//! of it is written.

use super::{EAGAIN, EBADF, Locked};
use crate::command::{Command, SizeCommand, SizeListener};
use crate::fd::{About, Interest, Notify, OpenState, Question, Requests};
use crate::oneshot::channel;
use std::io;
use std::task::Waker;

impl Locked<'_> {
    /// Returns the size, or "would block".
    pub fn size(&mut self, notify: Notify<'_>) -> io::Result<u64> {
        self.opened(notify)?;
        let asked = self.take_question(About::Size, notify);
        if let Some(failure) = self.slot.report_failure() {
            return Err(failure.into());
        }
        // The driver notifies an event loop of the result by a Readable event, which comes after
        // the result.
        let (listener, waker) = match notify {
            Notify::Event => (SizeListener::Event, Waker::noop()),
            Notify::Waker(waker) => (SizeListener::Waker, waker),
        };
        let question = match asked.filter(|question| question.mark().is_some()) {
            Some(question) => question,
            None => self.ask_size(About::Size, notify, listener)?,
        };
        match question.size().and_then(|answer| answer.get(waker)) {
            Some(result) => Ok(result?),
            None => {
                self.keep_question(question);
                Err(EAGAIN.into())
            }
        }
    }

    /// Returns `Ok` once the kernel has opened the file, or the error of the open; else "would
    /// block".
    pub fn opened(&mut self, notify: Notify<'_>) -> io::Result<()> {
        let check = |file: &mut Self| match file.slot.open_state() {
            OpenState::Pending => None,
            OpenState::Open => Some(Ok(())),
            OpenState::Refused => {
                let failure = file.slot.report_failure();
                Some(Err(failure.map_or(EBADF, |failure| failure.errno).into()))
            }
        };
        self.check_or_register(Interest::OPENED, Requests::NONE, notify, check)
    }

    /// Sends the driver a request for the size, under the file's lock: so a close of the file comes
    /// after it in the inbox.
    pub(super) fn ask_size(
        &self,
        about: About,
        notify: Notify<'_>,
        listener: SizeListener,
    ) -> io::Result<Question> {
        let (sender, receiver) = channel();
        let after = self.slot.marks.accepted();
        self.shared.command(Command::Size(SizeCommand {
            fd: self.fd,
            after,
            listener,
            sender,
        }))?;
        Ok(Question::new(about, notify, after, Some(receiver)))
    }
}
