//! Files for tasks: the calls that have a waker woken instead of sending an event.

use crate::caller::Locked;
use crate::fd::{Notify, Unwritten};
use crate::file::File;
use std::io::{self, IoSlice, IoSliceMut};
use std::task::{Context, Poll, Waker};

/// For tasks of any runtime: a call that cannot be answered yet has the task woken when it can.
/// They work on any file; with [`OpenOptions::events`](crate::OpenOptions::events) it sends no
/// events besides. Dropping what polls them loses nothing, and nothing of it happens later: what
/// was accepted is accepted, a byte is read only by the call that gives it out, and a flush, a sync
/// or a close that was asked for goes on.
///
/// A task is its waker. Its next poll of a flush or of the length goes on with one that was
/// pending, dropped or not: it covers what was accepted at the first of these polls, unless the
/// task wrote since by [`poll_write`](Self::poll_write) or the file was truncated.
impl File {
    /// Ready once the kernel has opened the file.
    ///
    /// # Errors
    ///
    /// The error of the open; `EBADF` when closed, `ESHUTDOWN` when the engine ended.
    ///
    /// ```
    /// use futures::executor::block_on;
    /// use std::future::poll_fn;
    ///
    /// # use efio_core::{Engine, OpenOptions};
    /// # use std::time::Duration;
    /// # fn main() -> std::io::Result<()> {
    /// # let path = std::env::temp_dir().join(format!("efio-poll-open-{}", std::process::id()));
    /// # std::fs::write(&path, b"hello")?;
    /// # let engine = Engine::new()?;
    /// let file = engine.open(&path, &OpenOptions::new().read(true))?;
    /// block_on(poll_fn(|cx| file.poll_open(cx)))?;
    /// assert!(file.open_status()?);
    /// # drop(engine);
    /// # std::fs::remove_file(path) }
    /// ```
    pub fn poll_open(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll(cx, |file, notify| file.opened(notify))
    }

    /// [`read`](Self::read) for a task. Like that, it may return fewer bytes than asked for in
    /// mid-file, although the file goes on.
    ///
    /// # Errors
    ///
    /// Those of [`read`](Self::read), but for `WouldBlock`.
    ///
    /// ```
    /// use futures::executor::block_on;
    /// use std::future::poll_fn;
    ///
    /// # use efio_core::{Engine, OpenOptions};
    /// # use std::time::Duration;
    /// # fn main() -> std::io::Result<()> {
    /// # let path = std::env::temp_dir().join(format!("efio-poll-read-{}", std::process::id()));
    /// # std::fs::write(&path, b"hello")?;
    /// # let engine = Engine::new()?;
    /// let file = engine.open(&path, &OpenOptions::new().read(true))?;
    /// let mut buf = [0; 16];
    /// let count = block_on(poll_fn(|cx| file.poll_read(cx, &mut buf)))?;
    /// assert!(count > 0 && b"hello".starts_with(&buf[..count])); // it may be short
    /// # drop(engine);
    /// # std::fs::remove_file(path) }
    /// ```
    pub fn poll_read(&self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        self.poll(cx, |file, notify| file.read(buf, notify))
    }

    /// [`read_vectored`](Self::read_vectored) for a task.
    ///
    /// # Errors
    ///
    /// Those of [`read`](Self::read), but for `WouldBlock`.
    ///
    /// ```
    /// use futures::executor::block_on;
    /// use std::future::poll_fn;
    /// use std::io::IoSliceMut;
    ///
    /// # use efio_core::{Engine, OpenOptions};
    /// # use std::time::Duration;
    /// # fn main() -> std::io::Result<()> {
    /// # let name = format!("efio-poll-read-vec-{}", std::process::id());
    /// # let path = std::env::temp_dir().join(name);
    /// # std::fs::write(&path, b"hello")?;
    /// # let engine = Engine::new()?;
    /// let file = engine.open(&path, &OpenOptions::new().read(true))?;
    /// let (mut head, mut rest) = ([0; 2], [0; 3]);
    /// let mut bufs = [IoSliceMut::new(&mut head), IoSliceMut::new(&mut rest)];
    /// let count = block_on(poll_fn(|cx| file.poll_read_vectored(cx, &mut bufs)))?;
    /// assert!((1..=5).contains(&count)); // it may be short
    /// # drop(engine);
    /// # std::fs::remove_file(path) }
    /// ```
    pub fn poll_read_vectored(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll(cx, |file, notify| file.read_vectored(bufs, notify))
    }

