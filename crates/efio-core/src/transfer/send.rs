//! Sends a file to a socket, from the pages that were read.

use super::{Left, Step};
use crate::file::File;
use std::io::{self, ErrorKind, IoSlice, Write};
use std::time::{Duration, Instant};

/// Bytes per step. A socket of the same machine runs its receiver's part of the protocol inside the
/// call: 64 KiB take up to three times as long as 32 KiB, with the same throughput.
const STEP: usize = 32 << 10;
/// The most pages per step.
const PAGES: usize = 16;

/// Sends a file, or a part of it, from its position on.
///
/// The target gets the pages themselves, in one vectored write per step, outside of any lock: it
/// can be a socket, a pipe, a TLS stream. The position advances by the number of bytes that the
/// target accepted.
///
/// # Examples
///
/// ```
/// use efio_core::transfer::{SendFile, Step};
/// # use efio_core::{Engine, OpenOptions};
/// # fn main() -> std::io::Result<()> {
/// # let path = std::env::temp_dir().join(format!("efio-send-{}", std::process::id()));
/// # std::fs::write(&path, b"hello, world")?;
/// # let engine = Engine::new()?;
/// let file = engine.open(&path, &OpenOptions::new().read(true))?;
/// let mut socket = Vec::new(); // in a server, a non-blocking socket
/// let mut send = SendFile::new(Some(5));
/// loop {
///     match send.step(&file, &mut socket)? {
///         Step::Done => break,
///         Step::Moved(_) => {} // an event loop serves others before the next step
///         // This program has nothing else to do. An event loop goes on with the next event.
///         Step::WaitSource => file.blocking(None).wait_readable()?,
///         Step::WaitTarget => unreachable!("a vector takes all"),
///     }
/// }
/// assert_eq!(socket, b"hello");
/// # std::fs::remove_file(path)?;
/// # Ok(()) }
/// ```
#[derive(Debug)]
#[must_use = "a transfer moves nothing until it is stepped"]
pub struct SendFile {
    left: Left,
    in_target: Duration,
}

impl SendFile {
    /// Creates a transfer of `len` bytes, or of all up to the end of the file.
    pub fn new(len: Option<u64>) -> Self {
        Self {
            left: Left::new(len),
            in_target: Duration::ZERO,
        }
    }

    /// Returns the number of bytes that the target has accepted.
    pub fn transferred(&self) -> u64 {
        self.left.transferred
    }

    /// Returns the time spent in the calls of the target so far. The rest of the steps' time was
    /// spent in efio.
    pub fn in_target(&self) -> Duration {
        self.in_target
    }

    /// Sends at most 32 KiB with one call of `to`.
    ///
    /// # Errors
    ///
    /// - `UnexpectedEof` when the file ends before `len` bytes.
    /// - `EBUSY` when another caller moved the position during the step.
    /// - Those of [`File::read`](File::read), except `WouldBlock`, and those of `to`.
    /// - `WriteZero` when `to` accepts no byte and returns no error.
    pub fn step(&mut self, file: &File, to: &mut impl Write) -> io::Result<Step> {
        let most = self.left.at_most(STEP);
        if most == 0 {
            return Ok(Step::Done);
        }
        let loan = match file.lend(PAGES, most) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Step::WaitSource),
            result => result?,
        };
        let mut slices = [IoSlice::new(&[]); PAGES];
        let filled = loan.slices().len();
        if filled == 0 {
            return self.left.source_ended();
        }
        for (slice, bytes) in slices.iter_mut().zip(loan.slices()) {
            *slice = IoSlice::new(bytes.as_slice());
        }
        let begun = Instant::now();
        let written = to.write_vectored(&slices[..filled]);
        self.in_target += begun.elapsed();
        match written {
            Ok(0) => Err(ErrorKind::WriteZero.into()),
            Ok(n) => {
                file.return_loan(loan, n)?;
                Ok(self.left.transferred(n))
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(Step::WaitTarget),
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(Step::Moved(0)),
            Err(error) => Err(error),
        }
    }
}
