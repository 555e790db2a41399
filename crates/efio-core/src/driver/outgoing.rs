//! What a file has on its way to the disk. It is there from the first byte on, and gone again when
//! the file rests.

use crate::caller::Lost;
use crate::fd::Slot;
use crate::page::{Page, PageSlice, UNIT_BYTES};
use crate::plan::{ParkedWrite, Pending, WriteBehind, WriteRange};
use efio_chunks::ChunkReader;
use std::collections::VecDeque;

/// The most bytes in one write.
const MAX_WRITE: usize = 8 << 20;
/// The most pages in one write: what one system call takes.
const MAX_SLICES: usize = crate::sys::file::MAX_SLICES;

/// The driver's end of the write stream, and what becomes of the bytes.
pub struct Outgoing {
    /// What goes to disk.
    pub plan: WriteBehind,
    /// Once the caller has left it.
    stream: Option<Box<ChunkReader<Page>>>,
    /// Published bytes that wait for the kernel, oldest first.
    queue: VecDeque<PageSlice>,
    /// Bytes taken out of the write stream so far.
    collected: u64,
    append: bool,
    /// What was lost is with the caller.
    lost_taken: bool,
}

impl Outgoing {
    /// Goes on from `rest`. Fewer bytes than `small` are for the page cache.
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

    /// What to go on from later, if everything that was accepted is written and nothing asked for.
    pub fn park(&self) -> Option<ParkedWrite> {
        self.plan.park().filter(|_| self.queue.is_empty())
    }

    /// Moves accepted bytes from the stream to the queue: whole pages, and the open one as far as
    /// it goes if it is due. In append mode the open one goes along with a whole one: what is taken
    /// then ends where a call of the caller ended, and a line that lies across two pages is not
    /// torn by somebody else who appends.
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

    /// Positional changes fill the sequence up to `mark`.
    pub fn skip_to(&mut self, mark: u64) {
        // After a failure the rest was collected to tell what is lost.
        self.collected = self.collected.max(mark);
        self.plan.skip_to(mark);
    }

    /// The lowest file offset of the bytes that wait for the kernel; in append mode their first place.
    pub fn lowest_queued(&mut self, slot: &Slot) -> Option<u64> {
        self.plan.flush(u64::MAX);
        self.collect(slot, u64::MAX);
        self.queue.iter().map(PageSlice::offset).min()
    }

    /// All accepted bytes that the kernel did not take, after a failure, once no write is in flight.
    /// The caller's end of the stream has sealed its open page.
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

    /// The bytes at the head of the queue that can go in one write.
    pub fn pending(&self) -> Option<Pending> {
        let offset = self.queue.front()?.offset();
        let mut len = 0;
        let mut complete = false;
        for slice in &self.queue {
            let end = offset + len;
            // Elsewhere in the file, or a page that does not begin at a block boundary.
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

    /// The memory of a cut; the queue keeps it until the write is done.
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

    /// The kernel took `n` bytes: their memory is free.
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
