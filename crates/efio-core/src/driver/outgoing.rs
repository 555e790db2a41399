//! The write side of a file in the driver: the write stream, the bytes that wait for the kernel,
//! and the plan of its writes. It is created by the first byte, and dropped when the file is
//! parked.

use crate::caller::Lost;
use crate::fd::Slot;
use crate::page::{Page, PageSlice, UNIT_BYTES};
use crate::plan::{ParkedWrite, Pending, WriteBehind, WriteRange};
use efio_chunks::ChunkReader;
use std::collections::VecDeque;

/// The maximum of bytes in one write.
const MAX_WRITE: usize = 8 << 20;
/// The maximum of pages in one write: what one system call takes.
const MAX_SLICES: usize = crate::sys::file::MAX_SLICES;

/// The driver's end of the write stream, and the plan that writes it.
pub struct Outgoing {
    /// Decides what to write.
    pub plan: WriteBehind,
    /// From when the caller has put it in the slot.
    stream: Option<Box<ChunkReader<Page>>>,
    /// Published bytes that wait for the kernel, oldest first.
    queue: VecDeque<PageSlice>,
    /// Bytes moved from the write stream to the queue so far.
    collected: u64,
    append: bool,
    /// The lost bytes are handed over to the caller.
    lost_taken: bool,
}

impl Outgoing {
    /// Unparks the write side. Fewer bytes than `small` go to the page cache.
    pub fn new(append: bool, small: Option<u64>, parked: ParkedWrite) -> Self {
        let mut plan = WriteBehind::new(append, MAX_WRITE);
        plan.unpark(parked);
        if let Some(small) = small {
            plan.cache_below(small);
        }
        Self {
            plan,
            stream: None,
            queue: VecDeque::new(),
            collected: parked.written(),
            append,
            lost_taken: false,
        }
    }

    /// Returns what to unpark from later, if everything that was accepted is written and no flush
    /// or sync is pending.
    pub fn park(&self) -> Option<ParkedWrite> {
        self.plan.park().filter(|_| self.queue.is_empty())
    }

    /// Moves accepted bytes from the stream to the queue:
    ///
    /// 1. whole pages;
    /// 2. the filled part of the open page, if it is due;
    /// 3. in append mode the filled part of the open page after a whole one: so a write ends where
    ///    a call ended, and another process that appends cannot tear a line across two pages.
    pub fn collect(&mut self, slot: &Slot, accepted: u64) {
        if self.stream.is_none() {
            self.stream = slot.take_writes();
        }
        let Some(stream) = &mut self.stream else {
            return;
        };
        let mut open_too = self.plan.due() > self.collected;
        while let Some(chunk) = stream.front() {
            // The stream may be ahead of the mark, which the caller raises last.
            let left =
                usize::try_from(accepted.saturating_sub(self.collected)).unwrap_or(usize::MAX);
            let (start, len) = (chunk.offset(), chunk.bytes().len().min(left));
            if len == 0 || !(chunk.is_sealed() || open_too) {
                return;
            }
            // SAFETY: the stream published these bytes, and a stream never changes what it has
            // published; the slice keeps the page alive.
            let slice = unsafe { PageSlice::new(chunk.chunk().clone(), start, len) };
            open_too |= self.append && chunk.is_sealed();
            stream.consume(len);
            self.collected += len as u64;
            // One slice per page, so that direct IO finds its memory aligned.
            let slice = match self.queue.back_mut() {
                Some(last) => last.extend(slice).err(),
                None => Some(slice),
            };
            self.queue.extend(slice);
        }
    }

    /// Advances the stream to `mark`: sequenced ops fill the sequence up to there.
    pub fn skip_to(&mut self, mark: u64) {
        // After a failure everything was collected to find what is lost.
        self.collected = self.collected.max(mark);
        self.plan.skip_to(mark);
    }

    /// Returns the lowest file offset of the bytes that wait for the kernel; in append mode their
    /// first place in the sequence.
    pub fn lowest_queued(&mut self, slot: &Slot) -> Option<u64> {
        self.plan.flush(u64::MAX);
        self.collect(slot, u64::MAX);
        self.queue.iter().map(PageSlice::offset).min()
    }

    /// Takes all accepted bytes that the kernel did not take, once, after a failure and with no
    /// write in flight. The caller's end of the stream has sealed its open page.
    pub fn take_lost(&mut self, slot: &Slot) -> Option<Box<Lost>> {
        if self.lost_taken
            || self.plan.cache_mode_in_flight().is_some()
            || self.plan.failure().is_none()
        {
            return None;
        }
        self.lost_taken = true;
        self.collect(slot, u64::MAX);
        Some(Box::new(Lost {
            slices: std::mem::take(&mut self.queue),
        }))
    }

    /// Returns the bytes at the head of the queue that can go in one write.
    pub fn pending(&self) -> Option<Pending> {
        let offset = self.queue.front()?.offset();
        let mut len = 0;
        let mut complete = false;
        for slice in &self.queue {
            let end = offset + len;
            // At another offset, or a page that does not begin at a block boundary.
            let apart = slice.offset() != end || end % UNIT_BYTES as u64 != 0;
            if !self.append && len > 0 && apart {
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

    /// Returns the memory of a write; the queue keeps it until the write completes.
    pub fn slices(&self, range: WriteRange) -> Vec<PageSlice> {
        let mut left = range.len as usize;
        let mut slices = Vec::new();
        for slice in self.queue.iter().take(MAX_SLICES) {
            let part = slice.first(slice.len().min(left));
            left -= part.len();
            slices.push(part);
            if left == 0 {
                break;
            }
        }
        slices
    }

    /// Releases the memory of the first `n` bytes: the kernel took them.
    pub fn wrote(&mut self, mut n: usize) {
        while n > 0 {
            let Some(slice) = self.queue.front_mut() else {
                unreachable!("the kernel wrote more than it was given")
            };
            let part = slice.len().min(n);
            slice.advance(part);
            n -= part;
            if slice.is_empty() {
                self.queue.pop_front();
            }
        }
    }
}
