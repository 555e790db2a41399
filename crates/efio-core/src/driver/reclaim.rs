//! Reclaims memory that is not in use: pages read ahead for idle consumers, and slabs after a peak.
//!
//! ```text
//!  a page is published ─► active ── consumed nothing for 100 ms ─► idle ── memory is short ─┐
//!                           ▲  └ consumed everything ─► removed      │                      ▼
//!                           └──────────── consumes again ────────────┘   dropped, read again later
//! ```
//!
//! A paused download, or a slow client, keeps up to a window of read-ahead. A dozen of those would
//! fill the memory, and all other files would read a page at a time (F83). So a file that gets less
//! than its own limit, because memory is short, takes from idle consumers first:
//!
//! | for | memory is short when |
//! |---|---|
//! | a reader | its share is smaller than the window that its run has opened |
//! | a writer | it found no room, and less is free than one file may have unwritten |
//! | all | less than an eighth of the budget is free, or a file waits and nothing is free |
//!
//! Active consumers never take from each other: each is limited to its share. Dropped pages are
//! read again when their consumer comes back, in a run that starts small and grows with what is
//! consumed. So a consumer that stops again and again holds, and reads in vain, at most a few times
//! what it consumes.
//!
//! A run of which nothing was consumed yet becomes idle after 1 s instead of 100 ms, so that a loop
//! that is notified of many files gets to all of them.

use super::file::OpenFile;
use super::{Driver, MAX_POLL};
use crate::backend::Backend;
use crate::fd::{DRIVER, Fd, Interest, Slot};
use crate::page::SLAB_BYTES;
use std::collections::VecDeque;
use std::time::Duration;

/// A consumer is idle when it has consumed nothing for so long,
const IDLE_AFTER: Duration = Duration::from_millis(100);
/// or for so long since the start of its run, if it consumed nothing of the run.
const IDLE_AFTER_START: Duration = Duration::from_secs(1);
/// The time from one scan of the consumers to the next.
const SCAN_INTERVAL: Duration = Duration::from_millis(50);
/// Consumers in one scan.
const MAX_SCAN: usize = 512;
/// Entries of closed files that may remain in the lists.
const MAX_STALE: usize = 1024;
/// How long a peak of use keeps its slabs.
const HIGH_WATER_PERIOD: Duration = Duration::from_secs(1);

/// The maximum of memory in use in the current period.
#[derive(Default)]
pub struct HighWater {
    used: usize,
    /// When the period ends.
    until: Duration,
}

/// Files with pages that were read ahead; each is in one of the lists while it is `listed`.
#[derive(Default)]
pub struct Readers {
    /// Files with active consumers, the least recently scanned first.
    active: VecDeque<Fd>,
    /// Files with idle consumers, the longest idle first.
    idle: VecDeque<Fd>,
    /// When to scan the active ones.
    next_scan: Duration,
}

/// The state of the consumer of a listed file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Consumer {
    /// It consumed data lately, or waits for more.
    Active,
    Idle,
    /// No read-ahead is left, or the file is closed.
    Gone,
}

impl<B: Backend> Driver<B> {
    /// Adds a file for which a page was read ahead to the lists.
    pub(super) fn list_reader(&mut self, slot: &Slot, file: &mut OpenFile<B::File>) {
        if !file.listed {
            file.listed = true;
            file.incoming.scan_consumer(slot, true, self.now);
            self.readers.active.push_back(file.fd);
        }
    }

    /// Finds idle consumers, and reclaims from them until enough memory is free.
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

    /// Makes room for the window of a run, from idle consumers.
    pub(super) fn reclaim_for_reader(&mut self, file: &OpenFile<B::File>) {
        let is_short = |driver: &Self| file.incoming.is_short(&driver.shared.pool);
        while !self.readers.idle.is_empty() && is_short(self) && self.reclaim_one(Some(file.fd)) {}
    }

    /// Makes room for all that a writer may have unwritten, from idle consumers.
    pub(super) fn reclaim_for_writer(&mut self, fd: Fd) {
        let wanted = self.shared.config.write_behind();
        while self.shared.pool.free() < wanted && self.reclaim_one(Some(fd)) {}
    }

    /// Removes the entries of files that were closed.
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

    /// Returns whether to scan: while at most a quarter of the budget is used, memory is not short.
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
        let is_waiting = slot.has_interest(Interest::DATA);
        file.incoming.scan_consumer(slot, is_waiting, self.now);
        let Some((since, is_begun)) = file.incoming.idle_since() else {
            return Consumer::Gone;
        };
        let limit = if is_begun {
            IDLE_AFTER
        } else {
            IDLE_AFTER_START
        };
        if self.now.saturating_sub(since) < limit {
            return Consumer::Active;
        }
        Consumer::Idle
    }

    /// Drops the read-ahead of the consumer that has been idle longest. Returns whether there was
    /// one. Skips `requester`, whose file is out of the table now.
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

    /// Attempts to drop the pages of an idle consumer; `false` when a call of it is running.
    fn drop_read_ahead_of(&mut self, slot: &Slot, file: &mut OpenFile<B::File>) -> bool {
        let Ok(mut caller) = slot.caller.try_acquire(DRIVER) else {
            return false;
        };
        if caller.generation != file.fd.generation() || caller.epoch != file.incoming.epoch() {
            // Closed, or at another position: the pages are dropped without this.
            return false;
        }
        caller.end_run();
        drop(caller);
        // The next read starts a new run at the position.
        let wasted = file.incoming.handle_reclaimed();
        self.shared.counters.read_ahead_wasted.add(wasted);
        slot.count(wasted, |stats| &mut stats.read_ahead_wasted);
        // The timer parks the file if it stays idle.
        self.set_timer(file);
        true
    }

    /// Releases slabs above the peak of the last period.
    ///
    /// With slabs of 2 MiB and a peak of 9 MiB, 5 + 1 slabs are kept.
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

    /// Returns when to reclaim next, if nothing else happens.
    pub(super) fn next_reclaim(&self) -> Option<Duration> {
        let pool = &self.shared.pool;
        if !self.memory_waiters.is_empty() {
            // Callers free buffers without a notification, and consumers may be idle by then.
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
