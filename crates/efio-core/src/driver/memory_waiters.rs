//! Files that wait for memory, and the grants that wake them.
//!
//! ```text
//!  found no room ──► queue ──► granted a quantum, first in first out
//!                      ▲  └──► removed while a write of its own is in flight
//!                      └─────────────────── completed ┘
//! ```
//!
//! With a thousand writers each freed block is room for one of them. If all were notified, one
//! would take the block, and the others would call, find no room and wait again: for every block.
//! So freed memory accumulates to quanta, and only as many writers are notified as there are
//! quanta. Each can then fill pages and writes of some size. A turn scans only the head of the
//! queue. Readers can use any page, and come first.
//!
//! Of a budget of 64 MiB a quantum is 1 MiB. With 3 MiB free, and grants of 2 MiB that are not used
//! yet, one more writer is notified.

use super::lists::List;
use super::{Driven, Driver, Io, MAX_POLL};
use crate::backend::Backend;
use crate::fd::{Fd, Interest};
use crate::memory;
use crate::page::{SLAB_BYTES, UNIT_BYTES};
use std::collections::VecDeque;
use std::time::Duration;

/// Files scanned in one turn.
const MAX_SCAN: usize = 64;
/// How many quanta the budget has.
const QUANTA: usize = 64;

/// Files that wait for memory, and the grants that are not used yet.
#[derive(Default)]
pub struct MemoryWaiters {
    readers: VecDeque<Fd>,
    writers: VecDeque<Fd>,
    grants: VecDeque<Grant>,
    last_grant: Duration,
    /// The pool's count of returned blocks at the last scan.
    returned: u64,
    /// The pool wakes the driver once so many bytes have returned.
    watched: Option<usize>,
}

/// A quantum that is kept for a writer.
struct Grant {
    fd: Fd,
    /// How many bytes it had accepted when the quantum was granted.
    accepted: u64,
    /// The grant expires then.
    until: Duration,
}

/// What to do with the writer at the head of the queue.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    /// It was notified, or the completion of its own write queues it again.
    Done,
    /// It waits for something other than memory: to the tail of the queue.
    Requeue,
    /// There is no memory for it, so there is none for those after it.
    Blocked,
}

impl MemoryWaiters {
    /// Drops the grants that expired. The only writer of an engine is notified again and again, and
    /// `granted`, which would drop them too, does not run for it.
    fn forget_expired(&mut self, now: Duration) {
        while self.grants.front().is_some_and(|grant| grant.until <= now) {
            self.grants.pop_front();
        }
    }

    /// Returns whether no file waits.
    pub fn is_empty(&self) -> bool {
        self.readers.is_empty() && self.writers.is_empty()
    }
}

impl<B: Backend> Driver<B> {
    /// Grants memory to the files that have waited longest, as far as there is any.
    pub(super) fn grant_memory(&mut self) {
        if self.io.memory_waiters.is_empty() {
            return;
        }
        self.io.memory_waiters.returned = self.io.shared.pool.returned();
        self.io.shared.pool.keep_ready();
        self.grant_readers();
        for _ in 0..self.io.memory_waiters.writers.len().min(MAX_SCAN) {
            let Some(fd) = self.io.memory_waiters.writers.pop_front() else {
                return;
            };
            let next = self.with_file(fd, |driven| {
                let next = driven.grant();
                if next == Next::Done {
                    driven.file.lists().leave(List::RoomWaiters);
                }
                next
            });
            match next.unwrap_or(Next::Done) {
                Next::Done => {}
                Next::Requeue => memory::grow(&mut self.io.memory_waiters.writers).push_back(fd),
                Next::Blocked => return self.io.memory_waiters.writers.push_front(fd),
            }
        }
    }

    fn grant_readers(&mut self) {
        for _ in 0..self.io.memory_waiters.readers.len().min(MAX_SCAN) {
            let Some(fd) = self.io.memory_waiters.readers.pop_front() else {
                return;
            };
            self.with_file(fd, |driven| {
                driven.file.lists().leave(List::PageWaiters);
                driven.drive();
            });
        }
    }

    /// Before the driver sleeps: asks the pool for a wake-up once enough memory for a waiting file
    /// has returned, from any thread. `false`: memory has returned meanwhile, so do not sleep.
    pub fn watch_memory(&mut self) -> bool {
        if self.io.memory_waiters.is_empty() {
            return true;
        }
        let missing = self.io.missing();
        let (shared, seen) = (&self.io.shared, self.io.memory_waiters.returned);
        let is_watched = shared.pool.watch(shared.inbox.doorbell(), seen, missing);
        self.io.memory_waiters.watched = is_watched.then_some(missing);
        is_watched
    }

    /// Returns how many bytes have to return until the pool wakes the driver, if it does.
    pub fn watched_memory(&self) -> Option<usize> {
        self.io.memory_waiters.watched
    }

    /// After the sleep: cancels the wake-up.
    pub fn unwatch_memory(&mut self) {
        if self.io.memory_waiters.watched.take().is_some() {
            self.io.shared.pool.unwatch();
        }
    }
}

