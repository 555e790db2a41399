//! Writing: a memcpy into the open page of the write stream.
//!
//! ```text
//!  open page has room ─────────────────► copy, raise `accepted`, return
//!  page full ─ seal, take the next one ─► copy on
//!  no page available: budget or the file's share used up
//!      ├─ something was copied ─────────► short count
//!      └─ nothing ─ register, try again ─ still nothing ─► EAGAIN
//! ```

use super::read::end_run;
use super::{EAGAIN, EBADF, EINVAL};
use crate::error::Errno;
use crate::fd::{CallerState, Fd, Interest, Notify, Requests, Slot};
use crate::page::{Page, SLAB_ORDER, UNIT_BYTES, order_for};
use crate::shared::Shared;
use std::io::{self, IoSlice};
use std::slice;

/// What a call has copied so far, and the requests for the driver that follow from it.
struct Copied {
    bytes: usize,
    bits: Requests,
}

/// The outcome of opening a page to write into.
pub(super) enum Room {
    /// A new page is the open tail.
    Opened,
    /// The file has as many bytes unwritten as it may.
    ShareUsedUp,
    /// The pool has none; the driver has to be notified.
    BudgetUsedUp,
}

impl Shared {
    /// Writes at the position of `fd`. Returns how many bytes were accepted.
    pub fn write(&self, fd: Fd, buf: &[u8]) -> io::Result<usize> {
        self.write_for(fd, buf, Notify::Event)
    }

    /// [`write`](Self::write) for a caller that `notify` identifies.
    #[inline(always)]
    pub fn write_for(&self, fd: Fd, buf: &[u8], notify: Notify<'_>) -> io::Result<usize> {
        self.with_file(fd, |slot, caller| {
            check_write(slot, caller, buf.len())?;
            if buf.is_empty() {
                return Ok(0);
            }
            // Without a stream yet there is no room, as in a full page.
            let n = caller
                .writer
                .as_mut()
                .map_or(0, |writer| writer.append(buf));
            if caller.reading && end_run(caller) {
                self.request(fd.index(), slot, Requests::CONSUMED);
            }
            if n < buf.len() {
                return self.write_rest(fd, slot, caller, buf, n, notify);
            }
            self.accept(fd, slot, caller, n, notify);
            Ok(n)
        })
    }

