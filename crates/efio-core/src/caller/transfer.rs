//! Transfers: lend pages that were read, receive from a socket into the open page, and move a page
//! from one file's stream to another's. No code of the program runs under the file's lock.
//!
//! ```text
//!  lend ──► slices of the first pages ─ written to a socket, without the lock ─► return_loan(n)
//!  receive: recv(2) directly into the open page
//!  take_page ──► the first page, out of the read stream ─► give_page: into a write stream
//! ```

use super::position::Need;
use super::write::Room;
use super::{EBADF, EINVAL, Locked};
use crate::error::Errno;
use crate::fd::{Interest, Notify, Requests, RunBy};
use crate::page::{Page, PageSlice};
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

impl Locked<'_> {
    /// Lends up to `most` bytes in up to `pages` pages from the position on, and does not move it.
    pub fn lend(&mut self, pages: usize, most: usize, notify: Notify<'_>) -> io::Result<Loan> {
        let slices = self.run_for_transfer(notify, |reader| (0, slices_of(reader, pages, most)))?;
        Ok(Loan {
            slices: slices.unwrap_or_default(),
            epoch: self.state.epoch,
            position: self.state.position,
        })
    }

    /// Returns a loan of which `n` bytes were used, at least one: the position moves over them.
    pub fn return_loan(&mut self, loan: Loan, n: usize) -> io::Result<()> {
        let Loan {
            slices,
            epoch,
            position,
        } = loan;
        // Before the driver is notified that a page is free.
        drop(slices);
        if (self.state.epoch, self.state.position) != (epoch, position) {
            // Another call read or moved the position meanwhile.
            return Err(Errno(libc::EBUSY).into());
        }
        if !self.state.reading {
            // The driver reclaimed the run: the next one starts after what was used.
            self.state.position += n as u64;
            return Ok(());
        }
        self.run_for_transfer(Notify::Event, |reader| (reader.consume(n), ()))?;
        Ok(())
    }

    /// Takes the first page out of the stream, or at most `most` bytes of it; the position moves
    /// over them. `None` at the end of file.
    pub fn take_page(&mut self, most: usize) -> io::Result<Option<PageSlice>> {
        self.run_for_transfer(Notify::Event, |reader| {
            let slice = slices_of(reader, 1, most).pop().expect("there is a page");
            (reader.consume(slice.len()), slice)
        })
    }

    /// Accepts bytes of another file: their page goes into the write stream as it is, if its memory
    /// is aligned like the file offset; else they are copied. Returns how many were accepted, and
    /// removes them from `held`.
    pub fn give_page(&mut self, held: &mut Option<PageSlice>) -> io::Result<usize> {
        if let Some(n) = self.adopt(held)? {
            return Ok(n);
        }
        let Some(bytes) = held else { return Ok(0) };
        let n = self.write(bytes.as_slice(), Notify::Event)?;
        bytes.advance(n);
        if bytes.is_empty() {
            *held = None;
        }
        Ok(n)
    }

    /// Attempts to accept the page without a copy; `None` when the bytes have to be copied.
    fn adopt(&mut self, held: &mut Option<PageSlice>) -> io::Result<Option<usize>> {
        let len = held.as_ref().map_or(0, PageSlice::len);
        self.state.check_write(self.slot, len)?;
        self.wait_for_share()?;
        let Some(bytes) = held.take() else {
            return Ok(None);
        };
        let page = match bytes.into_page(self.state.next_seq(self.slot)) {
            Ok(page) => page,
            Err(bytes) => {
                *held = Some(bytes);
                return Ok(None);
            }
        };
        if self.state.writer(self.slot).push(page).is_err() {
            unreachable!("the stream has no bound of its own");
        }
        self.end_run();
        self.accept(len, Notify::Event);
        self.request(Requests::SEALED);
        Ok(Some(len))
    }

    /// Returns `Ok` if the file may have more bytes unwritten; else registers for a Writable event.
    fn wait_for_share(&mut self) -> io::Result<()> {
        let share = self.shared.config.write_behind() as u64;
        let (bit, bits) = (Interest::ROOM, Requests::WANT_ROOM);
        let result = self.check_or_register(bit, bits, Notify::Event, |file| {
            (file.unwritten() < share).then_some(Ok(()))
        });
        if result.is_err() {
            self.count_blocked_write();
        }
        result
    }

    /// Receives up to `most` bytes, at least one, from a socket directly into the open page, with
    /// one `recv(2)`. Adds its time to `in_socket`.
    pub fn receive(
        &mut self,
        from: BorrowedFd<'_>,
        most: usize,
        in_socket: &mut Duration,
    ) -> io::Result<Received> {
        self.state.check_write(self.slot, 0)?;
        let most = most.min((i64::MAX as u64 - self.state.position) as usize);
        if most == 0 {
            return Err(EINVAL.into());
        }
        if !self.has_open_page(most) {
            return Ok(Received::NoRoom);
        }
        let writer = self.state.writer(self.slot);
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
        self.end_run();
        self.accept(n, Notify::Event);
        if is_full {
            self.request(Requests::SEALED);
        }
        Ok(Received::Bytes(n))
    }

    /// Returns whether there is a page with room; else registers for a Writable event.
    fn has_open_page(&mut self, wanted: usize) -> bool {
        if self.state.room() > 0 {
            return true;
        }
        let wanted = wanted.min(FIRST_PAGE);
        let (bit, bits) = (Interest::ROOM, Requests::WANT_ROOM);
        let opened = self.check_or_register(bit, bits, Notify::Event, |file| {
            let written = file.slot.marks.written();
            matches!(file.open_page(written, 0, wanted), Room::Opened).then_some(Ok(()))
        });
        if opened.is_ok() {
            self.request(Requests::SEALED);
        } else {
            self.count_blocked_write();
        }
        opened.is_ok()
    }

    /// Runs `take` on the run at the position; starts one if there is none. `None` at the end of
    /// file.
    fn run_for_transfer<R>(
        &mut self,
        notify: Notify<'_>,
        mut take: impl FnMut(&mut ChunkReader<Page>) -> (usize, R),
    ) -> io::Result<Option<R>> {
        if !self.state.may_read {
            return Err(EBADF.into());
        }
        if self.is_at_end(notify, Need::Read)? {
            return Ok(None);
        }
        if !self.state.reading {
            self.begin_run(RunBy::Call)?;
        }
        let mut answer = None;
        self.read_run(notify, |state, slot| {
            let (front, stale) = state.drop_stale();
            if front == 0 {
                return (0, stale);
            }
            let (n, taken) = take(state.reader().expect("it has a chunk"));
            answer = Some(taken);
            state.advance(slot, n);
            (front, stale || n >= front)
        })?;
        if answer.is_none() {
            // As in `read`: the next call starts a new run.
            self.state.reading = false;
            self.slot.take_run_end()?;
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
