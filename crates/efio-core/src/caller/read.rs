//! Reading: a memcpy out of the read stream, or "would block" and an event follows.
//!
//! ```text
//!          ┌ data ────────────────────────────────────────────► copy, return
//!  stream ─┤
//!          └ empty ─ run ended? ─ yes ────────────────────────► end of file, or its error
//!                        └ no ─ register, check again ─ empty ─► EAGAIN
//! ```

use super::position::{Need, is_end_known};
use super::{EAGAIN, EBADF, EINVAL};
use crate::error::Errno;
use crate::fd::{About, CallerState, Fd, Interest, Notify, OpenState, Requests, RunBy, Slot};
use crate::page::Page;
use crate::shared::Shared;
use efio_chunks::ChunkReader;
use std::io::{self, IoSliceMut, SeekFrom};

impl Shared {
    /// Reads from the position of `fd`; 0 bytes at the end of file.
    pub fn read(&self, fd: Fd, buf: &mut [u8]) -> io::Result<usize> {
        self.read_for(fd, buf, Notify::Event)
    }

    /// [`read`](Self::read) for a caller that `notify` identifies.
    #[inline(always)]
    pub fn read_for(&self, fd: Fd, buf: &mut [u8], notify: Notify<'_>) -> io::Result<usize> {
        let need = (!buf.is_empty()).then_some(Need::Read);
        let end = || 0;
        self.at_position(fd, notify, need, end, |slot, caller| {
            if !caller.may_read {
                return Err(EBADF.into());
            }
            if buf.is_empty() {
                return Ok(0);
            }
            self.read_some(fd, slot, caller, buf, notify)
        })
    }

