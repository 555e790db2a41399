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

use crate::fd::Fd;
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
    files: HashMap<Fd, Retry>,
    /// The pauses that are not over.
    pauses: BTreeSet<(Duration, Fd)>,
}

struct Retry {
    tries: u32,
    /// When the first of these tries failed.
    since: Duration,
    /// When the pause ends.
    until: Duration,
}

/// Returns the pause before try number `tries` + 1.
fn pause(tries: u32) -> Duration {
    match tries {
        0 | 1 => Duration::ZERO,
        tries => FIRST_PAUSE * (1 << (tries - 2).min(DOUBLINGS)),
    }
}

impl Retries {
    /// Handles a transient error of the file: starts a pause, unless one is running.
    pub fn handle_error(&mut self, fd: Fd, now: Duration) {
        let retry = self.files.entry(fd).or_insert(Retry {
            tries: 0,
            since: now,
            until: now,
        });
        if retry.until <= now {
            retry.tries += 1;
            self.pauses.remove(&(retry.until, fd));
            retry.until = now.saturating_add(pause(retry.tries));
            self.pauses.insert((retry.until, fd));
        }
    }

    /// Handles an open that has to be submitted again. Returns whether it is retried after the
    /// pause: not after [`OPEN_TIMEOUT`].
    pub fn handle_open(&mut self, fd: Fd, now: Duration) -> bool {
        self.handle_error(fd, now);
        now.saturating_sub(self.files[&fd].since) <= OPEN_TIMEOUT
    }

    /// Handles an op that completed in another way: resets the count of tries.
    #[inline]
    pub fn handle_success(&mut self, fd: Fd) {
        if !self.files.is_empty() {
            self.reset_tries(fd);
        }
    }

    #[cold]
    fn reset_tries(&mut self, fd: Fd) {
        let Some(retry) = self.files.get_mut(&fd) else {
            return;
        };
        retry.tries = 0;
        // The entry of a paused file is removed at the end of the pause.
        if !self.pauses.contains(&(retry.until, fd)) {
            self.files.remove(&fd);
        }
    }

    /// Returns whether the file is paused.
    #[inline]
    pub fn is_paused(&self, fd: Fd, now: Duration) -> bool {
        !self.files.is_empty() && (self.files.get(&fd)).is_some_and(|retry| retry.until > now)
    }

    /// Returns when the first pause ends.
    pub fn next(&self) -> Option<Duration> {
        self.pauses.first().map(|&(until, _)| until)
    }

    /// Returns a file whose pause is over.
    pub fn poll_resumed(&mut self, now: Duration) -> Option<Fd> {
        let &(_, fd) = self.pauses.first().filter(|&&(until, _)| until <= now)?;
        self.pauses.pop_first();
        if self.files.get(&fd).is_some_and(|retry| retry.tries == 0) {
            self.files.remove(&fd);
        }
        Some(fd)
    }

    /// Removes a closed file.
    pub fn remove(&mut self, fd: Fd) {
        if let Some(retry) = self.files.remove(&fd) {
            self.pauses.remove(&(retry.until, fd));
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
            retries.handle_error(fd(), now);
            let until = retries.files[&fd()].until;
            pauses.push((until - now).as_millis() as u64);
            assert_eq!(retries.is_paused(fd(), now), until > now);
            assert!(!retries.is_paused(fd(), until));
            assert_eq!(retries.next(), Some(until));
            now = until;
        }
        assert_eq!(pauses, [0, 1, 2, 4, 8, 16, 32, 64, 128, 128, 128, 128]);
        retries.handle_success(fd());
        retries.handle_error(fd(), now);
        assert_eq!(retries.next(), Some(now), "from the start again");
        retries.remove(fd());
        assert_eq!(retries.next(), None);
    }

    #[test]
    fn ops_that_failed_together_count_once() {
        let mut retries = Retries::default();
        for _ in 0..32 {
            retries.handle_error(fd(), ms(5));
        }
        assert_eq!(retries.next(), Some(ms(6)));
    }
}
