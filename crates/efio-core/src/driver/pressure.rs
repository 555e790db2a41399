//! Memory that nobody needs: pages read ahead for readers that do not come, and slabs of a peak that
//! is over.
//!
//! ```text
//!  used ──────────────── 3/4 ────── 7/8 ─────── budget
//!        reading ahead goes on      pages of idle readers are dropped: writers find room
//! ```

use super::file::OpenFile;
use super::{DOZE, Driver};
use crate::backend::Backend;
use crate::caller::drop_read_ahead;
use crate::fd::{DRIVER, Slot, Waiting};
use crate::page::SLAB_BYTES;
use std::time::Duration;

/// A reader that took nothing for so long does without its pages, if they are needed.
const IDLE: Duration = Duration::from_millis(100);
/// Readers looked at in one turn.
const LOOKS: usize = 64;
/// How long a peak of use is remembered.
const PERIOD: Duration = Duration::from_secs(1);

/// How much memory was in use lately.
#[derive(Default)]
pub struct Peak {
    used: usize,
    /// When the period ends.
    until: Duration,
}

impl<B: Backend> Driver<B> {
    /// A page was read ahead for the file.
    pub(super) fn list_reader(&mut self, slot: &Slot, file: &mut OpenFile<B::File>) {
        if !file.listed {
            file.listed = true;
            file.incoming().seen = (slot.consumed(), self.now);
            self.readers.push_back(file.fd);
        }
    }

    /// When memory is short, drops what idle readers do not take, the oldest first.
    pub(super) fn relieve(&mut self) {
        for _ in 0..self.readers.len().min(LOOKS) {
            if !self.is_short() {
                return;
            }
            let Some(fd) = self.readers.pop_front() else {
                return;
            };
            let mut stays = false;
            self.with_file(fd.index(), |driver, slot, file| {
                if file.fd == fd {
                    stays = !driver.dispossess(slot, file);
                    file.listed = stays;
                }
            });
            if stays {
                self.readers.push_back(fd);
            }
        }
    }

    fn is_short(&self) -> bool {
        let pool = &self.shared.pool;
        pool.free() < pool.budget() / 8 || (!self.starved.is_empty() && !pool.has_room())
    }

    /// Drops the pages of a reader that is idle; whether it has none any more.
    fn dispossess(&mut self, slot: &Slot, file: &mut OpenFile<B::File>) -> bool {
        let consumed = slot.consumed();
        let (fd, epoch) = (file.fd, file.epoch());
        let Some(incoming) = &mut file.incoming else {
            return true;
        };
        incoming.plan.consumed(consumed);
        if incoming.plan.stands_still() {
            return true;
        }
        if consumed != incoming.seen.0 || slot.is_waiting(Waiting::DATA) {
            incoming.seen = (consumed, self.now);
        }
        if self.now.saturating_sub(incoming.seen.1) < IDLE {
            return false;
        }
        let Ok(mut ends) = slot.ends.try_acquire(DRIVER) else {
            // In a call right now: not idle at all.
            return false;
        };
        if ends.generation == fd.generation() && ends.epoch == epoch {
            let wasted = incoming.plan.unconsumed();
            self.shared.counters.read_ahead_wasted.add(wasted);
            drop_read_ahead(&mut ends);
            // The next read begins a new run where the position stands.
            incoming.plan.stop();
        }
        true
    }

    /// Gives slabs back that were not used for a while.
    pub(super) fn trim(&mut self) {
        let pool = &self.shared.pool;
        self.peak.used = self.peak.used.max(pool.used());
        if self.now < self.peak.until {
            return;
        }
        let keep = (self.peak.used.div_ceil(SLAB_BYTES) + 1) * SLAB_BYTES;
        while let Some((number, slab)) = pool.withdraw(keep) {
            self.backend.forget_slab(number);
            pool.release(number, slab);
        }
        self.peak = Peak {
            used: pool.used(),
            until: self.now.saturating_add(PERIOD),
        };
    }

    /// When memory has to be looked at, if nothing else happens.
    pub(super) fn next_look(&self) -> Option<Duration> {
        let pool = &self.shared.pool;
        if !self.starved.is_empty() {
            // Readers may go idle, and buffers come back, without a word.
            let moment = if pool.has_room() { DOZE } else { IDLE };
            return Some(self.now.saturating_add(moment));
        }
        (pool.mapped() > pool.used() + 2 * SLAB_BYTES).then_some(self.peak.until)
    }
}