    /// Reads into one buffer after the other, as far as bytes are available.
    pub fn read_vectored(
        &self,
        fd: Fd,
        bufs: &mut [IoSliceMut<'_>],
        notify: Notify<'_>,
    ) -> io::Result<usize> {
        let need = bufs.iter().any(|buf| !buf.is_empty()).then_some(Need::Read);
        let end = || 0;
        self.at_position(fd, notify, need, end, |slot, caller| {
            if !caller.may_read {
                return Err(EBADF.into());
            }
            let mut total = 0;
            for buf in bufs.iter_mut().filter(|buf| !buf.is_empty()) {
                let n = if total == 0 {
                    self.read_some(fd, slot, caller, buf, notify)?
                } else if caller.reading {
                    self.take_from_run(fd, slot, caller, buf)
                } else {
                    self.read_now(slot, caller, buf).unwrap_or(0)
                };
                total += n;
                if n < buf.len() {
                    break;
                }
            }
            Ok(total)
        })
    }

    #[inline]
    fn read_some(
        &self,
        fd: Fd,
        slot: &Slot,
        caller: &mut CallerState,
        buf: &mut [u8],
        notify: Notify<'_>,
    ) -> io::Result<usize> {
        if !caller.reading {
            if let Some(n) = self.read_now(slot, caller, buf) {
                return Ok(n);
            }
            begin_run(slot, caller)?;
        }
        let found = self.read_run(fd, slot, caller, notify, |caller| {
            copy_out(slot, caller, buf)
        })?;
        slot.reads_served.bump(1);
        if let Some(n) = found {
            return Ok(n);
        }
        // The next read starts a new run: the file may have grown, or be in the page cache by then.
        caller.reading = false;
        slot.take_run_end()?;
        Ok(0)
    }

    /// Reads what is available in the current run, which may be nothing.
    fn take_from_run(
        &self,
        fd: Fd,
        slot: &Slot,
        caller: &mut CallerState,
        buf: &mut [u8],
    ) -> usize {
        let (n, page_done) = copy_out(slot, caller, buf);
        if page_done {
            self.request(fd.index(), slot, Requests::CONSUMED);
        }
        n
    }

    /// Attempts to read from the page cache, in cached mode: one system call and no switch to the
    /// driver.
    fn read_now(&self, slot: &Slot, caller: &mut CallerState, buf: &mut [u8]) -> Option<usize> {
        let n = peek_now(slot, caller, buf)?;
        // As in `begin_run`.
        caller.seal();
        caller.position += n as u64;
        self.counters.reads_from_cache.add(1);
        slot.count(1, |stats| &mut stats.reads_from_cache);
        slot.reads_served.bump(1);
        Some(n)
    }

    /// Returns whether a read would return at once: with data, the end of file or an error. Starts
    /// no IO.
    pub(super) fn is_readable(&self, fd: Fd, slot: &Slot, caller: &mut CallerState) -> bool {
        if slot.open_state() == OpenState::Refused {
            return true;
        }
        if caller.at_end {
            return is_end_known(slot, caller);
        }
        if !caller.reading {
            let lost = slot.failure().is_some() && slot.marks.written() < slot.marks.accepted();
            return lost || peek_now(slot, caller, &mut [0]).is_some();
        }
        let epoch = caller.epoch;
        let ended = slot.run_ended(epoch);
        let reader = caller.reader.as_mut();
        let (front, page_done) = reader.map_or((0, false), |reader| drop_stale(reader, epoch));
        if page_done {
            self.request(fd.index(), slot, Requests::CONSUMED);
        }
        front > 0 || (ended && is_end_current(slot, caller)) || run_failure(slot).is_some()
    }

    /// Returns how many bytes, at least, a read would copy at once; 0 at the end of file.
    pub fn available_for(&self, fd: Fd, notify: Notify<'_>) -> io::Result<usize> {
        let end = || 0;
        self.at_position(fd, notify, Some(Need::Probe), end, |slot, caller| {
            if !caller.may_read {
                return Err(EBADF.into());
            }
            if !caller.reading {
                begin_run(slot, caller)?;
            }
            let found = self.read_run(fd, slot, caller, notify, |caller| {
                let (reader, epoch) = (caller.reader.as_mut(), caller.epoch);
                reader.map_or((0, false), |reader| drop_stale(reader, epoch))
            })?;
            if let Some(n) = found {
                return Ok(n);
            }
            // Keeps the end for the next read.
            slot.run_end()?;
            Ok(0)
        })
    }

    /// Calls `take` on the current run. It returns how many bytes it found, and whether a page was
    /// freed. Returns `None` at the end of the run; "would block" when there is no data.
    #[inline]
    pub(super) fn read_run(
        &self,
        fd: Fd,
        slot: &Slot,
        caller: &mut CallerState,
        notify: Notify<'_>,
        mut take: impl FnMut(&mut CallerState) -> (usize, bool),
    ) -> io::Result<Option<usize>> {
        let mut registration = None;
        let found = loop {
            let (n, page_done) = take(caller);
            if page_done {
                self.request(fd.index(), slot, Requests::CONSUMED);
            }
            if n > 0 {
                break Some(n);
            }
            if slot.run_ended(caller.epoch) {
                // The driver stores the end after it pushed the last bytes: so all of them are in
                // the stream now, and the loop takes them first.
                if !caller.nothing_to_read() {
                    continue;
                }
                if is_end_current(slot, caller) {
                    break None;
                }
                // The file has grown since it was read ahead, or may have (F65).
                begin_run(slot, caller)?;
                caller.run = RunBy::CallAtTheEnd;
            }
            if let Some(errno) = run_failure(slot) {
                caller.reading = false;
                if let Some(registration) = registration {
                    slot.deregister(registration, notify);
                }
                return Err(errno.into());
            }
            if registration.is_some() {
                self.counters.reads_blocked.add(1);
                slot.count(1, |stats| &mut stats.reads_blocked);
                let wanted = if slot.is_read_in_flight(caller.epoch) {
                    Requests::WANT_MORE
                } else {
                    Requests::WANT_DATA
                };
                self.request(fd.index(), slot, wanted);
                return Err(EAGAIN.into());
            }
            registration = Some(slot.register(Interest::DATA, notify));
        };
        if let Some(registration) = registration {
            slot.deregister(registration, notify);
        }
        Ok(found)
    }

    /// Moves the position of `fd` relative to the start, the position or the end. Only the kernel
    /// knows the end, and after an append the position is the end too.
    pub fn seek_from(&self, fd: Fd, to: SeekFrom, notify: Notify<'_>) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::Current(by) => {
                let here = self.settle_position(fd, notify, Need::Seek)?;
                here.position.checked_add_signed(by)
            }
            SeekFrom::End(by) => self.size_for(fd, notify)?.checked_add_signed(by),
        };
        let position = position.ok_or(EINVAL)?;
        self.seek(fd, position)?;
        Ok(position)
    }

    /// Moves the position of `fd`.
    pub fn seek(&self, fd: Fd, position: u64) -> io::Result<()> {
        if i64::try_from(position).is_err() {
            return Err(EINVAL.into());
        }
        // A waker among them is dropped without the lock.
        let mut displaced = Vec::new();
        let result = self.with_file(fd, |slot, caller| {
            if !caller.at_end && position == caller.position {
                return Ok(());
            }
            if caller.at_end && caller.asked {
                displaced = slot.take_questions(About::End);
            }
            caller.at_end = false;
            caller.position = position;
            if end_run(caller) {
                // Other files may wait for this memory.
                self.request(fd.index(), slot, Requests::CONSUMED);
            }
            if caller.writer.is_some() {
                // The next byte has another offset: it starts a page of its own.
                caller.seal();
                self.request(fd.index(), slot, Requests::SEALED);
            }
            Ok(())
        });
        drop(displaced);
        result
    }
}

