//! What the driver does without a file: it submits, sleeps and notifies.

use super::file::Limits;
use super::{Io, MAX_POLL};
use crate::backend::Backend;
use crate::fd::Fd;
use crate::shared::Shared;
use crate::sys::fork;
use std::sync::Arc;
use std::time::Duration;

impl<B: Backend> Io<B> {
    /// Creates the state with no op.
    pub fn new(shared: Arc<Shared>, backend: B) -> Self {
        Self {
            limits: Limits::new(&shared.config),
            shared,
            backend,
            ops: Default::default(),
            backlog: Default::default(),
            sizes: Default::default(),
            precedence: Default::default(),
            losses: Default::default(),
            timers: Default::default(),
            retries: Default::default(),
            memory_waiters: Default::default(),
            readers: Default::default(),
            high_water: Default::default(),
            completions: Vec::new(),
            last_completion: Duration::ZERO,
            outbox: Default::default(),
            now: Duration::ZERO,
            deadline: None,
        }
    }

    /// Removes and returns a file whose timer is due.
    pub fn poll_timer(&mut self) -> Option<Fd> {
        let &(due, fd) = self.timers.front()?;
        (due <= self.now).then(|| self.timers.pop_front())?;
        Some(fd)
    }

    /// Delivers the events and wakes the tasks of this turn. Both run code of the program, which
    /// may take long, so the ops are flushed to the kernel first.
    pub fn flush_outbox(&mut self) {
        if self.outbox.is_empty() {
            return;
        }
        self.backend.flush();
        let shared = &self.shared;
        let panics = self.outbox.flush(|| {
            if shared.check_process().is_err() {
                // The callback forked and returned in the child, where this is the only thread: it
                // must not continue with the parent's files (F68).
                fork::end_child();
            }
        });
        self.shared.counters.callback_panics.add(panics);
    }

    /// Blocks until the doorbell rings, an op completes or a timer is due.
    pub fn sleep(&mut self) {
        let due = [
            self.timers.front().map(|&(due, _)| due),
            self.deadline,
            self.retries.next(),
            self.precedence.next_timeout(),
            self.next_reclaim(),
        ];
        let next = due.into_iter().flatten().min();
        let next = next.map(|next| next.saturating_sub(self.now));
        let poll_end = self.last_completion.saturating_add(MAX_POLL);
        let poll_left = poll_end.saturating_sub(self.now);
        if self.ops.len() > 0 && !poll_left.is_zero() {
            let next = next.map_or(poll_left, |next| next.min(poll_left));
            self.shared.inbox.enter_poll();
            self.backend.wait(Some(next));
            self.shared.inbox.leave_poll();
        } else {
            self.backend.wait(next);
        }
    }

    /// Submits the requests that the backend has room for.
    pub fn submit_backlog(&mut self) {
        while let Some(request) = self.backlog.pop_front() {
            if let Err(refused) = self.backend.submit(request) {
                self.backlog.push_front(refused);
                return;
            }
        }
    }
}
