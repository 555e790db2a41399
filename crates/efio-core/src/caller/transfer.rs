//! Transfers: lend pages that were read, receive from a socket into the open page, and move a page
//! from one file's stream to another's. No code of the program runs under the file's lock.
//!
//! ```text
//!  lend ──► slices of the first pages ─ written to a socket, without the lock ─► return_loan(n)
//!  receive: recv(2) directly into the open page
//!  take_page ──► the first page, out of the read stream ─► give_page: into a write stream
//! ```

use super::position::Need;
use super::read::{begin_run, drop_stale, end_run};
use super::write::{Room, check_write};
use super::{EAGAIN, EBADF, EINVAL};
use crate::error::Errno;
use crate::fd::{CallerState, Fd, Interest, Notify, Requests, Slot};
use crate::page::{Page, PageSlice};
use crate::shared::Shared;
use crate::sys::socket;
use efio_chunks::ChunkReader;
use std::io;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

/// The first page of a stream has room for this many bytes, if memory allows.
const FIRST_PAGE: usize = 64 << 10;

/// Pages on loan from the read stream of a file: they stay in the stream meanwhile.
#[derive(Debug)]
pub struct Loan {
    slices: Vec<PageSlice>,
    epoch: u32,
    position: u64,
}

impl Loan {
    /// Returns the bytes, in order; none at the end of file.
    pub fn slices(&self) -> &[PageSlice] {
        &self.slices
    }
}

/// The outcome of a receive.
pub enum Received {
    /// That many bytes are accepted.
    Bytes(usize),
    /// The peer sends no more.
    End,
    /// The socket has nothing now.
    Nothing,
    /// The file has no room; a Writable event follows.
    NoRoom,
}

impl Shared {
    /// Lends up to `most` bytes in up to `pages` pages from the position on, and does not move it.
    pub fn lend(&self, fd: Fd, pages: usize, most: usize, notify: Notify<'_>) -> io::Result<Loan> {
        let end = || Loan {
            slices: Vec::new(),
            epoch: 0,
            position: 0,
        };
        self.at_position(fd, notify, Some(Need::Read), end, |slot, caller| {
            let slices = self.run_for_transfer(fd, slot, caller, notify, |reader| {
                (0, slices_of(reader, pages, most))
            })?;
            Ok(Loan {
                slices: slices.unwrap_or_default(),
                epoch: caller.epoch,
                position: caller.position,
            })
        })
    }

    /// Returns a loan of which `n` bytes were used: the position moves over them.
    pub fn return_loan(&self, fd: Fd, loan: Loan, n: usize) -> io::Result<()> {
        let Loan {
            slices,
            epoch,
            position,
        } = loan;
        // Before the driver is notified that a page is free.
        drop(slices);
        if n == 0 {
            return Ok(());
        }
        self.with_file(fd, |slot, caller| {
            if (caller.epoch, caller.position) != (epoch, position) {
                // Another call read or moved the position meanwhile.
                return Err(Errno(libc::EBUSY).into());
            }
            if !caller.reading {
                // The driver reclaimed the run: the next one starts after what was used.
                caller.position += n as u64;
                return Ok(());
            }
            self.run_for_transfer(fd, slot, caller, Notify::Event, |reader| {
                (reader.consume(n), ())
            })?;
            Ok(())
        })
    }

    /// Takes the first page out of the stream, or at most `most` bytes of it; the position moves
    /// over them. `None` at the end of file.
    pub fn take_page(&self, fd: Fd, most: usize) -> io::Result<Option<PageSlice>> {
        let (notify, end) = (Notify::Event, || None);
        self.at_position(fd, notify, Some(Need::Read), end, |slot, caller| {
            self.run_for_transfer(fd, slot, caller, notify, |reader| {
                let slice = slices_of(reader, 1, most).pop().expect("there is a page");
                (reader.consume(slice.len()), slice)
            })
        })
    }

    /// Accepts bytes of another file: their page goes into the write stream as it is, if its memory
    /// is aligned like the file offset; else they are copied. Returns how many were accepted, and
    /// removes them from `held`.
    pub fn give_page(&self, fd: Fd, held: &mut Option<PageSlice>) -> io::Result<usize> {
        if let Some(n) = self.with_file(fd, |slot, caller| self.adopt(fd, slot, caller, held))? {
            return Ok(n);
        }
        let Some(bytes) = held else { return Ok(0) };
        let n = self.write(fd, bytes.as_slice())?;
        bytes.advance(n);
        if bytes.is_empty() {
            *held = None;
        }
        Ok(n)
    }

    /// Attempts to accept the page without a copy; `None` when the bytes have to be copied.
    fn adopt(
        &self,
        fd: Fd,
        slot: &Slot,
        caller: &mut CallerState,
        held: &mut Option<PageSlice>,
    ) -> io::Result<Option<usize>> {
        let len = held.as_ref().map_or(0, PageSlice::len);
        check_write(slot, caller, len)?;
        self.wait_for_share(fd, slot)?;
        let page = match held
            .take()
            .map(|bytes| bytes.into_page(caller.next_seq(slot)))
        {
            Some(Ok(page)) => page,
            Some(Err(bytes)) => {
                *held = Some(bytes);
                return Ok(None);
            }
            None => return Ok(None),
        };
        if caller.writer(slot).push(page).is_err() {
            unreachable!("the stream has no bound of its own");
        }
        if caller.reading && end_run(caller) {
            self.request(fd.index(), slot, Requests::CONSUMED);
        }
        self.accept(fd, slot, caller, len, Notify::Event);
        self.request(fd.index(), slot, Requests::SEALED);
        Ok(Some(len))
    }

