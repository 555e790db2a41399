//! After a failure: returns the accepted bytes that the kernel did not take to the caller.

use super::{EAGAIN, EBADF, EINVAL, Locked};
use crate::fd::{Interest, Notify, Unwritten};
use std::collections::VecDeque;
use std::io;

impl Locked<'_> {
    /// Takes what was accepted and not written, once.
    pub fn take_unwritten(&mut self, notify: Notify<'_>) -> io::Result<Vec<Unwritten>> {
        if !self.state.may_write {
            return Err(EBADF.into());
        }
        if self.slot.report_failure().is_none() {
            return Err(EINVAL.into());
        }
        let Some(mut lost) = self.slot.take_lost() else {
            // The driver puts it here under the lock, and takes the bit afterwards. So this
            // registration is not lost.
            let _ = self.slot.register(Interest::FLUSHED, notify);
            return Err(EAGAIN.into());
        };
        let ranges = lost.ranges();
        if ranges.is_ok() {
            lost.slices = VecDeque::new();
        }
        self.slot.put_lost(lost);
        Ok(ranges?)
    }
}
