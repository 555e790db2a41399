//! Who waits for memory, and who is told of it.
//!
//! ```text
//!  found no room ──► queue ──► told of a portion, the oldest first
//!                      ▲  └──► parked while a write of its own is under way
//!                      └────────────── which ended ┘
//! ```
//!
//! With a thousand writers each block that comes back is room for one of them. Were all told of it,
//! one would take it, and all others would call, find nothing and wait again, for every block. So
//! memory gathers to portions, and as many writers are told as there are portions: each can go on for
//! a while, in pages and writes of some size. A turn looks at the head of the queue alone. Readers are
//! content with any page, and come first.

use super::file::OpenFile;
use super::{Driver, MAX_POLL};
use crate::backend::Backend;
use crate::fd::{Fd, Interest, Slot};
use crate::memory;
use crate::page::{SLAB_BYTES, UNIT_BYTES};
use std::collections::VecDeque;
use std::time::Duration;

/// Files looked at in one turn.
const MAX_SCAN: usize = 64;
/// How many portions the budget has.
const QUANTA: usize = 64;

/// Those that wait, and those that were told and have not used their portion.
#[derive(Default)]
pub struct MemoryWaiters {
    readers: VecDeque<Fd>,
    writers: VecDeque<Fd>,
    grants: VecDeque<Grant>,
    last_grant: Duration,
    /// Blocks that had come back to the pool when they were looked at last.
    returned: u64,
    /// The pool wakes the driver when so many bytes came back.
    watched: Option<usize>,
}

/// A portion that a writer may still take.
struct Grant {
    fd: Fd,
    /// What it had accepted by then.
    accepted: u64,
    /// After that it is not kept for it any longer.
    until: Duration,
}

/// What becomes of the writer at the head of the queue.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    /// It was told, or will come back by itself.
    Done,
    /// It waits for something else, and the next one has its turn.
    Requeue,
    /// There is no memory for it, nor for anybody behind it.
    Blocked,
}

impl MemoryWaiters {
    /// Drops what is not kept for anybody any longer. A writer that is alone is told again and again,
    /// and nobody counts what it was promised.
    fn forget_expired(&mut self, now: Duration) {
        while self.grants.front().is_some_and(|grant| grant.until <= now) {
            self.grants.pop_front();
        }
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.readers.is_empty() && self.writers.is_empty()
    }
}

impl<B: Backend> Driver<B> {
    /// A reader waits for memory.
    pub(super) fn enqueue_reader(&mut self, file: &mut OpenFile<B::File>) {
        if !file.wants_page {
            file.wants_page = true;
            memory::grow(&mut self.memory_waiters.readers).push_back(file.fd);
        }
    }

    /// A writer found no room. What it has is to be written, full blocks or not, if others wait for
    /// that memory.
    pub(super) fn on_want_room(&mut self, slot: &Slot, file: &mut OpenFile<B::File>) {
        self.enqueue_writer(file);
        self.reclaim_for_writer(file.fd);
        if !file.is_write_in_flight() && self.ready() < self.quantum() {
            file.flush(slot.marks.accepted());
        }
    }

    /// Room in the share of a file was freed.
    pub(super) fn on_room_freed(&mut self, slot: &Slot, file: &mut OpenFile<B::File>) {
        if slot.has_interest(Interest::ROOM) {
            self.enqueue_writer(file);
        }
    }

    fn enqueue_writer(&mut self, file: &mut OpenFile<B::File>) {
        if !file.wants_room {
            file.wants_room = true;
            memory::grow(&mut self.memory_waiters.writers).push_back(file.fd);
        }
    }

    /// Before a sleep: has the driver woken when so much memory comes back that somebody who waits
    /// for it can go on, whoever gives it back. `false`: it came back meanwhile, look again.
    pub fn watch_memory(&mut self) -> bool {
        if self.memory_waiters.is_empty() {
            return true;
        }
        let missing = self.missing();
        let (doorbell, seen) = (self.shared.inbox.doorbell(), self.memory_waiters.returned);
        let is_watched = self.shared.pool.watch(doorbell, seen, missing);
        self.memory_waiters.watched = is_watched.then_some(missing);
        is_watched
    }

    /// How many bytes have to come back until the pool wakes the driver, if it does.
    pub fn watched_memory(&self) -> Option<usize> {
        self.memory_waiters.watched
    }

    /// After the sleep.
    pub fn unwatch_memory(&mut self) {
        if self.memory_waiters.watched.take().is_some() {
            self.shared.pool.unwatch();
        }
    }

    /// The bytes that have to come back until there is a portion, if one gathers.
    fn missing(&mut self) -> usize {
        let poll_end = self.memory_waiters.last_grant.saturating_add(MAX_POLL);
        let accumulates = self.ops.in_flight() > 0 && self.now < poll_end;
        if !accumulates
            || self.memory_waiters.writers.len() < 2
            || !self.memory_waiters.readers.is_empty()
        {
            return UNIT_BYTES;
        }
        let wanted = self.quantum() + self.granted();
        wanted.saturating_sub(self.ready()).max(UNIT_BYTES)
    }

