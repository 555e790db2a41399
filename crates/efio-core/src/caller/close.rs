//! Sync, flush and close: requests to the driver; the results are events or wake-ups.

use super::EAGAIN;
use crate::command::Command;
use crate::error::{Errno, Failure};
use crate::fd::{
    About, CallerState, Fd, Interest, Notify, OpenState, Progress, Question, Requests, Slot,
};
use crate::oneshot::{Receiver, channel};
use crate::shared::Shared;
use crate::stats::{FileStats, Stats};
use crate::sys::refused;
use std::io;

impl Shared {
    /// Requests that everything accepted so far becomes durable. Returns the mark that `Synced`
    /// will reach.
    pub fn sync(&self, fd: Fd) -> io::Result<u64> {
        self.with_file(fd, |slot, _| {
            if let Some(failure) = slot.report_failure() {
                return Err(failure.into());
            }
            slot.request_sync(slot.marks.accepted());
            self.request(fd.index(), slot, Requests::SYNC);
            Ok(slot.marks.accepted())
        })
    }

    /// Returns `Ok` once the kernel has every byte accepted so far; else requests a flush.
    pub fn flush(&self, fd: Fd) -> io::Result<()> {
        self.flush_for(fd, Notify::Event)
    }

    /// [`flush`](Self::flush) for a caller that `notify` identifies: it covers what was accepted at
    /// its first call.
    pub fn flush_for(&self, fd: Fd, notify: Notify<'_>) -> io::Result<()> {
        let mut displaced = None;
        let result = self.with_file(fd, |slot, caller| {
            let asked = caller
                .asked
                .then(|| slot.take_question(About::Flush, notify));
            let mark = asked.flatten().and_then(|question| question.mark());
            let mark = mark.unwrap_or_else(|| slot.marks.accepted());
            let result = self.check_written(fd, slot, mark, notify);
            if result.is_none() {
                let question = Question::new(About::Flush, notify, mark, None);
                displaced = slot.keep_question(question);
                caller.set_asked(true);
            }
            result.unwrap_or(Err(EAGAIN.into()))
        });
        drop(displaced);
        result
    }

    /// Returns `Ok` once the kernel has the first `mark` accepted bytes; else requests a flush.
    pub fn written_for(&self, fd: Fd, mark: u64, notify: Notify<'_>) -> io::Result<()> {
        self.with_file(fd, |slot, _| {
            let result = self.check_written(fd, slot, mark, notify);
            result.unwrap_or(Err(EAGAIN.into()))
        })
    }

    /// Checks whether the first `mark` bytes are written. `None`: not yet; `notify` is registered.
    fn check_written(
        &self,
        fd: Fd,
        slot: &Slot,
        mark: u64,
        notify: Notify<'_>,
    ) -> Option<io::Result<()>> {
        let check = || match slot.report_failure() {
            Some(failure) => Some(Err(failure.into())),
            None => (slot.marks.written() >= mark).then_some(Ok(())),
        };
        if let Some(found) = check() {
            return Some(found);
        }
        slot.wait_for_written(mark);
        let registration = slot.register(Interest::FLUSHED, notify);
        if let Some(found) = check() {
            slot.deregister(registration, notify);
            return Some(found);
        }
        self.request(fd.index(), slot, Requests::FLUSH);
        None
    }

    /// Returns what `check` finds. If that is `None`, registers `notify` for `bit`, sends the
    /// driver the requests `bits`, and returns "would block". It checks again after the
    /// registration, so that no notification is lost in between.
    pub(super) fn check_or_register<R>(
        &self,
        fd: Fd,
        slot: &Slot,
        bit: Interest,
        bits: Requests,
        notify: Notify<'_>,
        mut check: impl FnMut() -> Option<io::Result<R>>,
    ) -> io::Result<R> {
        if let Some(found) = check() {
            return found;
        }
        let registration = slot.register(bit, notify);
        if let Some(found) = check() {
            slot.deregister(registration, notify);
            return found;
        }
        if bits != Requests::NONE {
            self.request(fd.index(), slot, bits);
        }
        Err(EAGAIN.into())
    }

    /// Closes the descriptor; the driver writes what is left and closes the kernel's file.
    pub fn close(&self, fd: Fd, durable: bool) -> io::Result<()> {
        self.with_file(fd, |slot, caller| {
            self.end_file(fd, slot, caller, durable);
            slot.report_failure()
                .map_or(Ok(()), |failure| Err(failure.into()))
        })
    }

    /// The same for a handle that is dropped, which cannot return a failure.
    pub fn drop_file(&self, fd: Fd) {
        // Fails if it is closed already, by number or by `close`: nothing to do then.
        let _ = self.with_file(fd, |slot, caller| {
            self.end_file(fd, slot, caller, false);
            Ok(())
        });
    }

    /// Closes as [`close`](Self::close) does, and returns a receiver of the first error of the
    /// file.
    pub fn close_with_result(&self, fd: Fd) -> io::Result<Receiver<()>> {
        self.with_file(fd, |slot, caller| {
            let (sender, receiver) = channel();
            // Before the close in the inbox.
            if let Err(Command::NotifyClosed(_, sender)) =
                self.try_command(Command::NotifyClosed(fd, sender))
            {
                // The file is closed all the same; no waker is registered yet.
                drop(sender.send(Err(Errno(libc::ENOMEM))));
            }
            self.end_file(fd, slot, caller, false);
            Ok(receiver)
        })
    }

    fn end_file(&self, fd: Fd, slot: &Slot, caller: &mut CallerState, durable: bool) {
        slot.end();
        // Dropping the caller's state seals the open page and frees unread pages.
        *caller = CallerState::default();
        let bits = if durable {
            Requests::CLOSE_SYNC
        } else {
            Requests::CLOSE
        };
        self.request(fd.index(), slot, bits);
    }

    /// Returns the three marks.
    pub fn progress(&self, fd: Fd) -> io::Result<Progress> {
        self.inspect(fd, |slot| slot.marks.progress())
    }

    /// Returns the counters of the file.
    pub fn file_stats(&self, fd: Fd) -> io::Result<FileStats> {
        self.with_file(fd, |slot, _| Ok(slot.stats()))
    }

    /// Returns the counters of the engine.
    pub fn stats(&self) -> Stats {
        let mut stats = self.counters.get();
        stats.calls_refused = refused::count().into();
        let open = self.table.iter();
        stats.reads_served += open.map(|slot| slot.reads_served.get()).sum::<u64>();
        stats
    }

    /// Returns the error that the file failed with.
    pub fn failure(&self, fd: Fd) -> io::Result<Option<Failure>> {
        self.inspect(fd, Slot::report_failure)
    }

    /// Returns whether the kernel has opened the file: `Ok(false)` while the open is pending.
    pub fn open_status(&self, fd: Fd) -> io::Result<bool> {
        let (state, failure) =
            self.inspect(fd, |slot| (slot.open_state(), slot.report_failure()))?;
        match state {
            OpenState::Pending => Ok(false),
            OpenState::Open => Ok(true),
            OpenState::Refused => {
                Err(failure
                    .map_or_else(|| io::Error::from_raw_os_error(libc::EIO), io::Error::from))
            }
        }
    }
}
