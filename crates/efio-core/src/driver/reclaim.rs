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

use super::lists::List;
use super::{Driven, Driver, Io, MAX_POLL};
use crate::backend::Backend;
use crate::fd::{DRIVER, Fd, Interest};
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

/// Files with pages that were read ahead, each in one of the two lists.
#[derive(Default)]
pub struct Readers {
    /// Files with active consumers, the least recently scanned first.
    active: VecDeque<Fd>,
    /// Files with idle consumers, the longest idle first.
    pub idle: VecDeque<Fd>,
    /// A file whose run needs memory of them.
    pub short: Option<Fd>,
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
    /// Finds idle consumers, and reclaims from them until enough memory is free.
    pub(super) fn reclaim(&mut self) {
        if self.io.readers.active.len() + self.io.readers.idle.len()
            > 2 * self.files.live() + MAX_STALE
        {
            self.remove_closed_readers();
        }
        if self.io.must_scan() && self.io.now >= self.io.readers.next_scan {
            self.io.readers.next_scan = self.io.now.saturating_add(SCAN_INTERVAL);
            self.scan_readers();
        }
        while self.io.is_short() && self.reclaim_one(None) {}
    }

    /// Makes room for the window of a run, from idle consumers, and continues the run.
    pub(super) fn reclaim_for_reader(&mut self, fd: Fd) {
        let is_short = |driver: &mut Self| {
            let (pool, file) = (&driver.io.shared.pool, driver.files.get_mut(fd));
            file.is_some_and(|(_, file)| file.incoming().is_short(pool))
        };
        while is_short(self) && self.reclaim_one(Some(fd)) {}
        self.with_file(fd, |driven| driven.drive());
    }

    /// Makes room for all that a writer may have unwritten, from idle consumers.
    pub(super) fn reclaim_for_writer(&mut self, fd: Fd) {
        let wanted = self.io.shared.config.write_behind();
        while self.io.shared.pool.free() < wanted && self.reclaim_one(Some(fd)) {}
    }

    /// Removes the entries of files that were closed.
    fn remove_closed_readers(&mut self) {
        let (files, readers) = (&mut self.files, &mut self.io.readers);
        let mut is_listed = |fd: &Fd| {
            let file = files.get_mut(*fd);
            file.is_some_and(|(_, file)| file.lists().is_in(List::Readers))
        };
        readers.active.retain(&mut is_listed);
        readers.idle.retain(is_listed);
    }

    fn scan_readers(&mut self) {
        for _ in 0..self.io.readers.active.len().min(MAX_SCAN) {
            let Some(fd) = self.io.readers.active.pop_front() else {
                return;
            };
            self.with_file(fd, |driven| match driven.classify_consumer() {
                Consumer::Active => driven.io.readers.active.push_back(fd),
                Consumer::Idle => driven.io.readers.idle.push_back(fd),
                Consumer::Gone => driven.file.lists().leave(List::Readers),
            });
        }
    }

    /// Drops the read-ahead of the consumer that has been idle longest. Returns whether there was
    /// one. Skips `requester`.
    fn reclaim_one(&mut self, requester: Option<Fd>) -> bool {
        while let Some(fd) = self.io.readers.idle.pop_front() {
            if requester == Some(fd) {
                self.io.readers.active.push_back(fd);
                continue;
            }
            if self.with_file(fd, |driven| driven.reclaim()) == Some(true) {
                return true;
            }
        }
        false
    }
}

impl<B: Backend> Driven<'_, B> {
    /// Adds a file for which a page was read ahead to the lists.
    pub fn list_reader(&mut self) {
        if self.file.lists().enter(List::Readers) {
            (self.file.incoming()).scan_consumer(self.slot, true, self.io.now);
            self.io.readers.active.push_back(self.file.fd());
        }
    }

    fn classify_consumer(&mut self) -> Consumer {
        let is_waiting = self.slot.has_interest(Interest::DATA);
        let incoming = self.file.incoming();
        incoming.scan_consumer(self.slot, is_waiting, self.io.now);
        let Some((since, is_begun)) = incoming.idle_since() else {
            return Consumer::Gone;
        };
        let limit = if is_begun {
            IDLE_AFTER
        } else {
            IDLE_AFTER_START
        };
        if self.io.now.saturating_sub(since) < limit {
            return Consumer::Active;
        }
        Consumer::Idle
    }

    /// Attempts to drop the read-ahead of the file, if its consumer is still idle.
    fn reclaim(&mut self) -> bool {
        let consumer = self.classify_consumer();
        let is_dropped = consumer == Consumer::Idle && self.drop_read_ahead();
        if is_dropped || consumer == Consumer::Gone {
            self.file.lists().leave(List::Readers);
        } else {
            self.io.readers.active.push_back(self.file.fd());
        }
        is_dropped
    }

    /// Attempts to drop the pages of an idle consumer; `false` when a call of it is running.
    fn drop_read_ahead(&mut self) -> bool {
        let Ok(mut caller) = self.slot.caller.try_acquire(DRIVER) else {
            return false;
        };
        let (fd, epoch) = (self.file.fd(), self.file.incoming().epoch());
        if caller.generation != fd.generation() || caller.epoch != epoch {
            // Closed, or at another position: the pages are dropped without this.
            return false;
        }
        caller.end_run();
        drop(caller);
        // The next read starts a new run at the position.
        let wasted = self.file.incoming().handle_reclaimed();
        self.io.shared.counters.read_ahead_wasted.add(wasted);
        self.slot
            .count(wasted, |stats| &mut stats.read_ahead_wasted);
        // The timer parks the file if it stays idle.
        self.set_timer();
        true
    }
}

impl<B: Backend> Io<B> {
    fn is_short(&self) -> bool {
        let pool = &self.shared.pool;
        pool.free() < pool.budget() / 8 || (!self.memory_waiters.is_empty() && !pool.has_room())
    }

    /// Returns whether to scan: while at most a quarter of the budget is used, memory is not short.
    fn must_scan(&self) -> bool {
        let pool = &self.shared.pool;
        !self.readers.active.is_empty() && pool.used() > pool.budget() / 4
    }

    /// Releases slabs above the peak of the last period.
    ///
    /// With slabs of 2 MiB and a peak of 9 MiB, 5 + 1 slabs are kept.
    pub fn release_slabs(&mut self) {
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
    pub fn next_reclaim(&self) -> Option<Duration> {
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
        let scan = self.must_scan().then_some(self.readers.next_scan);
        let has_spare = pool.mapped() > pool.used() + 2 * SLAB_BYTES;
        let release = has_spare.then_some(self.high_water.until);
        scan.into_iter().chain(release).min()
    }
}