impl<B: Backend> Driven<'_, B> {
    /// Queues a reader that waits for memory.
    pub fn enqueue_reader(&mut self) {
        if self.file.lists().enter(List::PageWaiters) {
            memory::grow(&mut self.io.memory_waiters.readers).push_back(self.file.fd());
        }
    }

    /// Queues a writer that found no room. If memory is short of a quantum, its backlog becomes
    /// due, full blocks or not, because others may wait for that memory.
    pub fn on_want_room(&mut self) {
        self.enqueue_writer();
        if !self.file.write().is_write_in_flight() && self.io.ready() < self.io.quantum() {
            self.file.write().flush(self.slot.marks.accepted());
        }
    }

    /// Queues the writer of a file whose share has room again, if it waits.
    pub fn on_room_freed(&mut self) {
        if self.slot.has_interest(Interest::ROOM) {
            self.enqueue_writer();
        }
    }

    fn enqueue_writer(&mut self) {
        if self.file.lists().enter(List::RoomWaiters) {
            memory::grow(&mut self.io.memory_waiters.writers).push_back(self.file.fd());
        }
    }

    /// Attempts to grant a quantum to the writer at the head of the queue:
    ///
    /// | half of its share is unwritten | write in flight | memory | result |
    /// |---|---|---|---|
    /// | no | any | yes | notified: `Done` |
    /// | yes | yes | any | the completion queues it again: `Done` |
    /// | yes | no | any | it waits for its open or a sequenced op: `Requeue` |
    /// | no | any | yes, but taken meanwhile | `Requeue` |
    /// | no | any | no | `Blocked` |
    fn grant(&mut self) -> Next {
        if !self.slot.has_interest(Interest::ROOM) {
            return Next::Done;
        }
        let has_memory = self.io.has_quantum();
        if has_memory {
            self.notify_writer();
            if !self.slot.has_interest(Interest::ROOM) {
                self.io.memory_waiters.last_grant = self.io.now;
                self.io.memory_waiters.forget_expired(self.io.now);
                memory::grow(&mut self.io.memory_waiters.grants).push_back(Grant {
                    fd: self.file.fd(),
                    accepted: self.slot.marks.accepted(),
                    until: self.io.now.saturating_add(MAX_POLL),
                });
                return Next::Done;
            }
        }
        if !self.file.write().is_write_in_flight() && self.file.backlog(self.slot) > 0 {
            // Its backlog is in a page that is not full yet, or too short for a direct write.
            self.file.write().flush(self.slot.marks.accepted());
            self.drive();
        }
        let has_its_share = self.file.backlog(self.slot) > self.io.shared.share() as u64 / 2;
        match (has_its_share, self.file.write().is_write_in_flight()) {
            // The completion of its own write queues it again.
            (true, true) => Next::Done,
            // The open or a sequenced op is pending before its bytes.
            (true, false) => Next::Requeue,
            (false, _) if has_memory => Next::Requeue,
            (false, _) => Next::Blocked,
        }
    }
}

impl<B: Backend> Io<B> {
    /// Returns how many bytes have to return until there is a quantum, or a page where memory does
    /// not accumulate.
    fn missing(&mut self) -> usize {
        let waiters = &self.memory_waiters;
        if !self.accumulates() || waiters.writers.len() < 2 || !waiters.readers.is_empty() {
            return UNIT_BYTES;
        }
        let wanted = self.quantum() + self.granted();
        wanted.saturating_sub(self.ready()).max(UNIT_BYTES)
    }

    /// Returns whether there is a quantum that is not granted yet.
    ///
    /// A page is enough in two cases:
    ///
    /// 1. Memory does not accumulate: no op is in flight, or there was no grant for [`MAX_POLL`].
    /// 2. No other writer waits. A program that writes to its files in turn waits for one file at a
    ///    time, and would wait for a quantum at each.
    fn has_quantum(&mut self) -> bool {
        let ready = self.ready();
        if self.memory_waiters.writers.is_empty() {
            return ready >= UNIT_BYTES;
        }
        let needed = if self.accumulates() {
            self.quantum()
        } else {
            UNIT_BYTES
        };
        ready >= needed && ready >= needed + self.granted()
    }

    /// Returns whether to wait until memory makes a quantum.
    fn accumulates(&self) -> bool {
        let poll_end = self.memory_waiters.last_grant.saturating_add(MAX_POLL);
        self.ops.len() > 0 && self.now < poll_end
    }

    /// Returns how many bytes of the grants are not used yet, and drops grants that are over.
    fn granted(&mut self) -> usize {
        let (quantum, now) = (self.quantum() as u64, self.now);
        let table = &self.shared.table;
        let mut granted = 0;
        self.memory_waiters.grants.retain(|grant| {
            let Some(slot) = table.get(grant.fd.index()) else {
                return false;
            };
            let used = slot.marks.accepted().saturating_sub(grant.accepted);
            let stays = now < grant.until
                && used < quantum
                && slot.generation() == grant.fd.generation()
                && !slot.has_interest(Interest::ROOM);
            granted += if stays { quantum - used } else { 0 };
            stays
        });
        granted as usize
    }

    /// Returns how much memory makes it worth notifying a writer.
    fn quantum(&self) -> usize {
        (self.shared.pool.budget() / QUANTA).clamp(UNIT_BYTES, SLAB_BYTES / 2)
    }

    /// Returns how much memory callers can take without the driver.
    fn ready(&self) -> usize {
        let pool = &self.shared.pool;
        pool.mapped().saturating_sub(pool.used())
    }
}
