//! Receives from a socket into the page of a file that will be written.

use super::{Left, Step};
use crate::caller::transfer::Received;
use crate::file::File;
use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

/// Bytes per step: one `recv(2)`, which copies them in some microseconds. Half of it costs a fifth
/// of the throughput; twice as much makes the longest calls half as long again.
const STEP: usize = 32 << 10;

/// Receives from a socket into a file at its position.
///
/// The kernel copies from the socket into the open page while the caller holds the file's lock. The
/// bytes are accepted, in order, as after [`File::write`], without a copy in between. The source is
/// a socket's descriptor and not any reader, because no foreign code may run under the file's lock.
/// Bytes that have to be processed first (TLS, a chunked body) go through [`File::write`], which is
/// one copy.
///
/// # Examples
///
/// ```
/// use efio_core::transfer::{ReceiveFile, Step};
/// # use efio_core::{Engine, OpenOptions};
/// # use std::io::Write;
/// # fn main() -> std::io::Result<()> {
/// # let path = std::env::temp_dir().join(format!("efio-receive-{}", std::process::id()));
/// # let engine = Engine::new()?;
/// let (mut peer, socket) = std::os::unix::net::UnixStream::pair()?;
/// peer.write_all(b"hello, world")?;
/// let file = engine.open(&path, &OpenOptions::new().write(true).create(true))?;
/// let mut receive = ReceiveFile::new(Some(5)); // the rest stays in the socket
/// while receive.step(&file, &socket)? != Step::Done {}
/// assert_eq!(file.progress()?.accepted, 5);
/// # drop(file);
/// # engine.shutdown(std::time::Duration::from_secs(10))?;
/// # assert_eq!(std::fs::read(&path)?, b"hello");
/// # std::fs::remove_file(path)?;
/// # Ok(()) }
/// ```
#[derive(Debug)]
#[must_use = "a transfer moves nothing until it is stepped"]
pub struct ReceiveFile {
    left: Left,
    in_socket: Duration,
}

impl ReceiveFile {
    /// Creates a transfer of `len` bytes, or of all until the peer sends no more.
    pub fn new(len: Option<u64>) -> Self {
        Self {
            left: Left::new(len),
            in_socket: Duration::ZERO,
        }
    }

    /// Returns the number of bytes that the file has accepted.
    pub fn transferred(&self) -> u64 {
        self.left.transferred
    }

    /// Returns the time spent in `recv(2)` so far. The rest of the steps' time was spent in efio.
    pub fn in_socket(&self) -> Duration {
        self.in_socket
    }

    /// Receives at most 32 KiB with one call of `recv(2)`, which does not wait even if the socket
    /// is blocking.
    ///
    /// # Errors
    ///
    /// - `UnexpectedEof` when the peer ends before `len` bytes.
    /// - Those of [`File::write`], except `WouldBlock`.
    /// - Those of `recv(2)`, for example `ENOTSOCK`.
    pub fn step(&mut self, file: &File, from: impl AsFd) -> io::Result<Step> {
        let most = self.left.at_most(STEP);
        if most == 0 {
            return Ok(Step::Done);
        }
        match file.receive(from.as_fd(), most, &mut self.in_socket)? {
            Received::Bytes(n) => Ok(self.left.transferred(n)),
            Received::End => self.left.source_ended(),
            Received::Nothing => Ok(Step::WaitSource),
            Received::NoRoom => Ok(Step::WaitTarget),
        }
    }
}
