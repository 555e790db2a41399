//! Writing: a memcpy into the open page of the write stream.
//!
//! ```text
//!  open page has room ─────────────────► copy, raise `accepted`, return
//!  page full ─ seal, take the next one ─► copy on
//!  no page available: budget or the file's share used up
//!      ├─ something was copied ─────────► short count
//!      └─ nothing ─ register, try again ─ still nothing ─► EAGAIN
//! ```

use super::{EAGAIN, EINVAL, Locked};
use crate::fd::{Interest, Notify, Requests};
use crate::page::{Page, SLAB_ORDER, UNIT_BYTES, order_for};
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

impl Locked<'_> {
    /// Writes at the position. Returns how many bytes were accepted.
    #[inline(always)]
    pub fn write(&mut self, buf: &[u8], notify: Notify<'_>) -> io::Result<usize> {
        self.state.check_write(self.slot, buf.len())?;
        if buf.is_empty() {
            return Ok(0);
        }
        let n = self.state.append(buf);
        self.end_run();
        if n < buf.len() {
            return self.write_rest(buf, n, notify);
        }
        self.accept(n, notify);
        Ok(n)
    }

    /// Writes one buffer after the other, as one call: bytes of other calls come before or after
    /// all that it accepts.
    pub fn write_vectored(
        &mut self,
        bufs: &[IoSlice<'_>],
        notify: Notify<'_>,
    ) -> io::Result<usize> {
        let len = bufs
            .iter()
            .try_fold(0usize, |len, buf| len.checked_add(buf.len()));
        let len = len.ok_or(EINVAL)?;
        self.state.check_write(self.slot, len)?;
        if len == 0 {
            return Ok(0);
        }
        self.end_run();
        self.write_pages(bufs, 0, notify)
    }

    /// Returns whether a write would accept at least one byte.
    pub(super) fn has_room(&mut self) -> bool {
        self.state.room() > 0 || (self.unwritten() < self.share() && self.shared.pool.has_room())
    }

    /// Returns how many accepted bytes are not written.
    pub(super) fn unwritten(&self) -> u64 {
        self.slot.marks.accepted() - self.slot.marks.written()
    }

    fn share(&self) -> u64 {
        self.shared.share() as u64
    }

    /// Accepts `n` bytes that are in the stream: advances the position and the mark.
    #[inline(always)]
    pub(super) fn accept(&mut self, n: usize, notify: Notify<'_>) {
        if self.state.accept(self.slot, n, notify) {
            self.request(Requests::DIRTY);
        }
    }

    /// Continues a write whose first `n` bytes filled the open page.
    #[cold]
    fn write_rest(&mut self, buf: &[u8], n: usize, notify: Notify<'_>) -> io::Result<usize> {
        let rest = IoSlice::new(&buf[n..]);
        self.write_pages(slice::from_ref(&rest), n, notify)
    }

    /// Writes with new pages, after the first `ahead` bytes of the call, which are in the stream.
    fn write_pages(
        &mut self,
        bufs: &[IoSlice<'_>],
        ahead: usize,
        notify: Notify<'_>,
    ) -> io::Result<usize> {
        let mut copied = Copied {
            bytes: ahead,
            bits: Requests::NONE,
        };
        self.copy_all(bufs, &mut copied);
        if copied.bytes == 0 {
            let registration = self.slot.register(Interest::ROOM, notify);
            self.copy_all(bufs, &mut copied);
            if copied.bytes == 0 {
                self.count_blocked_write();
                self.want_room(copied.bits);
                return Err(EAGAIN.into());
            }
            self.slot.deregister(registration);
        }
        self.accept(copied.bytes, notify);
        if copied.bits != Requests::NONE {
            // After the mark is raised, because the driver reads the mark then.
            self.request(copied.bits);
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
    fn want_room(&self, bits: Requests) {
        let can_wait = !bits.intersects(Requests::WANT_ROOM) && self.slot.is_write_in_flight();
        self.request(if can_wait {
            Requests::WANT_SHARE
        } else {
            Requests::WANT_ROOM
        });
    }

    /// Copies one buffer after the other until all is copied or there is no room.
    fn copy_all(&mut self, bufs: &[IoSlice<'_>], copied: &mut Copied) {
        for buf in bufs {
            if self.copy_one(buf, copied) < buf.len() {
                break;
            }
        }
        if self.state.room() == 0 {
            self.state.seal();
        }
    }

    /// Copies one buffer, as far as there is room. Returns how many bytes.
    fn copy_one(&mut self, buf: &[u8], copied: &mut Copied) -> usize {
        let written = self.slot.marks.written();
        let mut done = self.state.append(buf);
        while done < buf.len() {
            match self.open_page(written, copied.bytes + done, buf.len() - done) {
                Room::Opened => copied.bits = copied.bits.union(Requests::SEALED),
                Room::ShareUsedUp => break,
                Room::BudgetUsedUp => {
                    copied.bits = copied.bits.union(Requests::WANT_ROOM);
                    break;
                }
            }
            done += self.state.append(&buf[done..]);
        }
        copied.bytes += done;
        done
    }

    /// Attempts to open a page for `wanted` bytes that begin `ahead` bytes after the position.
    pub(super) fn open_page(&mut self, written: u64, ahead: usize, wanted: usize) -> Room {
        if self.slot.marks.accepted() + ahead as u64 - written >= self.share() {
            return Room::ShareUsedUp;
        }
        let order = self.state.order.max(order_for(wanted));
        let Some(block) = self.shared.pool.take_at_most(self.within_limits(order), 0) else {
            return Room::BudgetUsedUp;
        };
        self.state.order = (order + 2).min(SLAB_ORDER);
        let page = Page::open(block, self.state.next_seq(self.slot) + ahead as u64);
        if self.state.writer(self.slot).open(page).is_err() {
            unreachable!("the stream has no bound of its own");
        }
        Room::Opened
    }

    /// Returns the order of the next page of a file: within the configured orders, and at most a
    /// quarter of its share.
    ///
    /// With a share of 1 MiB pages have at most 256 KiB: order 6, as 4096 << 6 = 256 KiB.
    fn within_limits(&self, order: u8) -> u8 {
        let config = &self.shared.config;
        let most = (self.shared.share() / 4 / UNIT_BYTES).max(1).ilog2() as u8;
        let order = order.max(config.least_order());
        order.min(config.most_order()).min(most)
    }
}
