//! Writing: a memcpy into the open page of the write stream.
//!
//! ```text
//!  open page has room ─────────────────► copy, raise `accepted`, return
//!  page full ─ seal, take the next one ─► copy on
//!  no page to be had: budget or the file's share used up
//!      ├─ something was copied ─────────► short count
//!      └─ nothing ─ say that an event is owed, try once more ─ still nothing ─► EAGAIN
//! ```

use super::read::end_run;
use super::{EAGAIN, EBADF, EINVAL};
use crate::fd::{Attention, Ends, Fd, Slot, Waiting};
use crate::page::{Page, SLAB_ORDER, UNIT_BYTES, order_for};
use crate::shared::Shared;
use std::io;

/// Whether there is a page to write into.
pub(super) enum Room {
    /// A new one is the open tail.
    Opened,
    /// The file has as many bytes unwritten as it may.
    ShareUsedUp,
    /// The pool has none; the driver should hear of it.
    BudgetUsedUp,
}

impl Shared {
    /// Writes at the position of `fd`; how many bytes were accepted.
    pub fn write(&self, fd: Fd, buf: &[u8]) -> io::Result<usize> {
        self.with_ends(fd, |slot, ends| {
            let Some(writer) = &mut ends.writer else {
                return Err(EBADF.into());
            };
            if let Some(failure) = slot.failure() {
                return Err(failure.into());
            }
            if buf.is_empty() {
                return Ok(0);
            }
            let end = ends.position.checked_add(buf.len() as u64);
            if end.is_none_or(|end| end > i64::MAX as u64) {
                return Err(EINVAL.into());
            }
            let mut n = writer.append(buf);
            if ends.reading && end_run(ends) {
                self.attend(fd.index(), slot, Attention::CONSUMED);
            }
            if n < buf.len() {
                n += self.write_pages(fd, slot, ends, &buf[n..], n);
            }
            if n == 0 {
                n = self.write_once_more(fd, slot, ends, buf)?;
            }
            self.accept(fd, slot, ends, n);
            Ok(n)
        })
    }

    /// Counts `n` bytes that are in the stream.
    #[inline]
    pub(super) fn accept(&self, fd: Fd, slot: &Slot, ends: &mut Ends, n: usize) {
        ends.position += n as u64;
        ends.accepted += n as u64;
        slot.marks.set_accepted(ends.accepted);
        if !ends.watched {
            ends.watched = true;
            self.attend(fd.index(), slot, Attention::DIRTY);
        }
    }

    /// Copies into new pages, `ahead` bytes behind the position, until all is copied or the budget
    /// or the file's share is used up.
    #[cold]
    fn write_pages(&self, fd: Fd, slot: &Slot, ends: &mut Ends, buf: &[u8], ahead: usize) -> usize {
        let written = slot.marks.written();
        let mut copied = 0;
        let mut bits = Attention(0);
        while copied < buf.len() {
            match self.open_page(ends, written, ahead + copied, buf.len() - copied) {
                Room::Opened => bits = bits.and(Attention::SEALED),
                Room::ShareUsedUp => break,
                Room::BudgetUsedUp => {
                    bits = bits.and(Attention::WANT_ROOM);
                    break;
                }
            }
            let writer = ends.writer.as_mut().expect("checked by the caller");
            copied += writer.append(&buf[copied..]);
        }
        let writer = ends.writer.as_mut().expect("checked by the caller");
        if writer.room() == 0 {
            writer.seal();
        }
        if bits != Attention(0) {
            // The page mark has to be up before the driver looks: `accept` follows only later.
            slot.marks
                .set_accepted(ends.accepted + (ahead + copied) as u64);
            self.attend(fd.index(), slot, bits);
        }
        copied
    }

    /// Opens a page for `wanted` bytes that begin `ahead` bytes behind the position.
    pub(super) fn open_page(
        &self,
        ends: &mut Ends,
        written: u64,
        ahead: usize,
        wanted: usize,
    ) -> Room {
        if ends.accepted + ahead as u64 - written >= self.config.write_behind() as u64 {
            return Room::ShareUsedUp;
        }
        let order = ends.order.max(order_for(wanted));
        let Some(block) = self.pool.take_at_most(order.min(self.largest_order()), 0) else {
            return Room::BudgetUsedUp;
        };
        ends.order = (order + 2).min(SLAB_ORDER);
        let page = Page::open(block, ends.position + ahead as u64);
        let writer = ends.writer.as_mut().expect("checked by the caller");
        if writer.open(page).is_err() {
            unreachable!("the stream has no bound of its own");
        }
        Room::Opened
    }

    /// There was no room: an event is owed unless there is some now.
    #[cold]
    fn write_once_more(
        &self,
        fd: Fd,
        slot: &Slot,
        ends: &mut Ends,
        buf: &[u8],
    ) -> io::Result<usize> {
        slot.wait_for(Waiting::ROOM);
        let n = self.write_pages(fd, slot, ends, buf, 0);
        if n > 0 {
            slot.take_waiting(Waiting::ROOM);
            return Ok(n);
        }
        self.counters.writes_blocked.add(1);
        self.attend(fd.index(), slot, Attention::WANT_ROOM);
        Err(EAGAIN.into())
    }

    /// The largest page that one file may take: a quarter of its share.
    fn largest_order(&self) -> u8 {
        let share = (self.config.write_behind() / 4 / UNIT_BYTES).max(1);
        (share.ilog2() as u8).min(SLAB_ORDER)
    }
}
