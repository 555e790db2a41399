//! The write side of a file in the driver: the write stream, the bytes that wait for the kernel,
//! and the plan of its writes. Stream and queue are created by the first byte, and dropped when the
//! file is idle.

use crate::error::Failure;
use crate::fd::{CallerState, Lost, Slot};
use crate::page::{Page, PageSlice, UNIT_BYTES};
use crate::plan::{IoCaps, Pending, WriteBehind, WriteLimits, WriteRange};
use efio_chunks::ChunkReader;
use std::collections::VecDeque;

/// The maximum of bytes in one write.
const MAX_WRITE: u64 = 8 << 20;
/// The maximum of pages in one write: what one system call takes.
const MAX_SLICES: usize = crate::sys::file::MAX_SLICES;

/// The write side of a file.
pub struct Outgoing {
    /// Decides what to write.
    pub plan: WriteBehind<Queue>,
}

/// The driver's end of the write stream, and what it took out of it.
#[derive(Default)]
pub struct Queue {
    /// From when the caller has put it in the slot.
    stream: Option<Box<ChunkReader<Page>>>,
    /// Published bytes that wait for the kernel, oldest first.
    slices: VecDeque<PageSlice>,
    /// How many.
    bytes: u64,
    /// The lost bytes are handed over to the caller.
    lost_taken: bool,
}

impl Outgoing {
    /// Creates the write side of a file that is being opened.
    pub fn new(append: bool) -> Self {
        Self {
            plan: WriteBehind::new(append),
        }
    }

    /// Drops the queue and both ends of the stream, if no flush or sync is pending. All accepted
    /// bytes are written.
    pub fn park(&mut self, slot: &Slot, caller: &mut CallerState) {
        if self.plan.park() {
            caller.drop_writer(slot);
        }
    }

    /// Moves accepted bytes from the stream to the queue:
    ///
    /// 1. whole pages;
    /// 2. the filled part of the open page, if it is due;
    /// 3. in append mode the filled part of the open page after a whole one: so a write ends where
    ///    a call ended, and another process that appends cannot tear a line across two pages.
    fn collect(&mut self, slot: &Slot, accepted: u64) {
        let (written, due) = (self.plan.written(), self.plan.due());
        let append = self.plan.appends();
        let queue = self.plan.queue();
        if queue.stream.is_none() {
            queue.stream = slot.take_writes();
        }
        let Some(stream) = &mut queue.stream else {
            return;
        };
        let mut open_too = due > written + queue.bytes;
        while let Some(chunk) = stream.front() {
            // The stream may be ahead of the mark, which the caller raises last.
            let left = accepted.saturating_sub(written + queue.bytes);
            let left = usize::try_from(left).unwrap_or(usize::MAX);
            let (start, len) = (chunk.offset(), chunk.bytes().len().min(left));
            if len == 0 || !(chunk.is_sealed() || open_too) {
                return;
            }
            // SAFETY: the stream published these bytes, and a stream never changes what it has
            // published; the slice keeps the page alive.
            let slice = unsafe { PageSlice::new(chunk.chunk().clone(), start, len) };
            open_too |= append && chunk.is_sealed();
            stream.consume(len);
            queue.bytes += len as u64;
            // One slice per page, so that direct IO finds its memory aligned.
            let slice = match queue.slices.back_mut() {
                Some(last) => last.extend(slice).err(),
                None => Some(slice),
            };
            queue.slices.extend(slice);
        }
    }

    /// Returns the lowest file offset of the bytes that wait for the kernel; in append mode their
    /// first place in the sequence.
    pub fn lowest_queued(&mut self, slot: &Slot) -> Option<u64> {
        self.plan.flush(u64::MAX);
        self.collect(slot, u64::MAX);
        let queue = self.plan.queue();
        queue.slices.iter().map(PageSlice::offset).min()
    }

    /// Takes all accepted bytes that the kernel did not take, once, after a failure and with no
    /// write in flight. The caller's end of the stream has sealed its open page.
    pub fn take_lost(&mut self, slot: &Slot) -> Option<Box<Lost>> {
        if self.plan.failure().is_none()
            || self.plan.is_write_in_flight()
            || std::mem::replace(&mut self.plan.queue().lost_taken, true)
        {
            return None;
        }
        self.collect(slot, u64::MAX);
        let queue = self.plan.queue();
        queue.bytes = 0;
        Some(Box::new(Lost {
            slices: std::mem::take(&mut queue.slices),
        }))
    }

    /// Returns the next write with its memory, of which the queue keeps a part of its own until the
    /// write completes. Only the first `accepted` bytes of the stream may be written.
    pub fn poll_write(
        &mut self,
        slot: &Slot,
        accepted: u64,
        io_caps: IoCaps,
        small: u64,
    ) -> Option<(WriteRange, Vec<PageSlice>)> {
        self.collect(slot, accepted);
        let append = self.plan.appends();
        let pending = self.plan.queue().pending(append)?;
        let limits = WriteLimits {
            max_write: MAX_WRITE,
            small,
        };
        let range = self.plan.poll_write(pending, io_caps, limits)?;
        Some((range, self.plan.queue().slices(range)))
    }

    /// Handles the completion of the write in flight with `n` bytes, whose memory is released.
    pub fn handle_written(&mut self, n: usize) -> Result<(), Failure> {
        self.plan.queue().remove(n);
        self.plan.handle_written(n as u64)
    }
}

impl Queue {
    /// Returns the bytes at the head of the queue that can go in one write.
    fn pending(&self, append: bool) -> Option<Pending> {
        let offset = self.slices.front()?.offset();
        let mut len = 0;
        let mut complete = false;
        for slice in &self.slices {
            let end = offset + len;
            // At another offset, or a page that does not begin at a block boundary.
            let apart = slice.offset() != end || end % UNIT_BYTES as u64 != 0;
            if !append && len > 0 && apart {
                complete = true;
                break;
            }
            len += slice.len() as u64;
        }
        Some(Pending {
            offset,
            len,
            complete,
        })
    }

    /// Returns the memory of a write.
    fn slices(&self, range: WriteRange) -> Vec<PageSlice> {
        let mut left = range.len as usize;
        let mut slices = Vec::new();
        for slice in self.slices.iter().take(MAX_SLICES) {
            let part = slice.first(slice.len().min(left));
            left -= part.len();
            slices.push(part);
            if left == 0 {
                break;
            }
        }
        slices
    }

    /// Removes the first `n` bytes: the kernel took them.
    fn remove(&mut self, mut n: usize) {
        self.bytes -= n as u64;
        while n > 0 {
            let Some(slice) = self.slices.front_mut() else {
                unreachable!("the kernel wrote more than it was given")
            };
            let part = slice.len().min(n);
            slice.advance(part);
            n -= part;
            if slice.is_empty() {
                self.slices.pop_front();
            }
        }
    }
}
