//! A receiver that sleeps.

use core::fmt;
use std::time::Duration;

use efio_sync::Sleep;
use efio_sync::shim::deadline::Deadline;

use super::{Next, Receiver};
use crate::Queue;

/// Why [`Receiver::recv_timeout`] returned without an item.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RecvTimeoutError {
    /// Nothing was sent in time.
    Timeout,
    /// The inbox is closed and empty.
    Closed,
}

impl fmt::Display for RecvTimeoutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Timeout => "nothing was sent in time",
            Self::Closed => "the inbox is closed and empty",
        })
    }
}

impl core::error::Error for RecvTimeoutError {}

impl<T, Q: Queue<T>, A: Sleep> Receiver<T, Q, A> {
    /// Takes the item at the front; sleeps until there is one. `None`: closed and empty.
    pub fn recv(&mut self) -> Option<T> {
        loop {
            match self.try_next() {
                Next::Item(item) => return Some(item),
                Next::Closed => return None,
                Next::Empty => _ = self.shared.bell.wait(None),
            }
        }
    }

    /// Takes the item at the front; sleeps until there is one, at most `timeout`.
    ///
    /// # Errors
    ///
    /// When the time is up, or the inbox is closed and empty.
    pub fn recv_timeout(&mut self, timeout: Duration) -> Result<T, RecvTimeoutError> {
        let deadline = Deadline::after(timeout);
        let mut left = Some(timeout);
        loop {
            match self.try_next() {
                Next::Item(item) => return Ok(item),
                Next::Closed => return Err(RecvTimeoutError::Closed),
                Next::Empty if left == Some(Duration::ZERO) => {
                    return Err(RecvTimeoutError::Timeout);
                }
                Next::Empty => _ = self.shared.bell.wait(left),
            }
            left = deadline.left();
        }
    }
}
