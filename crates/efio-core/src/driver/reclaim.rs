//! Memory that nobody needs: pages read ahead for consumers that do not come, and slabs of a peak
//! that is over.
//!
//! ```text
//!  a page is delivered ─► active ── took nothing for a while ──► idle ── somebody lacks memory ─┐
//!                           ▲  └ took everything ─► out            │                            ▼
//!                           └───────────── takes again ────────────┘       dropped, read again later
//! ```
//!
//! A download that is paused, or a client that is slow, keeps up to a window of read-ahead. Of a
//! dozen of those the memory would be full, and everybody else would read a page at a time (F83). So
//! whoever gets less than its own limit, because memory is short, takes from idle consumers first:
//!
//! | who | lacks memory when |
//! |---|---|
//! | a reader | its share is smaller than the window that its run has opened |
//! | a writer | it found no room, and less is free than one file may have unwritten |
//! | everybody | less than an eighth of the budget is free, or somebody waits and nothing is |
//!
//! Consumers that are active never take from each other: each is limited to its share. What was
//! dropped is read again when its consumer comes, in a run that begins small and grows with what is
//! taken, so that one which stops again and again holds, and reads in vain, a few times of what it
//! takes at most. And a run of which nothing was taken yet is left alone for longer, so that a loop
//! with many files, told of each, comes to all of them.

use super::file::OpenFile;
use super::{Driver, MAX_POLL};
use crate::backend::Backend;
use crate::caller::drop_read_ahead;
use crate::fd::{DRIVER, Fd, Interest, Slot};
use crate::page::SLAB_BYTES;
use std::collections::VecDeque;
use std::time::Duration;

/// A consumer that took something, and then nothing for so long, is idle.
const IDLE_AFTER: Duration = Duration::from_millis(100);
/// One that took nothing at all of what it asked for.
const IDLE_AFTER_START: Duration = Duration::from_secs(1);
/// From one look at the consumers to the next.
const SCAN_INTERVAL: Duration = Duration::from_millis(50);
/// Consumers seen in one look.
const MAX_SCAN: usize = 512;
/// Entries of closed files that may be in the lists.
const MAX_STALE: usize = 1024;
/// How long a peak of use is remembered.
const HIGH_WATER_PERIOD: Duration = Duration::from_secs(1);

/// How much memory was in use lately.
#[derive(Default)]
pub struct HighWater {
    used: usize,
    /// When the period ends.
    until: Duration,
}

/// Files with pages that were read ahead; each stands in one of the lists while it is `listed`.
#[derive(Default)]
pub struct Readers {
    /// Those whose consumers came lately; who was not looked at for longest comes first.
    active: VecDeque<Fd>,
    /// The others; who has been idle for longest comes first.
    idle: VecDeque<Fd>,
    /// When to look at those that are active.
    next_scan: Duration,
}

/// What a look at a file of the lists finds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Consumer {
    /// It came lately, or waits for more.
    Active,
    Idle,
    /// Nothing is left that was read ahead, or the file is closed.
    Gone,
}

impl<B: Backend> Driver<B> {
    /// A page was read ahead for the file.
    pub(super) fn list_reader(&mut self, slot: &Slot, file: &mut OpenFile<B::File>) {
        if !file.listed {
            file.listed = true;
            file.incoming().seen = (slot.consumed(), self.now);
            self.readers.active.push_back(file.fd);
        }
    }

    /// Looks who is idle, and keeps some memory free in any case.
    pub(super) fn reclaim(&mut self) {
        if self.readers.active.len() + self.readers.idle.len() > 2 * self.live + MAX_STALE {
            self.remove_closed_readers();
        }
        if self.must_scan() && self.now >= self.readers.next_scan {
            self.readers.next_scan = self.now.saturating_add(SCAN_INTERVAL);
            self.scan_readers();
        }
        while self.is_short() && self.reclaim_one(None) {}
    }

    /// A run may read on: makes room for its window, at the expense of those who are idle.
    pub(super) fn reclaim_for_reader(&mut self, file: &OpenFile<B::File>) {
        let is_short = |driver: &Self| {
            let incoming = file.incoming.as_ref();
            incoming.is_some_and(|incoming| incoming.is_short(&driver.shared.pool))
        };
        while !self.readers.idle.is_empty() && is_short(self) && self.reclaim_one(Some(file.fd)) {}
    }

    /// A writer found no room: makes some for all that it may have unwritten, in the same way.
    pub(super) fn reclaim_for_writer(&mut self, fd: Fd) {
        let wanted = self.shared.config.write_behind();
        while self.shared.pool.free() < wanted && self.reclaim_one(Some(fd)) {}
    }

    /// Most entries are of files that were closed.
    fn remove_closed_readers(&mut self) {
        let files = &self.files;
        let is_listed = |fd: &Fd| {
            let file = files.get(fd.index() as usize).and_then(Option::as_ref);
            file.is_some_and(|file| file.fd == *fd && file.listed)
        };
        self.readers.active.retain(is_listed);
        self.readers.idle.retain(is_listed);
    }