    /// Lets those who have waited for longest try again, as far as there is memory.
    pub(super) fn grant_memory(&mut self) {
        if self.memory_waiters.is_empty() {
            return;
        }
        self.memory_waiters.returned = self.shared.pool.returned();
        self.shared.pool.keep_ready();
        self.grant_readers();
        for _ in 0..self.memory_waiters.writers.len().min(MAX_SCAN) {
            let Some(fd) = self.memory_waiters.writers.pop_front() else {
                return;
            };
            let mut next = Next::Done;
            self.with_file(fd.index(), |driver, slot, file| {
                if file.fd == fd {
                    next = driver.grant(slot, file);
                    file.wants_room = next != Next::Done;
                }
            });
            match next {
                Next::Done => {}
                Next::Requeue => memory::grow(&mut self.memory_waiters.writers).push_back(fd),
                Next::Blocked => return self.memory_waiters.writers.push_front(fd),
            }
        }
    }

    fn grant_readers(&mut self) {
        for _ in 0..self.memory_waiters.readers.len().min(MAX_SCAN) {
            let Some(fd) = self.memory_waiters.readers.pop_front() else {
                return;
            };
            self.with_file(fd.index(), |driver, slot, file| {
                if file.fd == fd {
                    file.wants_page = false;
                    driver.drive(slot, file);
                }
            });
        }
    }

    /// Gives the writer at the head of the queue its turn.
    fn grant(&mut self, slot: &Slot, file: &mut OpenFile<B::File>) -> Next {
        if !slot.has_interest(Interest::ROOM) {
            return Next::Done;
        }
        let has_memory = self.has_quantum();
        if has_memory {
            self.notify_writer(slot, file);
            if !slot.has_interest(Interest::ROOM) {
                self.memory_waiters.last_grant = self.now;
                self.memory_waiters.forget_expired(self.now);
                memory::grow(&mut self.memory_waiters.grants).push_back(Grant {
                    fd: file.fd,
                    accepted: slot.marks.accepted(),
                    until: self.now.saturating_add(MAX_POLL),
                });
                return Next::Done;
            }
        }
        if !file.is_write_in_flight() && file.backlog(slot) > 0 {
            // All that it has is in a page that is not full yet, or too little for a direct write.
            file.flush(slot.marks.accepted());
            self.drive(slot, file);
        }
        let has_its_share = file.backlog(slot) > self.shared.share() as u64 / 2;
        match (has_its_share, file.is_write_in_flight()) {
            // Its own write brings it back.
            (true, true) => Next::Done,
            // Something else comes first: the kernel's open, or a change at an offset.
            (true, false) => Next::Requeue,
            (false, _) if has_memory => Next::Requeue,
            (false, _) => Next::Blocked,
        }
    }

    /// Whether there is a portion that nobody was told of. When none gathers, because others keep
    /// what they have, anything will do; and so it will when no other writer waits. A program that
    /// writes to its files in turn waits for one at a time, and would wait for each.
    fn has_quantum(&mut self) -> bool {
        if self.memory_waiters.writers.is_empty() {
            return self.ready() >= UNIT_BYTES;
        }
        let poll_end = self.memory_waiters.last_grant.saturating_add(MAX_POLL);
        let accumulates = self.ops.in_flight() > 0 && self.now < poll_end;
        let needed = if accumulates {
            self.quantum()
        } else {
            UNIT_BYTES
        };
        let ready = self.ready();
        ready >= needed && ready >= needed + self.granted()
    }

    /// What those who were told may still take.
    fn granted(&mut self) -> usize {
        let (quantum, now) = (self.quantum() as u64, self.now);
        let (files, table) = (&self.files, &self.shared.table);
        let mut granted = 0;
        self.memory_waiters.grants.retain(|grant| {
            let file = files[grant.fd.index() as usize].as_ref();
            let writes = |file: &OpenFile<B::File>| file.fd == grant.fd && !file.life.is_draining();
            let Some(slot) = table.get(grant.fd.index()) else {
                return false;
            };
            let used = slot.marks.accepted().saturating_sub(grant.accepted);
            let stays = now < grant.until
                && used < quantum
                && file.is_some_and(|file| writes(file))
                && !slot.has_interest(Interest::ROOM);
            granted += if stays { quantum - used } else { 0 };
            stays
        });
        granted as usize
    }

    /// The memory that makes it worth telling a writer.
    fn quantum(&self) -> usize {
        (self.shared.pool.budget() / QUANTA).clamp(UNIT_BYTES, SLAB_BYTES / 2)
    }

    /// Memory that callers find.
    fn ready(&self) -> usize {
        let pool = &self.shared.pool;
        pool.mapped().saturating_sub(pool.used())
    }
}