    /// Ready once a [`read`](Self::read) is answered at once, by this task or by any other caller:
    /// with bytes, with the end of file, or with an error, which the read then returns. Another
    /// caller may take the bytes first.
    ///
    /// # Errors
    ///
    /// `EBADF` when closed, or not open for reading; `ESHUTDOWN`.
    ///
    /// ```
    /// use futures::executor::block_on;
    /// use std::future::poll_fn;
    ///
    /// # use efio_core::{Engine, OpenOptions};
    /// # use std::time::Duration;
    /// # fn main() -> std::io::Result<()> {
    /// # let name = format!("efio-poll-readable-{}", std::process::id());
    /// # let path = std::env::temp_dir().join(name);
    /// # std::fs::write(&path, b"hello")?;
    /// # let engine = Engine::new()?;
    /// let file = engine.open(&path, &OpenOptions::new().read(true))?;
    /// block_on(poll_fn(|cx| file.poll_readable(cx)))?;
    /// let mut buf = [0; 16];
    /// assert!(file.read(&mut buf)? > 0); // answered at once
    /// # drop(engine);
    /// # std::fs::remove_file(path) }
    /// ```
    pub fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll(cx, |file, notify| file.readable(notify))
    }

    /// [`write`](Self::write) for a task.
    ///
    /// # Errors
    ///
    /// Those of [`write`](Self::write), but for `WouldBlock`.
    ///
    /// ```
    /// use futures::executor::block_on;
    /// use std::future::poll_fn;
    ///
    /// # use efio_core::{Engine, OpenOptions};
    /// # use std::time::Duration;
    /// # fn main() -> std::io::Result<()> {
    /// # let path = std::env::temp_dir().join(format!("efio-poll-write-{}", std::process::id()));
    /// # std::fs::write(&path, b"hello")?;
    /// # let engine = Engine::new()?;
    /// let file = engine.open(&path, &OpenOptions::new().write(true))?;
    /// assert_eq!(block_on(poll_fn(|cx| file.poll_write(cx, b"HELLO")))?, 5);
    /// block_on(poll_fn(|cx| file.poll_flush(cx)))?;
    /// assert_eq!(std::fs::read(&path)?, b"HELLO");
    /// # drop(engine);
    /// # std::fs::remove_file(path) }
    /// ```
    pub fn poll_write(&self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll(cx, |file, notify| file.write(buf, notify))
    }

    /// [`write_vectored`](Self::write_vectored) for a task.
    ///
    /// # Errors
    ///
    /// Those of [`write`](Self::write), but for `WouldBlock`.
    ///
    /// ```
    /// use futures::executor::block_on;
    /// use std::future::poll_fn;
    /// use std::io::IoSlice;
    ///
    /// # use efio_core::{Engine, OpenOptions};
    /// # use std::time::Duration;
    /// # fn main() -> std::io::Result<()> {
    /// # let name = format!("efio-poll-write-vec-{}", std::process::id());
    /// # let path = std::env::temp_dir().join(name);
    /// # std::fs::write(&path, b"hello")?;
    /// # let engine = Engine::new()?;
    /// let file = engine.open(&path, &OpenOptions::new().write(true))?;
    /// let line = [IoSlice::new(b"one "), IoSlice::new(b"line\n")];
    /// assert_eq!(block_on(poll_fn(|cx| file.poll_write_vectored(cx, &line)))?, 9);
    /// block_on(poll_fn(|cx| file.poll_flush(cx)))?;
    /// assert_eq!(std::fs::read(&path)?, b"one line\n");
    /// # drop(engine);
    /// # std::fs::remove_file(path) }
    /// ```
    pub fn poll_write_vectored(
        &self,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll(cx, |file, notify| file.write_vectored(bufs, notify))
    }

    /// [`len`](Self::len) for a task.
    ///
    /// # Errors
    ///
    /// Those of [`len`](Self::len), but for `WouldBlock`.
    ///
    /// ```
    /// use futures::executor::block_on;
    /// use std::future::poll_fn;
    ///
    /// # use efio_core::{Engine, OpenOptions};
    /// # use std::time::Duration;
    /// # fn main() -> std::io::Result<()> {
    /// # let path = std::env::temp_dir().join(format!("efio-poll-len-{}", std::process::id()));
    /// # std::fs::write(&path, b"hello")?;
    /// # let engine = Engine::new()?;
    /// let file = engine.open(&path, &OpenOptions::new().write(true))?;
    /// file.write(b"HELLO, WORLD")?;
    /// assert_eq!(block_on(poll_fn(|cx| file.poll_len(cx)))?, 12);
    /// # drop(engine);
    /// # std::fs::remove_file(path) }
    /// ```
    pub fn poll_len(&self, cx: &mut Context<'_>) -> Poll<io::Result<u64>> {
        self.poll(cx, |file, notify| file.size(notify))
    }

    /// Has every byte accepted so far written; ready once the kernel has them. This is not
    /// [`poll_sync`](Self::poll_sync).
    ///
    /// # Errors
    ///
    /// The file's failure, if there was one. `EBADF` when closed.
    ///
    /// ```
    /// use futures::executor::block_on;
    /// use std::future::poll_fn;
    ///
    /// # use efio_core::{Engine, OpenOptions};
    /// # use std::time::Duration;
    /// # fn main() -> std::io::Result<()> {
    /// # let path = std::env::temp_dir().join(format!("efio-poll-flush-{}", std::process::id()));
    /// # std::fs::write(&path, b"hello")?;
    /// # let engine = Engine::new()?;
    /// let file = engine.open(&path, &OpenOptions::new().write(true))?;
    /// file.write(b"HELLO")?;
    /// block_on(poll_fn(|cx| file.poll_flush(cx)))?;
    /// assert_eq!(file.progress()?.written, 5);
    /// # drop(engine);
    /// # std::fs::remove_file(path) }
    /// ```
    pub fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll(cx, |file, notify| file.flush(notify))
    }

    /// Ready once every byte below `mark`, which [`sync`](Self::sync) gave, is durable. Asks for
    /// the sync itself if nobody has.
    ///
    /// # Errors
    ///
    /// The file's failure, if there was one. `EINVAL` for a mark beyond what was accepted, `EBADF`
    /// when closed.
    ///
    /// ```
    /// use futures::executor::block_on;
    /// use std::future::poll_fn;
    ///
    /// # use efio_core::{Engine, OpenOptions};
    /// # use std::time::Duration;
    /// # fn main() -> std::io::Result<()> {
    /// # let path = std::env::temp_dir().join(format!("efio-poll-sync-{}", std::process::id()));
    /// # std::fs::write(&path, b"hello")?;
    /// # let engine = Engine::new()?;
    /// let file = engine.open(&path, &OpenOptions::new().write(true))?;
    /// file.write(b"HELLO")?;
    /// let mark = file.sync()?;
    /// block_on(poll_fn(|cx| file.poll_sync(cx, mark)))?;
    /// assert!(file.progress()?.durable >= mark);
    /// # drop(engine);
    /// # std::fs::remove_file(path) }
    /// ```
    pub fn poll_sync(&self, cx: &mut Context<'_>, mark: u64) -> Poll<io::Result<()>> {
        self.poll(cx, |file, notify| file.synced(mark, notify))
    }

    /// [`take_unwritten`](Self::take_unwritten) for a task: ready once the write in flight, if
    /// there is one, has ended. Dropping the task before loses nothing: the bytes stay for the next
    /// call.
    ///
    /// # Errors
    ///
    /// Those of [`take_unwritten`](Self::take_unwritten), but for `WouldBlock`.
    ///
    /// ```
    /// use futures::executor::block_on;
    /// use std::future::poll_fn;
    ///
    /// # use efio_core::{Engine, OpenOptions};
    /// # use std::time::Duration;
    /// # fn main() -> std::io::Result<()> {
    /// # let name = format!("efio-poll-unwritten-{}", std::process::id());
    /// # let path = std::env::temp_dir().join(name);
    /// # std::fs::write(&path, b"hello")?;
    /// # let engine = Engine::new()?;
    /// # let options = OpenOptions::new().write(true).create(true);
    /// # let file = engine.open(path.join("nowhere"), &options)?;
    /// let accepted = file.write(b"hello").unwrap_or(0); // none if it has failed already
    /// block_on(poll_fn(|cx| file.poll_open(cx))).unwrap_err(); // `path` is no directory
    /// let ranges = block_on(poll_fn(|cx| file.poll_unwritten(cx)))?;
    /// assert_eq!(ranges.iter().map(|range| range.bytes.len()).sum::<usize>(), accepted);
    /// # drop(engine);
    /// # std::fs::remove_file(path) }
    /// ```
    pub fn poll_unwritten(&self, cx: &mut Context<'_>) -> Poll<io::Result<Vec<Unwritten>>> {
        self.poll(cx, |file, notify| file.take_unwritten(notify))
    }

    /// Closes the file as [`close`](Self::close) does; ready once it is closed, as often as it is
    /// asked. The descriptor is stale from the first call on.
    ///
    /// # Errors
    ///
    /// The first error of the file. `EBADF` when it was closed by other means before, `ESHUTDOWN`
    /// when the engine ended and left it unwritten.
    ///
    /// ```
    /// use futures::executor::block_on;
    /// use std::future::poll_fn;
    ///
    /// # use efio_core::{Engine, OpenOptions};
    /// # use std::time::Duration;
    /// # fn main() -> std::io::Result<()> {
    /// # let path = std::env::temp_dir().join(format!("efio-poll-close-{}", std::process::id()));
    /// # std::fs::write(&path, b"hello")?;
    /// # let engine = Engine::new()?;
    /// let mut file = engine.open(&path, &OpenOptions::new().write(true))?;
    /// file.write(b"HELLO")?;
    /// block_on(poll_fn(|cx| file.poll_close(cx)))?;
    /// assert_eq!(std::fs::read(&path)?, b"HELLO");
    /// # drop(engine);
    /// # std::fs::remove_file(path) }
    /// ```
    pub fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_closed(cx.waker())
    }

    pub(crate) fn poll_closed(&mut self, waker: &Waker) -> Poll<io::Result<()>> {
        self.shared.poll_closed(self.fd, &mut self.closing, waker)
    }

    /// Polls a call that may say "would block".
    pub(crate) fn poll<T>(
        &self,
        cx: &Context<'_>,
        call: impl FnOnce(&mut Locked<'_>, Notify<'_>) -> io::Result<T>,
    ) -> Poll<io::Result<T>> {
        self.shared.poll(self.fd, cx.waker(), call)
    }
}
