//! What stays of a read side that nobody reads from, until the next run.

use super::ReadAhead;
use crate::op::CacheMode;

/// The read side of a file at rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParkedRead {
    size_hint: u64,
    epoch: u32,
    dio_align: u32,
    buffered: CacheMode,
}

impl ParkedRead {
    /// A file that is being opened.
    pub fn new() -> Self {
        Self {
            size_hint: 0,
            epoch: 0,
            dio_align: 0,
            buffered: CacheMode::Cached,
        }
    }

    /// The file is open; see [`ReadAhead::opened`].
    pub fn opened(&mut self, buffered: CacheMode, dio_align: u32, size: u64) {
        self.buffered = buffered;
        self.dio_align = dio_align;
        self.size_hint = size;
    }

    /// The file was made `size` bytes long.
    pub fn resized(&mut self, size: u64) {
        self.size_hint = size;
    }

    /// The run before the rest.
    pub fn epoch(&self) -> u32 {
        self.epoch
    }

    /// See [`ReadAhead::is_cached`].
    pub fn is_cached(&self) -> bool {
        self.dio_align <= 1 && self.buffered == CacheMode::Cached
    }
}

impl<P> ReadAhead<P> {
    /// What to go on from later. Only once no read is in flight: numbers begin anew.
    pub fn park(&self) -> ParkedRead {
        debug_assert!(self.requests.is_empty(), "no read is in flight");
        ParkedRead {
            size_hint: self.size_hint,
            epoch: self.epoch,
            // It came as one of these.
            dio_align: self.dio_align as u32,
            buffered: self.buffered,
        }
    }

    /// Goes on from there, in a plan that is new: the next run is another one.
    pub fn unpark(&mut self, parked: ParkedRead) {
        self.handle_opened(parked.buffered, parked.dio_align, parked.size_hint);
        self.epoch = parked.epoch;
    }

    /// Whether nothing more comes of the current run.
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
        // The kernel refuses direct IO, and the file has 90 bytes more than it was told to have.
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
            "nobody reads"
        );
        plan.start(8, 0);
        let read = plan.poll_read(u64::MAX).unwrap();
        assert_eq!((read.cache_mode, read.len), (CacheMode::Uncached, 190));
    }
}
