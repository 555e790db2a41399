//! The state that is kept of an idle read side until the next run.

use super::ReadAhead;

/// The read side of an idle file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParkedRead {
    size_hint: u64,
    epoch: u32,
}

impl ParkedRead {
    /// Creates the state of a file that is being opened.
    pub fn new() -> Self {
        Self {
            size_hint: 0,
            epoch: 0,
        }
    }

    /// See [`ReadAhead::handle_resized`].
    pub fn resized(&mut self, size: u64) {
        self.size_hint = size;
    }

    /// Returns the epoch of the last run.
    pub fn epoch(&self) -> u32 {
        self.epoch
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
        }
    }

    /// Restores the state in a new plan, without a run.
    pub fn unpark(&mut self, parked: ParkedRead) {
        self.size_hint = parked.size_hint;
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
    use crate::plan::IoCaps;

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
        parked.resized(0);
        let mut plan = unparked(parked);
        plan.start(7, 100);
        assert!(!plan.is_over());
        // The file is 90 bytes longer than the size hint.
        let read = plan.poll_read(u64::MAX, IoCaps::CACHED).unwrap();
        plan.submitted(read);
        plan.handle_read(read.number, (), Ok(90));
        assert!(matches!(
            plan.poll_delivery(),
            Some(Delivered::Data { len: 90, .. })
        ));
        let read = plan.poll_read(u64::MAX, IoCaps::CACHED).unwrap();
        plan.submitted(read);
        plan.handle_read(read.number, (), Ok(0));
        assert_eq!(plan.poll_delivery(), Some(Delivered::End(Ok(()))));
        assert!(plan.is_over());

        let parked = plan.park();
        assert_eq!(parked.epoch(), 7);
        let mut plan = unparked(parked);
        let no_read = plan.poll_read(u64::MAX, IoCaps::CACHED);
        assert_eq!((plan.epoch(), no_read), (7, None), "no run");
        plan.start(8, 0);
        let read = plan.poll_read(u64::MAX, IoCaps::CACHED).unwrap();
        assert_eq!(read.len, 190);
    }
}
