//! The state that is kept of an idle read side until the next run.

use super::ReadAhead;
use crate::op::CacheMode;

/// The read side of an idle file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParkedRead {
    size_hint: u64,
    epoch: u32,
    /// The alignment of direct IO, and whether buffered reads are uncached, in one word: an idle
    /// file is small.
    io: u32,
}

/// The bit of `ParkedRead::io` for uncached reads. An alignment is at most a slab.
const UNCACHED: u32 = 1 << 31;

impl ParkedRead {
    /// Creates the state of a file that is being opened.
    pub fn new() -> Self {
        Self {
            size_hint: 0,
            epoch: 0,
            io: 0,
        }
    }

    /// Handles the open of the file; see [`ReadAhead::handle_opened`].
    pub fn opened(&mut self, buffered: CacheMode, dio_align: u32, size: u64) {
        self.io = pack(buffered, dio_align);
        self.size_hint = size;
    }

    /// Handles a truncation of the file to `size` bytes.
    pub fn resized(&mut self, size: u64) {
        self.size_hint = size;
    }

    /// Returns the epoch of the last run.
    pub fn epoch(&self) -> u32 {
        self.epoch
    }

    /// See [`ReadAhead::is_cached`].
    pub fn is_cached(&self) -> bool {
        self.dio_align() <= 1 && self.buffered() == CacheMode::Cached
    }

    fn dio_align(&self) -> u32 {
        self.io & !UNCACHED
    }

    fn buffered(&self) -> CacheMode {
        match self.io & UNCACHED {
            0 => CacheMode::Cached,
            _ => CacheMode::Uncached,
        }
    }
}

fn pack(buffered: CacheMode, dio_align: u32) -> u32 {
    debug_assert!(dio_align < UNCACHED);
    match buffered {
        CacheMode::Cached => dio_align,
        CacheMode::Uncached => dio_align | UNCACHED,
        CacheMode::Direct => unreachable!("buffered reads are not direct"),
    }
}

impl<P> ReadAhead<P> {
    /// Returns what to unpark from later. Only while no read is in flight: the numbers of requests
    /// start again.
    pub fn park(&self) -> ParkedRead {
        debug_assert!(self.requests.is_empty(), "no read is in flight");
        ParkedRead {
            size_hint: self.size_hint,
            epoch: self.epoch,
            // It came as a `u32`.
            io: pack(self.buffered, self.dio_align as u32),
        }
    }

    /// Restores the state in a new plan, without a run.
    pub fn unpark(&mut self, parked: ParkedRead) {
        self.handle_opened(parked.buffered(), parked.dio_align(), parked.size_hint);
        self.epoch = parked.epoch;
    }

    /// Returns whether the current run delivers nothing more.
    pub fn is_over(&self) -> bool {
        !self.running
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Delivered, ReadLimits};
    use super::*;
    use crate::error::Errno;

    fn unparked(parked: ParkedRead) -> ReadAhead<()> {
        let mut plan = ReadAhead::new(ReadLimits {
            window: 8 << 20,
            first_order: 4,
            most_order: 9,
        });
        plan.unpark(parked);
        plan
    }

    #[test]
    fn park_and_unpark_keep_the_state() {
        let mut parked = ParkedRead::new();
        parked.opened(CacheMode::Uncached, 4096, 0);
        let mut plan = unparked(parked);
        plan.start(7, 100);
        assert!(!plan.is_over());
        let read = plan.poll_read(u64::MAX).unwrap();
        assert_eq!(read.cache_mode, CacheMode::Direct);
        plan.submitted(read);
        // The kernel refuses direct IO, and the file is 90 bytes longer than the size hint.
        plan.handle_read(read.number, (), Err(Errno(libc::EINVAL)));
        assert_eq!(plan.poll_delivery(), Some(Delivered::FellBack));
        let read = plan.poll_read(u64::MAX).unwrap();
        plan.submitted(read);
        plan.handle_read(read.number, (), Ok(90));
        assert!(matches!(
            plan.poll_delivery(),
            Some(Delivered::Data { len: 90, .. })
        ));
        let read = plan.poll_read(u64::MAX).unwrap();
        plan.submitted(read);
        plan.handle_read(read.number, (), Ok(0));
        assert_eq!(plan.poll_delivery(), Some(Delivered::End(Ok(()))));
        assert!(plan.is_over());

        let parked = plan.park();
        assert_eq!(parked.epoch(), 7);
        let mut plan = unparked(parked);
        assert_eq!(
            (plan.epoch(), plan.poll_read(u64::MAX)),
            (7, None),
            "no run"
        );
        plan.start(8, 0);
        let read = plan.poll_read(u64::MAX).unwrap();
        assert_eq!((read.cache_mode, read.len), (CacheMode::Uncached, 190));
    }
}
