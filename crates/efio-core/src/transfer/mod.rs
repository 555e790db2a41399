//! Transfers: a file to a socket, a socket to a file, a file to a file, one bounded step at a time,
//! driven by whatever loop there is.
//!
//! | machine | from → to | copies in this process |
//! |---|---|---|
//! | [`SendFile`] | file → anything that implements [`Write`](std::io::Write) | none: the page that was read is written |
//! | [`ReceiveFile`] | socket → file | none: `recv(2)` fills the page that will be written |
//! | [`CopyFile`], [`copy()`] | file → file | none where the offsets are congruent modulo 4 KiB (a page changes streams), else one |
//!
//! A step never waits. It says what to wait for: the [`Readable`](crate::EventKind::Readable) or
//! [`Writable`](crate::EventKind::Writable) event of the file, or the socket's readiness. It moves
//! so little that a loop with many connections stays fair between them: 32 KiB, or one page.
//! [`SendFile::in_target`] and [`ReceiveFile::in_socket`] tell the time in the calls of the socket from efio's own.
//!
//! While a transfer runs it should have the file for itself: a read or a seek in between is
//! noticed and fails with `EBUSY`, a write in between goes in between.

mod by_path;
mod copy;
mod receive;
mod send;

pub use by_path::{CopyError, copy};
pub use copy::CopyFile;
pub use receive::ReceiveFile;
pub use send::SendFile;

/// Where a transfer stands after a step.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// That many bytes were moved. There may be more to move at once: step again when others had
    /// their turn.
    Moved(usize),
    /// The source has nothing now. Step again after the file's Readable event, or when the socket
    /// is readable.
    WaitSource,
    /// The target takes nothing now. Step again after the file's Writable event, or when the
    /// socket is writable.
    WaitTarget,
    /// All is moved.
    Done,
}

/// What is left of a transfer that may have a length.
#[derive(Clone, Copy, Debug)]
struct Left {
    wanted: Option<u64>,
    transferred: u64,
}

impl Left {
    const fn new(wanted: Option<u64>) -> Self {
        Self {
            wanted,
            transferred: 0,
        }
    }

    /// Bytes that may still be moved, at most `most`; 0 when all are.
    fn at_most(&self, most: usize) -> usize {
        let Some(wanted) = self.wanted else {
            return most;
        };
        usize::try_from(wanted - self.transferred).map_or(most, |left| left.min(most))
    }

    fn transferred(&mut self, n: usize) -> Step {
        self.transferred += n as u64;
        Step::Moved(n)
    }

    /// What the end of the source means.
    fn source_ended(&self) -> std::io::Result<Step> {
        match self.wanted {
            None => Ok(Step::Done),
            Some(_) => Err(std::io::ErrorKind::UnexpectedEof.into()),
        }
    }
}
