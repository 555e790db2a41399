//! Deadlines: the one place where a timeout becomes an `Instant`. `Duration::MAX`, and any other
//! timeout that no `Instant` can hold, is for ever.

use std::time::{Duration, Instant};

/// When to give up waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline(Option<Instant>);

impl Deadline {
    /// After `timeout` from now on.
    pub fn after(timeout: Duration) -> Self {
        Self(Instant::now().checked_add(timeout))
    }

    /// The same; `None` is never.
    pub fn within(timeout: Option<Duration>) -> Self {
        Self(timeout.and_then(|timeout| Self::after(timeout).0))
    }

    /// How long until then: zero once it is over, `None` if it never comes.
    pub fn left(self) -> Option<Duration> {
        let deadline = self.0?;
        Some(deadline.saturating_duration_since(Instant::now()))
    }

    /// Whether it is over.
    pub fn is_over(self) -> bool {
        self.left().is_some_and(|left| left.is_zero())
    }
}

#[cfg(all(test, not(loom), not(shuttle)))]
mod tests {
    use super::*;

    /// F66.
    #[test]
    fn what_no_moment_holds_is_for_ever() {
        for timeout in [Duration::MAX, Duration::from_secs(u64::MAX / 2)] {
            let deadline = Deadline::after(timeout);
            assert_eq!((deadline.left(), deadline.is_over()), (None, false));
        }
        assert!(!Deadline::within(None).is_over());
        assert!(Deadline::after(Duration::ZERO).is_over());
        let left = Deadline::within(Some(Duration::from_secs(60))).left();
        assert!(left.is_some_and(|left| left > Duration::from_secs(1)));
    }
}
