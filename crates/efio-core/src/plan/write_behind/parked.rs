//! The state that is kept of an idle write side until the next write.

use super::WriteBehind;
/// No offset.
const NONE: u64 = u64::MAX;

/// The write side of an idle file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParkedWrite {
    written: u64,
    /// The lowest offset written since the last sync.
    unsynced_from: u64,
    name_pending: bool,
}

impl ParkedWrite {
    /// Creates the state of a file that is being opened.
    pub fn new() -> Self {
        Self {
            written: 0,
            unsynced_from: NONE,
            name_pending: false,
        }
    }

    /// Handles the open of the file; see [`WriteBehind::handle_opened`].
    pub fn opened(&mut self, is_new: bool) {
        self.name_pending = is_new;
    }

    /// Returns how many bytes the kernel has taken.
    pub fn written(&self) -> u64 {
        self.written
    }
}

impl WriteBehind {
    /// Returns what to unpark from later; `None` while anything is requested, in flight or lost.
    pub fn park(&self) -> Option<ParkedWrite> {
        let busy = self.in_flight.is_some() || self.sync.running.is_some();
        let asked = self.sync.wanted.is_some() || self.due > self.written;
        if busy || asked || self.failure.is_some() {
            return None;
        }
        Some(ParkedWrite {
            written: self.written,
            unsynced_from: self.sync.unsynced_from.unwrap_or(NONE),
            name_pending: self.sync.name_pending,
        })
    }

    /// Restores the state in a new plan.
    pub fn unpark(&mut self, parked: ParkedWrite) {
        self.written = parked.written;
        self.handle_opened(parked.name_pending);
        self.sync.unsynced_from = (parked.unsynced_from != NONE).then_some(parked.unsynced_from);
    }
}

#[cfg(test)]
mod tests {
    use super::super::Pending;
    use super::*;
    use crate::error::Errno;
    use crate::plan::IoCaps;

    const EIO: Errno = Errno(libc::EIO);

    fn unparked(append: bool, parked: ParkedWrite) -> WriteBehind {
        let mut plan = WriteBehind::new(append, 8 << 20);
        plan.unpark(parked);
        plan
    }

    fn opened(append: bool) -> WriteBehind {
        let mut parked = ParkedWrite::new();
        parked.opened(true);
        unparked(append, parked)
    }

    fn write(plan: &mut WriteBehind, offset: u64, len: u64) {
        plan.flush(plan.written() + len);
        let ready = Pending {
            offset,
            len,
            complete: true,
        };
        assert!(plan.poll_write(ready, IoCaps::CACHED).is_some());
        assert_eq!(plan.park(), None, "a write is in flight");
        assert_eq!(plan.handle_written(len), Ok(()));
    }

    #[test]
    fn park_and_unpark_keep_the_state() {
        let mut plan = opened(false);
        write(&mut plan, 700, 10);
        let mut plan = unparked(false, plan.park().expect("nothing to do"));
        assert_eq!(plan.written(), 10);
        plan.sync(10);
        assert_eq!(plan.park(), None, "a sync is asked for");
        assert_eq!(plan.poll_sync(), Some(true), "the name is not durable yet");
        assert_eq!(plan.park(), None, "a sync is in flight");
        let Err(failure) = plan.handle_sync_error(EIO) else {
            panic!("a failed sync fails the file");
        };
        assert_eq!(failure.offset, 700, "from before it was parked");
        assert_eq!(plan.park(), None, "a failure is never forgotten");
    }

    #[test]
    fn what_is_synced_stays_synced() {
        let mut plan = opened(true);
        write(&mut plan, 0, 10);
        plan.sync(10);
        assert_eq!(plan.poll_sync(), Some(true));
        plan.handle_synced(false);
        write(&mut plan, 10, 5);
        let mut plan = unparked(true, plan.park().expect("nothing to do"));
        plan.sync(15);
        assert_eq!(plan.poll_sync(), Some(false), "the name is durable");
        let Err(failure) = plan.handle_sync_error(EIO) else {
            panic!("a failed sync fails the file");
        };
        assert_eq!(failure.offset, 10, "what is durable");
    }
}