/// Returns why the current run never delivers more: the open failed, or a write that the run has to
/// wait for (F92).
fn run_failure(slot: &Slot) -> Option<Errno> {
    let failure = slot.failure();
    if slot.open_state() == OpenState::Refused {
        return Some(failure.map_or(EBADF, |failure| failure.errno));
    }
    failure
        .filter(|_| slot.marks.written() < slot.run_after())
        .map(|failure| failure.errno)
}

/// Attempts to read at the position from the page cache, in cached mode.
fn peek_now(slot: &Slot, caller: &mut CallerState, buf: &mut [u8]) -> Option<usize> {
    if slot.marks.written() < slot.marks.accepted() {
        return None;
    }
    let kernel = caller.kernel.as_ref().filter(|_| caller.reads_now)?;
    match kernel.read_now(caller.position, buf) {
        // 0 bytes may mean that the kernel would have to wait (F64): the driver reads instead.
        Ok(0) if !kernel.reports_end() => None,
        answer => answer.ok(),
    }
}

/// Returns whether the end of a run that has nothing left is still the end of the file. The driver
/// found it while it read ahead, and the consumer gets there later.
///
/// | the kernel knows the end without a disk | the end holds if |
/// |---|---|
/// | yes | it is not after the position, or the run delivered nothing and was started at an end |
/// | no | the run delivered nothing and was started by a call: the end was found for it |
///
/// The end of a run that failed always holds.
fn is_end_current(slot: &Slot, caller: &CallerState) -> bool {
    if slot.run_end().is_err() {
        return true;
    }
    let brought_nothing = slot.consumed() == 0;
    let kernel = caller.kernel.as_ref();
    match kernel.and_then(|kernel| kernel.end()) {
        // Reads of some files end before the size: the call must not start runs forever.
        Some(end) => {
            end <= caller.position || (brought_nothing && caller.run == RunBy::CallAtTheEnd)
        }
        None => brought_nothing && caller.run != RunBy::Open,
    }
}

/// Starts a run at the position. Accepted bytes are written first, so that the run reads them
/// (F19).
pub(super) fn begin_run(slot: &Slot, caller: &mut CallerState) -> Result<(), Errno> {
    if let Some(failure) = slot.report_failure() {
        if slot.marks.written() < slot.marks.accepted() {
            return Err(failure.errno);
        }
    }
    // Reading moves the position: the next byte written starts a page of its own.
    caller.seal();
    caller.make_reader(slot);
    caller.epoch += 1;
    caller.reading = true;
    caller.run = RunBy::Call;
    slot.request_run(caller.epoch, caller.position, slot.marks.accepted());
    Ok(())
}

/// Ends the run, because the position moved or the file changed: frees what was read ahead. Returns
/// whether there was anything.
pub(super) fn end_run(caller: &mut CallerState) -> bool {
    caller.reading = false;
    let mut freed = false;
    if let Some(reader) = &mut caller.reader {
        while let Some(len) = reader.front().map(|chunk| chunk.bytes().len()) {
            reader.consume(len);
            freed = true;
        }
    }
    freed
}

/// Frees the pages of an idle reader, for the driver when memory is short. The next read starts a
/// new run.
pub fn drop_read_ahead(caller: &mut CallerState) {
    end_run(caller);
}

/// Copies what is available of the current run. Returns how many bytes, and whether a page was
/// freed.
#[inline]
fn copy_out(slot: &Slot, caller: &mut CallerState, buf: &mut [u8]) -> (usize, bool) {
    let Some(reader) = &mut caller.reader else {
        return (0, false);
    };
    let (front, page_done) = drop_stale(reader, caller.epoch);
    if front == 0 {
        return (0, page_done);
    }
    let n = reader.read(buf);
    caller.position += n as u64;
    slot.set_consumed(slot.consumed() + n as u64);
    (n, page_done || n >= front)
}

/// Drops pages of an earlier run that was in flight when the position moved (F18). Returns how many
/// bytes the first chunk of run `epoch` has, and whether a page was freed.
#[inline]
pub(super) fn drop_stale(reader: &mut ChunkReader<Page>, epoch: u32) -> (usize, bool) {
    let mut page_done = false;
    while let Some(chunk) = reader.front() {
        let len = chunk.bytes().len();
        if chunk.chunk().epoch() == epoch {
            return (len, page_done);
        }
        reader.consume(len);
        page_done = true;
    }
    (0, page_done)
}