    /// Returns `Ok` if the file may have more bytes unwritten; else registers for a Writable event.
    fn wait_for_share(&self, fd: Fd, slot: &Slot) -> io::Result<()> {
        let share = self.config.write_behind() as u64;
        let is_used_up = || slot.marks.accepted() - slot.marks.written() >= share;
        if !is_used_up() {
            return Ok(());
        }
        let registration = slot.register(Interest::ROOM, Notify::Event);
        if is_used_up() {
            self.counters.writes_blocked.add(1);
            slot.count(1, |stats| &mut stats.writes_blocked);
            self.request(fd.index(), slot, Requests::WANT_ROOM);
            return Err(EAGAIN.into());
        }
        slot.deregister(registration, Notify::Event);
        Ok(())
    }

    /// Receives up to `most` bytes, at least one, from a socket directly into the open page, with
    /// one `recv(2)`. Adds its time to `in_socket`.
    pub fn receive(
        &self,
        fd: Fd,
        from: BorrowedFd<'_>,
        most: usize,
        in_socket: &mut Duration,
    ) -> io::Result<Received> {
        self.with_file(fd, |slot, caller| {
            check_write(slot, caller, 0)?;
            let most = most.min((i64::MAX as u64 - caller.position) as usize);
            if most == 0 {
                return Err(EINVAL.into());
            }
            if !self.has_open_page(fd, slot, caller, most) {
                return Ok(Received::NoRoom);
            }
            let writer = caller.writer(slot);
            let room = writer.spare();
            let len = room.len().min(most);
            let started = Instant::now();
            let received = socket::receive(from, &mut room[..len]);
            *in_socket += started.elapsed();
            let n = match received {
                Ok(0) => return Ok(Received::End),
                Ok(n) => n,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Ok(Received::Nothing);
                }
                Err(error) => return Err(error),
            };
            // SAFETY: the kernel filled the first `n` bytes of the spare room.
            unsafe { writer.commit(n) };
            let is_full = writer.room() == 0;
            if is_full {
                writer.seal();
            }
            if caller.reading && end_run(caller) {
                self.request(fd.index(), slot, Requests::CONSUMED);
            }
            self.accept(fd, slot, caller, n, Notify::Event);
            if is_full {
                self.request(fd.index(), slot, Requests::SEALED);
            }
            Ok(Received::Bytes(n))
        })
    }

    /// Returns whether there is a page with room; else registers for a Writable event.
    fn has_open_page(&self, fd: Fd, slot: &Slot, caller: &mut CallerState, wanted: usize) -> bool {
        let mut registration = None;
        loop {
            if caller.room() > 0 {
                break;
            }
            match self.open_page(
                slot,
                caller,
                slot.marks.written(),
                0,
                wanted.min(FIRST_PAGE),
            ) {
                Room::Opened => {
                    self.request(fd.index(), slot, Requests::SEALED);
                    break;
                }
                Room::ShareUsedUp | Room::BudgetUsedUp if registration.is_some() => {
                    self.counters.writes_blocked.add(1);
                    slot.count(1, |stats| &mut stats.writes_blocked);
                    self.request(fd.index(), slot, Requests::WANT_ROOM);
                    return false;
                }
                Room::ShareUsedUp | Room::BudgetUsedUp => {
                    registration = Some(slot.register(Interest::ROOM, Notify::Event));
                }
            }
        }
        if let Some(registration) = registration {
            slot.deregister(registration, Notify::Event);
        }
        true
    }

    /// Runs `take` on the run at the position; starts one if there is none. `None` at the end of
    /// file.
    fn run_for_transfer<R>(
        &self,
        fd: Fd,
        slot: &Slot,
        caller: &mut CallerState,
        notify: Notify<'_>,
        mut take: impl FnMut(&mut ChunkReader<Page>) -> (usize, R),
    ) -> io::Result<Option<R>> {
        if !caller.may_read {
            return Err(EBADF.into());
        }
        if !caller.reading {
            begin_run(slot, caller)?;
        }
        let mut answer = None;
        self.read_run(fd, slot, caller, notify, |caller| {
            let Some(reader) = &mut caller.reader else {
                return (0, false);
            };
            let (front, stale) = drop_stale(reader, caller.epoch);
            if front == 0 {
                return (0, stale);
            }
            let (n, taken) = take(reader);
            answer = Some(taken);
            caller.position += n as u64;
            slot.set_consumed(slot.consumed() + n as u64);
            (front, stale || n >= front)
        })?;
        if answer.is_none() {
            // As in `read`: the next call starts a new run.
            caller.reading = false;
            slot.take_run_end()?;
        }
        Ok(answer)
    }
}

/// Returns up to `most` bytes of the first `pages` pages.
fn slices_of(reader: &ChunkReader<Page>, pages: usize, most: usize) -> Vec<PageSlice> {
    let mut left = most;
    let mut slices = Vec::with_capacity(pages);
    for chunk in reader.chunks().take(pages) {
        let len = chunk.bytes().len().min(left);
        if len == 0 {
            break;
        }
        left -= len;
        // SAFETY: the stream published these bytes and never changes them; the slice keeps the
        // page.
        slices.push(unsafe { PageSlice::new(chunk.chunk().clone(), chunk.offset(), len) });
    }
    slices
}
