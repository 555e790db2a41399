//! Reading: a memcpy out of the read stream, or "would block" and an event follows.
//!
//! ```text
//!          ┌ data ────────────────────────────────────────────► copy, return
//!  stream ─┤
//!          └ empty ─ run ended? ─ yes ────────────────────────► end of file, or its error
//!                        └ no ─ register, check again ─ empty ─► EAGAIN
//! ```

use super::position::Need;
use super::{EAGAIN, EBADF, EINVAL, Locked};
use crate::error::Errno;
use crate::fd::{About, CallerState, Interest, Notify, OpenState, Requests, RunBy, Slot};
use std::io::{self, IoSliceMut, SeekFrom};

impl Locked<'_> {
    /// Reads from the position; 0 bytes at the end of file.
    #[inline(always)]
    pub fn read(&mut self, buf: &mut [u8], notify: Notify<'_>) -> io::Result<usize> {
        if !self.state.may_read {
            return Err(EBADF.into());
        }
        if buf.is_empty() {
            return Ok(0);
        }
        if self.state.reading && !self.state.at_end {
            let n = self.take_from_run(buf);
            if n > 0 {
                self.slot.reads_served.bump(1);
                return Ok(n);
            }
        }
        self.read_rest(buf, notify)
    }

    /// Continues a read that found nothing in the stream.
    #[inline(never)]
    fn read_rest(&mut self, buf: &mut [u8], notify: Notify<'_>) -> io::Result<usize> {
        if self.is_at_end(notify, Need::Read)? {
            return Ok(0);
        }
        self.read_some(buf, notify)
    }

    /// Reads into one buffer after the other, as far as bytes are available.
    pub fn read_vectored(
        &mut self,
        bufs: &mut [IoSliceMut<'_>],
        notify: Notify<'_>,
    ) -> io::Result<usize> {
        if !self.state.may_read {
            return Err(EBADF.into());
        }
        let mut total = 0;
        for buf in bufs.iter_mut().filter(|buf| !buf.is_empty()) {
            let n = if total == 0 {
                self.read_rest(buf, notify)?
            } else if self.state.reading {
                self.take_from_run(buf)
            } else {
                self.read_now(buf).unwrap_or(0)
            };
            total += n;
            if n < buf.len() {
                break;
            }
        }
        Ok(total)
    }

    fn read_some(&mut self, buf: &mut [u8], notify: Notify<'_>) -> io::Result<usize> {
        if !self.state.reading {
            if let Some(n) = self.read_now(buf) {
                return Ok(n);
            }
            self.begin_run(RunBy::Call)?;
        }
        let found = self.read_run(notify, |state, slot| state.copy_out(slot, buf))?;
        self.slot.reads_served.bump(1);
        if let Some(n) = found {
            return Ok(n);
        }
        // The next read starts a new run: the file may have grown, or be in the page cache by then.
        self.state.reading = false;
        self.slot.take_run_end()?;
        Ok(0)
    }

    /// Reads what is available in the current run, which may be nothing.
    #[inline]
    fn take_from_run(&mut self, buf: &mut [u8]) -> usize {
        let (n, page_done) = self.state.copy_out(self.slot, buf);
        if page_done {
            self.request(Requests::CONSUMED);
        }
        n
    }

    /// Attempts to read from the page cache, in cached mode: one system call and no switch to the
    /// driver.
    fn read_now(&mut self, buf: &mut [u8]) -> Option<usize> {
        let n = self.peek_now(buf)?;
        // As in `begin_run`.
        self.state.seal();
        self.state.position += n as u64;
        self.shared.counters.reads_from_cache.add(1);
        self.slot.count(1, |stats| &mut stats.reads_from_cache);
        self.slot.reads_served.bump(1);
        Some(n)
    }

    /// Attempts to read at the position from the page cache, in cached mode.
    fn peek_now(&self, buf: &mut [u8]) -> Option<usize> {
        if !self.slot.marks.is_all_written() {
            return None;
        }
        let kernel = self.state.kernel.as_ref();
        let kernel = kernel.filter(|_| self.state.reads_now)?;
        match kernel.read_now(self.state.position, buf) {
            // 0 bytes may mean that the kernel would have to wait (F64): the driver reads instead.
            Ok(0) if !kernel.reports_end() => None,
            answer => answer.ok(),
        }
    }

    /// Returns whether a read would return at once: with data, the end of file or an error. Starts
    /// no IO.
    pub(super) fn is_readable(&mut self) -> bool {
        let slot = self.slot;
        if slot.open_state() == OpenState::Refused {
            return true;
        }
        if self.state.at_end {
            return self.is_end_known();
        }
        if !self.state.reading {
            let lost = slot.failure().is_some() && !slot.marks.is_all_written();
            return lost || self.peek_now(&mut [0]).is_some();
        }
        let ended = slot.run_ended(self.state.epoch);
        let (front, page_done) = self.state.drop_stale();
        if page_done {
            self.request(Requests::CONSUMED);
        }
        front > 0 || (ended && self.is_end_current()) || self.run_failure().is_some()
    }

    /// Returns how many bytes, at least, a read would copy at once; 0 at the end of file.
    pub fn available(&mut self, notify: Notify<'_>) -> io::Result<usize> {
        if !self.state.may_read {
            return Err(EBADF.into());
        }
        if self.is_at_end(notify, Need::Probe)? {
            return Ok(0);
        }
        if !self.state.reading {
            self.begin_run(RunBy::Call)?;
        }
        if let Some(n) = self.read_run(notify, |state, _| state.drop_stale())? {
            return Ok(n);
        }
        // Keeps the end for the next read.
        self.slot.run_end()?;
        Ok(0)
    }

    /// Calls `take` on the current run. It returns how many bytes it found, and whether a page was
    /// freed. Returns `None` at the end of the run; "would block" when there is no data.
    pub(super) fn read_run(
        &mut self,
        notify: Notify<'_>,
        mut take: impl FnMut(&mut CallerState, &Slot) -> (usize, bool),
    ) -> io::Result<Option<usize>> {
        let slot = self.slot;
        let mut registration = None;
        let found = loop {
            let (n, page_done) = take(&mut self.state, slot);
            if page_done {
                self.request(Requests::CONSUMED);
            }
            if n > 0 {
                break Some(n);
            }
            if slot.run_ended(self.state.epoch) {
                // The driver stores the end after it pushed the last bytes: so all of them are in
                // the stream now, and the loop takes them first.
                if !self.state.nothing_to_read() {
                    continue;
                }
                if self.is_end_current() {
                    break None;
                }
                // The file has grown since it was read ahead, or may have (F65).
                self.begin_run(RunBy::CallAtTheEnd)?;
            }
            if let Some(errno) = self.run_failure() {
                self.state.reading = false;
                if let Some(registration) = registration {
                    slot.deregister(registration);
                }
                return Err(errno.into());
            }
            if registration.is_some() {
                self.count_blocked_read();
                self.request(if slot.is_read_in_flight(self.state.epoch) {
                    Requests::WANT_MORE
                } else {
                    Requests::WANT_DATA
                });
                return Err(EAGAIN.into());
            }
            registration = Some(slot.register(Interest::DATA, notify));
        };
        if let Some(registration) = registration {
            slot.deregister(registration);
        }
        Ok(found)
    }

    /// Starts a run at the position, unless bytes that it would have to read are lost.
    pub(super) fn begin_run(&mut self, by: RunBy) -> Result<(), Errno> {
        if let Some(failure) = self.slot.report_failure() {
            if !self.slot.marks.is_all_written() {
                return Err(failure.errno);
            }
        }
        self.state.begin_run(self.slot, by);
        Ok(())
    }

    /// Returns why the current run never delivers more: the open failed, or a write that the run
    /// has to wait for (F92).
    fn run_failure(&self) -> Option<Errno> {
        let failure = self.slot.failure();
        if self.slot.open_state() == OpenState::Refused {
            return Some(failure.map_or(EBADF, |failure| failure.errno));
        }
        failure
            .filter(|_| self.slot.marks.written() < self.slot.run_after())
            .map(|failure| failure.errno)
    }

    /// Returns whether the end of a run that has nothing left is still the end of the file. The
    /// driver found it while it read ahead, and the consumer gets there later.
    ///
    /// | the kernel knows the end without a disk | the end holds if |
    /// |---|---|
    /// | yes | it is not after the position, or the run delivered nothing and was started at an end |
    /// | no | the run delivered nothing and was started by a call: the end was found for it |
    ///
    /// The end of a run that failed always holds.
    fn is_end_current(&self) -> bool {
        if self.slot.run_end().is_err() {
            return true;
        }
        let state = &*self.state;
        let brought_nothing = self.slot.consumed() == 0;
        match state.kernel.as_ref().and_then(|kernel| kernel.end()) {
            // Reads of some files end before the size: the call must not start runs forever.
            Some(end) => {
                end <= state.position || (brought_nothing && state.run == RunBy::CallAtTheEnd)
            }
            None => brought_nothing && state.run != RunBy::Open,
        }
    }

    /// Moves the position relative to the start, the position or the end. Only the kernel knows the
    /// end, and after an append the position is the end too.
    pub fn seek_from(&mut self, to: SeekFrom, notify: Notify<'_>) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::Current(by) => {
                let here = self.settle_position(notify, Need::Seek)?;
                here.position.checked_add_signed(by)
            }
            SeekFrom::End(by) => self.size(notify)?.checked_add_signed(by),
        };
        let position = position.ok_or(EINVAL)?;
        self.seek(position)?;
        Ok(position)
    }

    /// Moves the position.
    pub fn seek(&mut self, position: u64) -> io::Result<()> {
        if i64::try_from(position).is_err() {
            return Err(EINVAL.into());
        }
        if !self.state.at_end && position == self.state.position {
            return Ok(());
        }
        if self.state.at_end {
            self.forget_all_questions(About::End);
        }
        self.state.at_end = false;
        self.state.position = position;
        if self.state.end_run() {
            // Other files may wait for this memory.
            self.request(Requests::CONSUMED);
        }
        if self.state.has_writer() {
            // The next byte has another offset: it starts a page of its own.
            self.state.seal();
            self.request(Requests::SEALED);
        }
        Ok(())
    }
}