    /// Writes one buffer after the other, as one call: bytes of other calls come before or after
    /// all that it accepts.
    pub fn write_vectored(
        &self,
        fd: Fd,
        bufs: &[IoSlice<'_>],
        notify: Notify<'_>,
    ) -> io::Result<usize> {
        self.with_file(fd, |slot, caller| {
            let len = bufs
                .iter()
                .try_fold(0usize, |len, buf| len.checked_add(buf.len()));
            let len = len.ok_or(EINVAL)?;
            check_write(slot, caller, len)?;
            if len == 0 {
                return Ok(0);
            }
            if caller.reading && end_run(caller) {
                self.request(fd.index(), slot, Requests::CONSUMED);
            }
            self.write_pages(fd, slot, caller, bufs, 0, notify)
        })
    }

    /// Returns a check whether a write would accept at least one byte.
    pub(super) fn room(&self, caller: &mut CallerState) -> impl Fn(&Slot) -> bool {
        let in_page = caller.room() > 0;
        let has_share =
            |slot: &Slot| slot.marks.accepted() - slot.marks.written() < self.share() as u64;
        move |slot| in_page || (has_share(slot) && self.pool.has_room())
    }

    /// Accepts `n` bytes that are in the stream: advances the position and the mark.
    #[inline]
    pub(super) fn accept(
        &self,
        fd: Fd,
        slot: &Slot,
        caller: &mut CallerState,
        n: usize,
        notify: Notify<'_>,
    ) {
        caller.position += n as u64;
        caller.at_end = caller.append;
        slot.marks.set_accepted(slot.marks.accepted() + n as u64);
        if !caller.quiet {
            self.notify_of_bytes(fd, slot, caller, notify);
        }
    }

    /// Cancels the pending questions of `notify`, which its bytes make stale, and requests the
    /// driver's interval timer if it is not set.
    #[cold]
    fn notify_of_bytes(&self, fd: Fd, slot: &Slot, caller: &mut CallerState, notify: Notify<'_>) {
        if caller.asked {
            caller.set_asked(slot.void_questions(notify));
        }
        if !caller.watched {
            caller.set_watched(true);
            self.request(fd.index(), slot, Requests::DIRTY);
        }
    }

    /// Continues a write whose first `n` bytes filled the open page.
    #[cold]
    fn write_rest(
        &self,
        fd: Fd,
        slot: &Slot,
        caller: &mut CallerState,
        buf: &[u8],
        n: usize,
        notify: Notify<'_>,
    ) -> io::Result<usize> {
        let rest = IoSlice::new(&buf[n..]);
        self.write_pages(fd, slot, caller, slice::from_ref(&rest), n, notify)
    }

    /// Writes with new pages, after the first `ahead` bytes of the call, which are in the stream.
    fn write_pages(
        &self,
        fd: Fd,
        slot: &Slot,
        caller: &mut CallerState,
        bufs: &[IoSlice<'_>],
        ahead: usize,
        notify: Notify<'_>,
    ) -> io::Result<usize> {
        let mut copied = Copied {
            bytes: ahead,
            bits: Requests::NONE,
        };
        self.copy_all(slot, caller, bufs, &mut copied);
        if copied.bytes == 0 {
            let registration = slot.register(Interest::ROOM, notify);
            self.copy_all(slot, caller, bufs, &mut copied);
            if copied.bytes == 0 {
                self.counters.writes_blocked.add(1);
                slot.count(1, |stats| &mut stats.writes_blocked);
                self.want_room(fd, slot, copied.bits);
                return Err(EAGAIN.into());
            }
            slot.deregister(registration, notify);
        }
        self.accept(fd, slot, caller, copied.bytes, notify);
        if copied.bits != Requests::NONE {
            // After the mark is raised, because the driver reads the mark then.
            self.request(fd.index(), slot, copied.bits);
        }
        Ok(copied.bytes)
    }

    /// Requests room for a write that found none:
    ///
    /// | used up | a write of the file in flight | request | wakes the driver |
    /// |---|---|---|---|
    /// | the pool (`bits`) | any | `WANT_ROOM` | yes |
    /// | the share | no | `WANT_ROOM` | yes |
    /// | the share | yes | `WANT_SHARE` | deferrable: the completion does |
    fn want_room(&self, fd: Fd, slot: &Slot, bits: Requests) {
        let can_wait = !bits.intersects(Requests::WANT_ROOM) && slot.is_write_in_flight();
        let wanted = if can_wait {
            Requests::WANT_SHARE
        } else {
            Requests::WANT_ROOM
        };
        self.request(fd.index(), slot, wanted);
    }

    /// Copies one buffer after the other until all is copied or there is no room.
    fn copy_all(
        &self,
        slot: &Slot,
        caller: &mut CallerState,
        bufs: &[IoSlice<'_>],
        copied: &mut Copied,
    ) {
        for buf in bufs {
            let before = copied.bytes;
            self.copy_one(slot, caller, buf, copied);
            if copied.bytes - before < buf.len() {
                break;
            }
        }
        if caller.room() == 0 {
            caller.seal();
        }
    }

    fn copy_one(&self, slot: &Slot, caller: &mut CallerState, buf: &[u8], copied: &mut Copied) {
        let written = slot.marks.written();
        let append = |caller: &mut CallerState, bytes: &[u8]| {
            let writer = caller.writer.as_mut();
            writer.map_or(0, |writer| writer.append(bytes))
        };
        let mut done = append(caller, buf);
        while done < buf.len() {
            match self.open_page(slot, caller, written, copied.bytes + done, buf.len() - done) {
                Room::Opened => copied.bits = copied.bits.union(Requests::SEALED),
                Room::ShareUsedUp => break,
                Room::BudgetUsedUp => {
                    copied.bits = copied.bits.union(Requests::WANT_ROOM);
                    break;
                }
            }
            done += append(caller, &buf[done..]);
        }
        copied.bytes += done;
    }

    /// Attempts to open a page for `wanted` bytes that begin `ahead` bytes after the position.
    pub(super) fn open_page(
        &self,
        slot: &Slot,
        caller: &mut CallerState,
        written: u64,
        ahead: usize,
        wanted: usize,
    ) -> Room {
        if slot.marks.accepted() + ahead as u64 - written >= self.share() as u64 {
            return Room::ShareUsedUp;
        }
        let order = caller.order.max(order_for(wanted));
        let Some(block) = self.pool.take_at_most(self.within_limits(order), 0) else {
            return Room::BudgetUsedUp;
        };
        caller.order = (order + 2).min(SLAB_ORDER);
        let page = Page::open(block, caller.next_seq(slot) + ahead as u64);
        if caller.writer(slot).open(page).is_err() {
            unreachable!("the stream has no bound of its own");
        }
        Room::Opened
    }

    /// Returns the order of the next page of a file: within the configured orders, and at most a
    /// quarter of its share.
    ///
    /// With a share of 1 MiB pages have at most 256 KiB: order 6, as 4096 << 6 = 256 KiB.
    fn within_limits(&self, order: u8) -> u8 {
        let most = (self.share() / 4 / UNIT_BYTES).max(1).ilog2() as u8;
        let order = order.max(self.config.least_order());
        order.min(self.config.most_order()).min(most)
    }
}

/// Checks whether a write of `len` bytes is allowed.
#[inline]
pub(super) fn check_write(slot: &Slot, caller: &CallerState, len: usize) -> Result<(), Errno> {
    if !caller.may_write {
        return Err(EBADF);
    }
    if let Some(failure) = slot.report_failure() {
        return Err(failure.errno);
    }
    let end = caller.position.checked_add(len as u64);
    if end.is_none_or(|end| end > i64::MAX as u64) {
        return Err(EINVAL);
    }
    Ok(())
}
