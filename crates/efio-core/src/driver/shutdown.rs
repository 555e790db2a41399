//! Shutdown: closes every file, within a deadline.

use super::Driver;
use super::ops::Purpose;
use crate::backend::Backend;
use crate::fd::{CallerState, DRIVER, Fd, Requests};
use crate::op::Request;
use crate::shutdown_report::ShutdownReport;
use std::time::Duration;

impl<B: Backend> Drop for Driver<B> {
    fn drop(&mut self) {
        self.io.shared.abandon();
    }
}

impl<B: Backend> Driver<B> {
    /// Closes every file; the shutdown is over after `timeout` in any case.
    pub(super) fn begin_shutdown(&mut self, timeout: Duration) {
        self.io.deadline = Some(self.io.now.saturating_add(timeout));
        for fd in self.files.fds() {
            self.close_for_shutdown(fd);
        }
    }

    /// Closes the descriptor as its owner would. Waits for the file's lock, which a caller holds
    /// for no longer than a memcpy.
    pub(super) fn close_for_shutdown(&mut self, fd: Fd) {
        if let Some(slot) = self.io.shared.table.get(fd.index()) {
            let mut caller = slot.caller.acquire(DRIVER);
            if caller.generation == fd.generation() {
                slot.end();
                *caller = CallerState::default();
                slot.request(Requests::CLOSE);
            }
        }
        self.handle_requests(fd.index());
    }

    /// Completes every positional op that is left. See `complete_all_positional`.
    fn end_positional(&mut self) {
        for Request { id, op } in std::mem::take(&mut self.io.backlog) {
            // The backend never had the requests of the backlog.
            if let Some((fd, Purpose::Positional(key))) = self.io.ops.remove(id) {
                self.with_file(fd, |driven| {
                    if let Some(positional) = driven.file.positional() {
                        positional.take_back(key, op.into_block());
                    }
                });
            }
        }
        for fd in self.files.fds() {
            self.with_file(fd, |driven| driven.complete_all_positional());
        }
        self.io.flush_outbox();
    }

    /// Returns the report once the shutdown is over.
    pub fn finished(&mut self) -> Option<ShutdownReport> {
        let deadline = self.io.deadline?;
        if self.files.live() > 0 && self.io.now < deadline {
            return None;
        }
        self.end_positional();
        let mut report = ShutdownReport::default();
        for (fd, bytes, failure) in self.io.losses() {
            report.unfinished.push((fd, bytes));
            report.failed.push((fd, failure));
        }
        for fd in self.files.fds() {
            let Some(slot) = self.io.shared.table.get(fd.index()) else {
                continue;
            };
            let marks = slot.marks.progress();
            report.unfinished.push((fd, marks.accepted - marks.written));
            report
                .failed
                .extend(slot.failure().map(|failure| (fd, failure)));
        }
        Some(report)
    }
}
