//! Waiting on the calling thread, for programs and tests that have nothing else to do.

use crate::caller::Unwritten;
use crate::engine::Engine;
use crate::fd::{Fd, Notify};
use crate::file::File;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// Waiting on the calling thread. A wait that timed out leaves nothing behind: no call happens later
/// that was not asked for before it. What it waited for goes on: a flush, a sync, a close, and an open,
/// which only [`AsyncFile::open`](crate::AsyncFile::open) withdraws. Each call fails with `TimedOut` when `timeout` is over (`None`: never), with `EDEADLK` on the engine's own
/// thread, where a callback runs, and with `ESHUTDOWN` when the engine ends meanwhile. They take
/// no events: a program that lives by them alone opens its files with
/// [`OpenOptions::wakers`](crate::OpenOptions::wakers).
impl File {
    /// Waits until the kernel has opened the file.
    ///
    /// # Errors
    ///
    /// The error of the open; `EBADF` when closed.
    pub fn wait_open(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.shared.wait(self.fd, timeout, |shared, waker| {
            shared.poll_open(self.fd, waker)
        })
    }

    /// Waits until a read is answered at once: with bytes, with the end of file, or with an error,
    /// which the read then brings.
    ///
    /// # Errors
    ///
    /// `EBADF` when closed, or not open for reading.
    pub fn wait_readable(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.shared.wait(self.fd, timeout, |shared, waker| {
            shared.poll_readable(self.fd, waker)
        })
    }

    /// Waits until a write is answered at once: accepted in part at least, or with an error, which
    /// the write then brings.
    ///
    /// # Errors
    ///
    /// `EBADF` when closed, or not open for writing.
    pub fn wait_writable(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.shared.wait(self.fd, timeout, |shared, waker| {
            shared.poll_writable(self.fd, waker)
        })
    }

    /// How long the file is, with every byte accepted before.
    ///
    /// # Errors
    ///
    /// Those of [`size`](Self::size).
    pub fn wait_len(&self, timeout: Option<Duration>) -> io::Result<u64> {
        self.shared.wait(self.fd, timeout, |shared, waker| {
            shared.polled(shared.size_for(self.fd, Notify::Waker(waker)))
        })
    }

    /// Has every byte accepted so far written, and waits until the kernel has them.
    ///
    /// # Errors
    ///
    /// Those of [`poll_flush`](Self::poll_flush).
    pub fn wait_flushed(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.shared.wait(self.fd, timeout, |shared, waker| {
            shared.poll_flush(self.fd, waker)
        })
    }

    /// Waits until every byte below `mark` is durable; asks for it if nobody has.
    ///
    /// # Errors
    ///
    /// Those of [`poll_sync`](Self::poll_sync).
    pub fn wait_synced(&self, mark: u64, timeout: Option<Duration>) -> io::Result<()> {
        self.shared.wait(self.fd, timeout, |shared, waker| {
            shared.poll_sync(self.fd, mark, waker)
        })
    }

    /// Takes back what was not written, as [`take_unwritten`](Self::take_unwritten) does; waits
    /// until the write in flight, if there is one, has ended.
    ///
    /// # Errors
    ///
    /// Those of [`poll_unwritten`](Self::poll_unwritten).
    pub fn wait_unwritten(&self, timeout: Option<Duration>) -> io::Result<Vec<Unwritten>> {
        self.shared.wait(self.fd, timeout, |shared, waker| {
            let unwritten = shared.take_unwritten_for(self.fd, Notify::Waker(waker));
            shared.polled(unwritten)
        })
    }

    /// Closes the file and waits until that is done. After a timeout it goes on in the background.
    ///
    /// # Errors
    ///
    /// The first error of the file; `EBADF` when it was closed by its number before.
    pub fn wait_closed(mut self, timeout: Option<Duration>) -> io::Result<()> {
        let shared = Arc::clone(&self.shared);
        shared.block_on(timeout, |waker| self.poll_closed(waker))
    }
}

/// The same on the number.
impl Engine {
    /// Waits for the open; see [`File::wait_open`].
    ///
    /// # Errors
    ///
    /// Those of [`File::wait_open`].
    pub fn wait_open(&self, fd: Fd, timeout: Option<Duration>) -> io::Result<()> {
        self.shared
            .wait(fd, timeout, |shared, waker| shared.poll_open(fd, waker))
    }

    /// Waits for something to read; see [`File::wait_readable`].
    ///
    /// # Errors
    ///
    /// Those of [`File::wait_readable`].
    pub fn wait_readable(&self, fd: Fd, timeout: Option<Duration>) -> io::Result<()> {
        self.shared
            .wait(fd, timeout, |shared, waker| shared.poll_readable(fd, waker))
    }

    /// Waits for room to write; see [`File::wait_writable`].
    ///
    /// # Errors
    ///
    /// Those of [`File::wait_writable`].
    pub fn wait_writable(&self, fd: Fd, timeout: Option<Duration>) -> io::Result<()> {
        self.shared
            .wait(fd, timeout, |shared, waker| shared.poll_writable(fd, waker))
    }

    /// Waits until all that was accepted is written; see [`File::wait_flushed`].
    ///
    /// # Errors
    ///
    /// Those of [`File::wait_flushed`].
    pub fn wait_flushed(&self, fd: Fd, timeout: Option<Duration>) -> io::Result<()> {
        self.shared
            .wait(fd, timeout, |shared, waker| shared.poll_flush(fd, waker))
    }

    /// Waits until all below `mark` is durable; see [`File::wait_synced`].
    ///
    /// # Errors
    ///
    /// Those of [`File::wait_synced`].
    pub fn wait_synced(&self, fd: Fd, mark: u64, timeout: Option<Duration>) -> io::Result<()> {
        self.shared.wait(fd, timeout, |shared, waker| {
            shared.poll_sync(fd, mark, waker)
        })
    }

    /// Closes the file and waits until that is done; see [`File::close_wait`].
    ///
    /// # Errors
    ///
    /// Those of [`File::close_wait`].
    pub fn wait_closed(&self, fd: Fd, timeout: Option<Duration>) -> io::Result<()> {
        let mut closing = None;
        self.shared.block_on(timeout, |waker| {
            let answer = match &closing {
                Some(answer) => answer,
                None => closing.insert(self.shared.close_with_result(fd)?),
            };
            self.shared.poll_oneshot(answer, waker)
        })
    }
}
