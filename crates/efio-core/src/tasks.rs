//! Files for tasks: the calls that have a waker woken instead of sending an event.

use crate::caller::Unwritten;
use crate::fd::Notify;
use crate::file::File;
use std::io::{self, IoSlice, IoSliceMut};
use std::task::{Context, Poll, Waker};

/// For tasks of any runtime: a call that cannot be answered yet has the task woken when it can.
/// They work on any file; with [`OpenOptions::events`](crate::OpenOptions::events) it sends no
/// events besides. Dropping what polls them loses nothing, and nothing of it happens later: what was
/// accepted is accepted, a byte is read only by the call that gives it out, and a flush, a sync or a
/// close that was asked for goes on.
impl File {
    /// Ready once the kernel has opened the file.
    ///
    /// # Errors
    ///
    /// The error of the open; `EBADF` when closed, `ESHUTDOWN` when the engine ended.
    pub fn poll_open(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.shared.poll_open(self.fd, cx.waker())
    }

    /// [`read`](Self::read) for a task.
    ///
    /// # Errors
    ///
    /// Those of [`read`](Self::read), but for `WouldBlock`.
    pub fn poll_read(&self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        self.shared.poll_read(self.fd, cx, buf)
    }

    /// [`read_vectored`](Self::read_vectored) for a task.
    ///
    /// # Errors
    ///
    /// Those of [`read`](Self::read), but for `WouldBlock`.
    pub fn poll_read_vectored(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        self.shared.poll_read_vectored(self.fd, cx, bufs)
    }

    /// [`write`](Self::write) for a task.
    ///
    /// # Errors
    ///
    /// Those of [`write`](Self::write), but for `WouldBlock`.
    pub fn poll_write(&self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.shared.poll_write(self.fd, cx, buf)
    }

    /// [`write_vectored`](Self::write_vectored) for a task.
    ///
    /// # Errors
    ///
    /// Those of [`write`](Self::write), but for `WouldBlock`.
    pub fn poll_write_vectored(
        &self,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.shared.poll_write_vectored(self.fd, cx, bufs)
    }

    /// [`len`](Self::len) for a task.
    ///
    /// # Errors
    ///
    /// Those of [`len`](Self::len), but for `WouldBlock`.
    pub fn poll_len(&self, cx: &mut Context<'_>) -> Poll<io::Result<u64>> {
        let notify = Notify::Waker(cx.waker());
        let size = self.shared.size_for(self.fd, notify);
        self.shared.polled(size)
    }

    /// Has every byte accepted so far written; ready once the kernel has them. This is not
    /// [`poll_sync`](Self::poll_sync).
    ///
    /// # Errors
    ///
    /// The file's failure, if there was one. `EBADF` when closed.
    pub fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.shared.poll_flush(self.fd, cx.waker())
    }

    /// Ready once every byte below `mark`, which [`sync`](Self::sync) gave, is durable. Asks for
    /// the sync itself if nobody has.
    ///
    /// # Errors
    ///
    /// The file's failure, if there was one. `EINVAL` for a mark beyond what was accepted, `EBADF`
    /// when closed.
    pub fn poll_sync(&self, cx: &mut Context<'_>, mark: u64) -> Poll<io::Result<()>> {
        self.shared.poll_sync(self.fd, mark, cx.waker())
    }

    /// [`take_unwritten`](Self::take_unwritten) for a task: ready once the write in flight, if there
    /// is one, has ended. Dropping the task before loses nothing: the bytes stay for the next call.
    ///
    /// # Errors
    ///
    /// Those of [`take_unwritten`](Self::take_unwritten), but for `WouldBlock`.
    pub fn poll_unwritten(&self, cx: &mut Context<'_>) -> Poll<io::Result<Vec<Unwritten>>> {
        let notify = Notify::Waker(cx.waker());
        let unwritten = self.shared.take_unwritten_for(self.fd, notify);
        self.shared.polled(unwritten)
    }

    /// Closes the file as [`close`](Self::close) does; ready once it is closed, as often as it is
    /// asked. The descriptor is stale from the first call on.
    ///
    /// # Errors
    ///
    /// The first error of the file. `EBADF` when it was closed by other means before, `ESHUTDOWN`
    /// when the engine ended and left it unwritten.
    pub fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_closed(cx.waker())
    }

    pub(crate) fn poll_closed(&mut self, waker: &Waker) -> Poll<io::Result<()>> {
        let answer = match &mut self.closing {
            Some(answer) => answer,
            none => none.insert(self.shared.close_with_result(self.fd)?),
        };
        self.shared.poll_oneshot(answer, waker)
    }
}
