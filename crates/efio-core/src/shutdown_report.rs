//! What a shutdown left.

use crate::error::Failure;
use crate::fd::Fd;

/// How a shutdown went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShutdownReport {
    /// Files with unwritten bytes, and for each how many bytes were accepted and not written:
    ///
    /// 1. files that were not closed at the deadline;
    /// 2. files that failed and whose failure was not reported, whether they were left open, closed
    ///    or dropped, before the shutdown or during it.
    ///
    /// A failure is reported when a call on the file returned the error, when a close was awaited,
    /// when the event was taken from the queue, or when the callback got it before the shutdown. At
    /// most 65 536 files that ended before the shutdown are remembered.
    pub unfinished: Vec<(Fd, u64)>,
    /// Those of them that failed: the error, and the file offset where the loss begins.
    pub failed: Vec<(Fd, Failure)>,
}

impl ShutdownReport {
    /// Returns whether each accepted byte was written or reported as lost before.
    pub fn is_clean(&self) -> bool {
        self.unfinished.is_empty() && self.failed.is_empty()
    }
}