    fn is_short(&self) -> bool {
        let pool = &self.shared.pool;
        pool.free() < pool.budget() / 8 || (!self.memory_waiters.is_empty() && !pool.has_room())
    }

    /// While little of the budget is used nobody can lack memory.
    fn must_scan(&self) -> bool {
        let pool = &self.shared.pool;
        !self.readers.active.is_empty() && pool.used() > pool.budget() / 4
    }

    fn scan_readers(&mut self) {
        for _ in 0..self.readers.active.len().min(MAX_SCAN) {
            let Some(fd) = self.readers.active.pop_front() else {
                return;
            };
            let mut found = Consumer::Gone;
            self.with_file(fd.index(), |driver, slot, file| {
                if file.fd == fd {
                    found = driver.classify_consumer(slot, file);
                    file.listed = found != Consumer::Gone;
                }
            });
            match found {
                Consumer::Active => self.readers.active.push_back(fd),
                Consumer::Idle => self.readers.idle.push_back(fd),
                Consumer::Gone => {}
            }
        }
    }

    fn classify_consumer(&self, slot: &Slot, file: &mut OpenFile<B::File>) -> Consumer {
        let Some(incoming) = &mut file.incoming else {
            return Consumer::Gone;
        };
        let consumed = slot.consumed();
        incoming.plan.handle_consumed(consumed);
        if incoming.plan.is_stalled() {
            return Consumer::Gone;
        }
        if consumed != incoming.seen.0 || slot.has_interest(Interest::DATA) {
            incoming.seen = (consumed, self.now);
        }
        let is_begun = incoming.plan.is_begun();
        let limit = if is_begun {
            IDLE_AFTER
        } else {
            IDLE_AFTER_START
        };
        if self.now.saturating_sub(incoming.seen.1) < limit {
            return Consumer::Active;
        }
        Consumer::Idle
    }

    /// Drops what was read ahead for the consumer that has been idle for longest; whether there was
    /// one. `asker` is not to be taken from: its file is out of the table now.
    fn reclaim_one(&mut self, requester: Option<Fd>) -> bool {
        while let Some(fd) = self.readers.idle.pop_front() {
            if requester == Some(fd) {
                self.readers.active.push_back(fd);
                continue;
            }
            let mut found = Consumer::Gone;
            self.with_file(fd.index(), |driver, slot, file| {
                if file.fd == fd {
                    found = driver.classify_consumer(slot, file);
                    if found == Consumer::Idle && !driver.drop_read_ahead_of(slot, file) {
                        found = Consumer::Active;
                    }
                    file.listed = found == Consumer::Active;
                }
            });
            match found {
                Consumer::Active => self.readers.active.push_back(fd),
                Consumer::Idle => return true,
                Consumer::Gone => {}
            }
        }
        false
    }

    /// Drops the pages of a consumer that is idle; `false` when it comes back right now.
    fn drop_read_ahead_of(&mut self, slot: &Slot, file: &mut OpenFile<B::File>) -> bool {
        let Ok(mut caller) = slot.caller.try_acquire(DRIVER) else {
            return false;
        };
        if caller.generation != file.fd.generation() || caller.epoch != file.epoch() {
            // Closed, or at another place: its pages are gone by themselves.
            return false;
        }
        drop_read_ahead(&mut caller);
        drop(caller);
        // The next read begins a new run where the position stands.
        let wasted = file.incoming().plan.handle_reclaimed();
        self.shared.counters.read_ahead_wasted.add(wasted);
        slot.count(wasted, |stats| &mut stats.read_ahead_wasted);
        // Without anything else to do the file rests.
        self.set_timer(file);
        true
    }

    /// Gives slabs back that were not used for a while.
    pub(super) fn release_slabs(&mut self) {
        let pool = &self.shared.pool;
        self.high_water.used = self.high_water.used.max(pool.used());
        if self.now < self.high_water.until {
            return;
        }
        let keep = (self.high_water.used.div_ceil(SLAB_BYTES) + 1) * SLAB_BYTES;
        while let Some((number, slab)) = pool.release_slab(keep) {
            self.backend.forget_slab(number);
            pool.release(number, slab);
        }
        self.high_water = HighWater {
            used: pool.used(),
            until: self.now.saturating_add(HIGH_WATER_PERIOD),
        };
    }

    /// When memory has to be looked at, if nothing else happens.
    pub(super) fn next_reclaim(&self) -> Option<Duration> {
        let pool = &self.shared.pool;
        if !self.memory_waiters.is_empty() {
            // Buffers come back without a word, and consumers may be idle by then.
            let interval = if pool.has_room() {
                MAX_POLL
            } else {
                IDLE_AFTER
            };
            return Some(self.now.saturating_add(interval));
        }
        let watch = self.must_scan().then_some(self.readers.next_scan);
        let release = pool.mapped() > pool.used() + 2 * SLAB_BYTES;
        watch
            .into_iter()
            .chain(release.then_some(self.high_water.until))
            .min()
    }
}
