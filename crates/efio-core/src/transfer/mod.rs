//! Transfers: a file to a socket, a socket to a file, a file to a file, one bounded step at a time,
//! from any event loop.
//!
//! | type | from → to | copies in this process |
//! |---|---|---|
//! | [`SendFile`] | file → anything that implements [`Write`](std::io::Write) | none: the page that was read is written |
//! | [`ReceiveFile`] | socket → file | none: `recv(2)` fills the page that will be written |
//! | [`CopyFile`], [`copy()`] | file → file | none where the offsets are congruent modulo 4 KiB (a page changes streams), else one |
//!
//! A step never waits. It returns what to wait for: the [`Readable`](crate::EventKind::Readable) or
//! [`Writable`](crate::EventKind::Writable) event of the file, or the socket's readiness. It
//! transfers at most 32 KiB or one page, so that a loop with many connections stays fair between
//! them. [`SendFile::in_target`] and [`ReceiveFile::in_socket`] return the time spent in the calls
//! of the socket.
//!
//! While a transfer runs, nothing else should use the file's position. If a read or a seek moves it
//! during a step of [`SendFile`], the step fails with `EBUSY`. Bytes of a write are inserted
//! between those of the transfer.

mod by_path;
mod copy;
mod receive;
mod send;

pub use by_path::{CopyError, copy};
pub use copy::CopyFile;
pub use receive::ReceiveFile;
pub use send::SendFile;

/// The result of one step of a transfer.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// This many bytes were transferred. More may be available at once: step again after the other
    /// connections had their turn.
    Moved(usize),
    /// The source has no bytes now. Step again after the file's Readable event, or when the socket
    /// is readable.
    WaitSource,
    /// The target has no room now. Step again after the file's Writable event, or when the socket
    /// is writable.
    WaitTarget,
    /// All bytes are transferred.
    Done,
}

/// The rest of a transfer that may have a length.
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

    /// Returns how many bytes may still be transferred, at most `most`; 0 when all are.
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

    /// Returns the result when the source ends: an error if the transfer has a length.
    fn source_ended(&self) -> std::io::Result<Step> {
        match self.wanted {
            None => Ok(Step::Done),
            Some(_) => Err(std::io::ErrorKind::UnexpectedEof.into()),
        }
    }
}
