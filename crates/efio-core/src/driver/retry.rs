//! Retries ops that failed with a transient error (`EAGAIN`, `EINTR`): at once the first time, then
//! after pauses that double.
//!
//! ```text
//!  tries      1    2     3     4     …    9        …
//!  pause      0   1 ms  2 ms  4 ms   …  128 ms   128 ms
//! ```
//!
//! A paused file submits nothing, so a file system that returns `EAGAIN` forever costs a few calls
//! a second, and other files do not wait. The accepted bytes stay in memory meanwhile. The first op
//! that completes in another way resets the count.
//!
//! An open pauses too. Another process may hold a lease on the file, which the kernel breaks after
//! `/proc/sys/fs/lease-break-time` (45 s). A blocking `open(2)` would sleep for that long, and keep
//! a worker from all other files. So the open does not block, and is retried.

use super::Driver;
use super::file::OpenFile;
use super::ops::Purpose;
use crate::backend::Backend;
use crate::fd::Fd;
use crate::op::{Op, OpenSpec};
use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

/// The first pause.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
/// How often it doubles.
const DOUBLINGS: u32 = 7;
/// An open that is retried for so long fails with `EBUSY`: twice the time after which the kernel
/// breaks a lease.
const OPEN_TIMEOUT: Duration = Duration::from_secs(90);

/// Files whose last op failed with a transient error.
#[derive(Default)]
pub struct Retries {
    files: HashMap<u32, Retry>,
    /// The pauses that are not over, with the index of the file.
    pauses: BTreeSet<(Duration, u32)>,
}

struct Retry {
    fd: Fd,
    tries: u32,
    /// When the first of these tries failed.
    since: Duration,
    /// When the pause ends.
    until: Duration,
    /// The open to submit again.
    open: Option<Box<OpenSpec>>,
}

impl Retry {
    fn new(fd: Fd, now: Duration) -> Self {
        Self {
            fd,
            tries: 0,
            since: now,
            until: now,
            open: None,
        }
    }
}

/// Returns the pause before try number `tries` + 1.
fn pause(tries: u32) -> Duration {
    match tries {
        0 | 1 => Duration::ZERO,
        tries => FIRST_PAUSE * (1 << (tries - 2).min(DOUBLINGS)),
    }
}

impl Retries {
    /// Records a transient error of the file: starts a pause, unless one is running.
    fn record(&mut self, fd: Fd, now: Duration) -> &mut Retry {
        let retry = self
            .files
            .entry(fd.index())
            .or_insert_with(|| Retry::new(fd, now));
        if retry.until <= now {
            retry.tries += 1;
            self.pauses.remove(&(retry.until, fd.index()));
            retry.until = now.saturating_add(pause(retry.tries));
            self.pauses.insert((retry.until, fd.index()));
        }
        retry
    }

    /// Resets the count of tries: an op of the file completed in another way.
    #[inline]
    pub fn reset(&mut self, fd: Fd) {
        if !self.files.is_empty() {
            self.reset_tries(fd);
        }
    }

    #[cold]
    fn reset_tries(&mut self, fd: Fd) {
        let Some(retry) = self.files.get_mut(&fd.index()) else {
            return;
        };
        retry.tries = 0;
        // The entry of a paused file is removed at the end of the pause.
        if !self.pauses.contains(&(retry.until, fd.index())) {
            self.files.remove(&fd.index());
        }
    }

    /// Returns whether the file is paused.
    #[inline]
    pub fn is_paused(&self, fd: Fd, now: Duration) -> bool {
        !self.files.is_empty()
            && self
                .files
                .get(&fd.index())
                .is_some_and(|retry| retry.until > now)
    }

    /// Returns when the first pause ends.
    pub fn next(&self) -> Option<Duration> {
        self.pauses.first().map(|&(until, _)| until)
    }

    /// Removes a closed file.
    pub fn remove(&mut self, fd: Fd) {
        if let Some(retry) = self.files.remove(&fd.index()) {
            self.pauses.remove(&(retry.until, fd.index()));
        }
    }
}

impl<B: Backend> Driver<B> {
    /// Pauses the file after a transient error.
    pub(super) fn pause(&mut self, fd: Fd) {
        self.retries.record(fd, self.now);
    }

    /// Attempts to schedule a retry of the open; `false` after [`OPEN_TIMEOUT`].
    pub(super) fn retry_open(&mut self, file: &OpenFile<B::File>, spec: Box<OpenSpec>) -> bool {
        let now = self.now;
        let retry = self.retries.record(file.fd, now);
        if now.saturating_sub(retry.since) > OPEN_TIMEOUT {
            return false;
        }
        retry.open = Some(spec);
        true
    }

    /// Resumes the files whose pause is over.
    pub(super) fn resume_paused(&mut self) {
        while let Some(&(until, index)) = self.retries.pauses.first() {
            if until > self.now {
                return;
            }
            self.retries.pauses.pop_first();
            let Some(retry) = self.retries.files.get_mut(&index) else {
                continue;
            };
            let (fd, open) = (retry.fd, retry.open.take());
            if retry.tries == 0 {
                self.retries.files.remove(&index);
            }
            self.with_file(index, |driver, slot, file| {
                debug_assert!(file.fd == fd, "an entry goes with its file");
                if let Some(spec) = open {
                    driver.submit(index, Purpose::Open, Op::Open(spec));
                }
                driver.try_serve(slot, file);
                driver.answer_sizes(slot, file);
                driver.drive(slot, file);
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fd() -> Fd {
        Fd::from_bits(1 << 32 | 7)
    }

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    /// F61.
    #[test]
    fn pauses_grow_and_end_with_the_first_success() {
        let mut retries = Retries::default();
        let mut now = ms(100);
        let mut pauses = Vec::new();
        for _ in 0..12 {
            let until = retries.record(fd(), now).until;
            pauses.push((until - now).as_millis() as u64);
            assert_eq!(retries.is_paused(fd(), now), until > now);
            assert!(!retries.is_paused(fd(), until));
            assert_eq!(retries.next(), Some(until));
            now = until;
        }
        assert_eq!(pauses, [0, 1, 2, 4, 8, 16, 32, 64, 128, 128, 128, 128]);
        retries.reset(fd());
        assert_eq!(retries.record(fd(), now).until, now, "from the start again");
        retries.remove(fd());
        assert_eq!(retries.next(), None);
    }

    #[test]
    fn ops_that_failed_together_count_once() {
        let mut retries = Retries::default();
        for _ in 0..32 {
            retries.record(fd(), ms(5));
        }
        assert_eq!(retries.next(), Some(ms(6)));
    }
}
