//! Sync, flush and close: requests to the driver; the results are events or wake-ups.

use super::{EINVAL, Locked};
use crate::command::Command;
use crate::error::Errno;
use crate::fd::{About, CallerState, Interest, Notify, Question, Requests};
use crate::oneshot::{Receiver, channel};
use crate::stats::FileStats;
use std::io::{self, ErrorKind};

impl Locked<'_> {
    /// Requests that everything accepted so far becomes durable. Returns the mark that `Synced`
    /// will reach.
    pub fn sync(&mut self) -> io::Result<u64> {
        if let Some(failure) = self.slot.report_failure() {
            return Err(failure.into());
        }
        self.slot.request_sync(self.slot.marks.accepted());
        self.request(Requests::SYNC);
        Ok(self.slot.marks.accepted())
    }

    /// Returns `Ok` once every byte below `mark` is durable and every requested sync complete. Else
    /// requests a sync, if none is pending.
    pub fn synced(&mut self, mark: u64, notify: Notify<'_>) -> io::Result<()> {
        if mark > self.slot.marks.accepted() {
            return Err(EINVAL.into());
        }
        let check = |file: &mut Self| {
            if let Some(failure) = file.slot.report_failure() {
                return Some(Err(failure.into()));
            }
            let answered = file.slot.syncs_are_answered();
            let durable = file.slot.marks.progress().durable;
            // A mark beyond ours: that sync started after ours was requested.
            let done = durable > mark || (durable == mark && answered);
            done.then_some(Ok(()))
        };
        let mut bits = Requests::NONE;
        if check(self).is_none() && self.slot.syncs_are_answered() {
            self.slot.request_sync(self.slot.marks.accepted());
            bits = Requests::SYNC;
        }
        self.check_or_register(Interest::SYNCED, bits, notify, check)
    }

    /// Returns `Ok` once the kernel has what was accepted at the first call of the caller that
    /// `notify` identifies; else requests a flush.
    pub fn flush(&mut self, notify: Notify<'_>) -> io::Result<()> {
        let asked = self.take_question(About::Flush, notify);
        let mark = asked.and_then(|question| question.mark());
        let mark = mark.unwrap_or_else(|| self.slot.marks.accepted());
        let result = self.written(mark, notify);
        if result
            .as_ref()
            .is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
        {
            self.keep_question(Question::new(About::Flush, notify, mark, None));
        }
        result
    }

    /// Returns `Ok` once the kernel has the first `mark` accepted bytes; else requests a flush.
    pub fn written(&mut self, mark: u64, notify: Notify<'_>) -> io::Result<()> {
        let check = |file: &mut Self| match file.slot.report_failure() {
            Some(failure) => Some(Err(failure.into())),
            None => (file.slot.marks.written() >= mark).then_some(Ok(())),
        };
        let (bit, request) = (Interest::FLUSHED, Requests::FLUSH);
        self.check_or_register_until(bit, mark, request, notify, check)
    }

    /// Closes the descriptor and returns the file's failure, if it has failed.
    pub fn close(&mut self, durable: bool) -> io::Result<()> {
        self.end(durable);
        let failure = self.slot.report_failure();
        failure.map_or(Ok(()), |failure| Err(failure.into()))
    }

    /// Closes the descriptor; the driver writes what is left and closes the kernel's file.
    pub fn end(&mut self, durable: bool) {
        self.slot.end();
        // Dropping the caller's state seals the open page and frees unread pages.
        *self.state = CallerState::default();
        self.request(if durable {
            Requests::CLOSE_SYNC
        } else {
            Requests::CLOSE
        });
    }

    /// Closes the descriptor, and returns a receiver of the first error of the file.
    pub fn close_with_result(&mut self) -> Receiver<()> {
        let (sender, receiver) = channel();
        // Before the close in the inbox.
        let notify = Command::NotifyClosed(self.fd, sender);
        if let Err(Command::NotifyClosed(_, sender)) = self.shared.inbox.send(notify) {
            // The file is closed all the same; no waker is registered yet.
            drop(sender.send(Err(Errno(libc::ENOMEM))));
        }
        self.end(false);
        receiver
    }

    /// Returns the counters of the file.
    pub fn stats(&self) -> FileStats {
        self.slot.stats()
    }
}
