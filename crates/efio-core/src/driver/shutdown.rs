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
        self.shared.abandon();
    }
}

impl<B: Backend> Driver<B> {
    /// Closes every file; the shutdown is over after `timeout` in any case.
    pub(super) fn begin_shutdown(&mut self, timeout: Duration) {
        self.deadline = Some(self.now.saturating_add(timeout));
        let open: Vec<Fd> = self.files.iter().flatten().map(|file| file.fd).collect();
        for fd in open {
            self.close_for_shutdown(fd);
        }
    }

    /// Closes the descriptor as its owner would. Waits for the file's lock, which a caller holds
    /// for no longer than a memcpy.
    pub(super) fn close_for_shutdown(&mut self, fd: Fd) {
        if let Some(slot) = self.shared.table.get(fd.index()) {
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
        for Request { id, op } in std::mem::take(&mut self.backlog) {
            // The backend never had the requests of the backlog.
            if let Some((index, Purpose::Positional(key))) = self.ops.remove(id) {
                self.with_file(index, |_, _, file| file.take_back(key, op.into_block()));
            }
        }
        for index in 0..self.files.len() as u32 {
            self.with_file(index, |driver, _, file| {
                driver.complete_all_positional(file)
            });
        }
        self.flush_outbox();
    }

    /// Returns the report once the shutdown is over.
    pub fn finished(&mut self) -> Option<ShutdownReport> {
        let deadline = self.deadline?;
        if self.live > 0 && self.now < deadline {
            return None;
        }
        self.end_positional();
        let mut report = ShutdownReport::default();
        for (fd, bytes, failure) in self.losses() {
            report.unfinished.push((fd, bytes));
            report.failed.push((fd, failure));
        }
        for file in self.files.iter().flatten() {
            let Some(slot) = self.shared.table.get(file.fd.index()) else {
                continue;
            };
            let marks = slot.marks.progress();
            let left = marks.accepted - marks.written;
            report.unfinished.push((file.fd, left));
            let failure = slot.failure().map(|failure| (file.fd, failure));
            report.failed.extend(failure);
        }
        Some(report)
    }
}
