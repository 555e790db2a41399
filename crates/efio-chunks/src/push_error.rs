//! The error of a push.

use core::fmt;

/// Why a chunk was not taken; carries it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum PushError<C> {
    /// The stream is bounded and holds too many bytes.
    Full(C),
    /// The reader was dropped.
    ReaderGone(C),
}

impl<C> PushError<C> {
    /// Returns the chunk.
    pub fn into_inner(self) -> C {
        match self {
            Self::Full(chunk) | Self::ReaderGone(chunk) => chunk,
        }
    }
}

impl<C> fmt::Debug for PushError<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "Full(..)",
            Self::ReaderGone(_) => "ReaderGone(..)",
        })
    }
}

impl<C> fmt::Display for PushError<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "the stream is full",
            Self::ReaderGone(_) => "the stream has no reader any more",
        })
    }
}

impl<C> std::error::Error for PushError<C> {}
