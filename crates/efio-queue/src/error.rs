//! Why a push was refused.

use core::fmt;

/// A push was refused; the value comes back.
///
/// ```
/// use efio_queue::{MsQueue, PushError};
///
/// let queue = MsQueue::with_capacity(1);
/// queue.push("kept").unwrap();
/// assert_eq!(queue.push("refused"), Err(PushError::Full("refused")));
/// queue.close();
/// assert_eq!(queue.push("late").unwrap_err().into_inner(), "late");
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum PushError<T> {
    /// No room: a bounded queue holds all that it may, or no memory is available.
    Full(T),
    /// The queue was closed.
    Closed(T),
}

impl<T> PushError<T> {
    /// Returns the value that was not pushed.
    #[inline]
    pub fn into_inner(self) -> T {
        match self {
            Self::Full(value) | Self::Closed(value) => value,
        }
    }

    /// Returns whether the queue was full. It may take the value later.
    #[inline]
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Full(_))
    }

    /// Returns whether the queue was closed. It will never take the value.
    #[inline]
    pub fn is_closed(&self) -> bool {
        matches!(self, Self::Closed(_))
    }

    /// Returns the same error with another value.
    #[inline]
    pub(crate) fn with<U>(self, value: U) -> PushError<U> {
        match self {
            Self::Full(_) => PushError::Full(value),
            Self::Closed(_) => PushError::Closed(value),
        }
    }
}

impl<T> fmt::Debug for PushError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "Full(..)",
            Self::Closed(_) => "Closed(..)",
        })
    }
}

impl<T> fmt::Display for PushError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "the queue is full",
            Self::Closed(_) => "the queue is closed",
        })
    }
}

impl<T> core::error::Error for PushError<T> {}
