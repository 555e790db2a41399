//! Calls that wait on the calling thread, for programs and tests that have nothing else to do.

use crate::caller::Locked;
use crate::fd::{Notify, Unwritten};
use crate::file::File;
use std::io::{self, IoSlice, IoSliceMut, Read, Seek, SeekFrom, Write};
use std::sync::Arc;
use std::time::Duration;

/// The calls of a [`File`] that wait on the calling thread; see [`File::blocking`].
///
/// Reads, writes and seeks come with [`std::io`]'s traits. A read waits for at least one byte or
/// the end of file, a write until at least one byte is accepted.
#[derive(Clone, Copy, Debug)]
pub struct Blocking<'file> {
    file: &'file File,
    timeout: Option<Duration>,
}

impl File {
    /// Returns the calls that wait on the calling thread, each for `timeout` at most (`None`: for
    /// as long as it takes).
    ///
    /// They consume no events: a program that uses no others opens its files with
    /// [`events(false)`](crate::OpenOptions::events).
    ///
    /// # Errors
    ///
    /// Each call fails with `TimedOut` when the timeout is over, with `EDEADLK` on the engine's own
    /// thread, where a callback runs, and with `ESHUTDOWN` when the engine ends meanwhile. A call
    /// that timed out leaves nothing registered. What it waited for goes on: a flush, a sync, and
    /// an open, which only [`AsyncFile::open`](crate::AsyncFile::open) cancels.
    ///
    /// ```
    /// use efio_core::{Engine, OpenOptions};
    /// use std::io::Write;
    /// use std::time::Duration;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// # let path = std::env::temp_dir().join(format!("efio-doc-wait-{}", std::process::id()));
    /// let engine = Engine::new()?;
    /// let options = OpenOptions::new().write(true).create(true).events(false);
    /// let file = engine.open(&path, &options)?;
    /// let mut blocking = file.blocking(Duration::from_secs(10));
    /// blocking.write_all(b"hello")?;
    /// blocking.sync()?; // durable
    /// # drop(file);
    /// # std::fs::remove_file(path)?;
    /// # Ok(()) }
    /// ```
    pub fn blocking(&self, timeout: impl Into<Option<Duration>>) -> Blocking<'_> {
        Blocking {
            file: self,
            timeout: timeout.into(),
        }
    }

    /// Closes the file and waits until that is done. After a timeout (`None`: never) it goes on in
    /// the background.
    ///
    /// # Errors
    ///
    /// The first error of the file; `EBADF` when it was closed by its number before; those of
    /// [`blocking`](Self::blocking).
    ///
    /// ```
    /// # use efio_core::{Engine, OpenOptions};
    /// # use std::time::Duration;
    /// # fn main() -> std::io::Result<()> {
    /// # let path = std::env::temp_dir().join(format!("efio-wait-closed-{}", std::process::id()));
    /// # std::fs::write(&path, b"hello")?;
    /// # let engine = Engine::new()?;
    /// let file = engine.open(&path, &OpenOptions::new().write(true))?;
    /// file.write(b"HELLO")?;
    /// file.wait_closed(Duration::from_secs(10))?; // returns the first error, if there is one
    /// assert_eq!(std::fs::read(&path)?, b"HELLO");
    /// # drop(engine);
    /// # std::fs::remove_file(path) }
    /// ```
    pub fn wait_closed(mut self, timeout: impl Into<Option<Duration>>) -> io::Result<()> {
        let shared = Arc::clone(&self.shared);
        shared.block_on(timeout.into(), |waker| self.poll_closed(waker))
    }
}

impl Blocking<'_> {
    /// Waits for a call that may say "would block".
    fn wait<T>(
        &self,
        mut call: impl FnMut(&mut Locked<'_>, Notify<'_>) -> io::Result<T>,
    ) -> io::Result<T> {
        let File { shared, fd, .. } = self.file;
        shared.wait(*fd, self.timeout, |waker| {
            shared.poll(*fd, waker, &mut call)
        })
    }

    /// Waits until the kernel has opened the file.
    ///
    /// # Errors
    ///
    /// The error of the open; `EBADF` when closed; those of [`File::blocking`].
    ///
    /// ```
    /// use std::io::ErrorKind;
    ///
    /// # use efio_core::{Engine, OpenOptions};
    /// # use std::time::Duration;
    /// # fn main() -> std::io::Result<()> {
    /// # let path = std::env::temp_dir().join(format!("efio-wait-open-{}", std::process::id()));
    /// # std::fs::write(&path, b"hello")?;
    /// # let engine = Engine::new()?;
    /// let file = engine.open(path.join("nowhere"), &OpenOptions::new().read(true))?;
    /// let refused = file.blocking(Duration::from_secs(10)).wait_open().unwrap_err();
    /// assert_eq!(refused.kind(), ErrorKind::NotADirectory); // `path` is a file
    /// # drop(engine);
    /// # std::fs::remove_file(path) }
    /// ```
    pub fn wait_open(&self) -> io::Result<()> {
        self.wait(|file, notify| file.opened(notify))
    }

    /// Waits until a read is answered at once: with bytes, with the end of file, or with an error,
    /// which the read then returns.
    ///
    /// # Errors
    ///
    /// `EBADF` when closed, or not open for reading; those of [`File::blocking`].
    ///
    /// ```
    /// # use efio_core::{Engine, OpenOptions};
    /// # use std::time::Duration;
    /// # fn main() -> std::io::Result<()> {
    /// # let name = format!("efio-wait-readable-{}", std::process::id());
    /// # let path = std::env::temp_dir().join(name);
    /// # std::fs::write(&path, b"hello")?;
    /// # let engine = Engine::new()?;
    /// let file = engine.open(&path, &OpenOptions::new().read(true))?;
    /// file.blocking(Duration::from_secs(10)).wait_readable()?;
    /// let mut buf = [0; 16];
    /// assert!(file.read(&mut buf)? > 0); // answered at once
    /// # drop(engine);
    /// # std::fs::remove_file(path) }
    /// ```
    pub fn wait_readable(&self) -> io::Result<()> {
        self.wait(|file, notify| file.readable(notify))
    }

    /// Waits until a write is answered at once: accepted in part at least, or with an error, which
    /// the write then returns.
    ///
    /// # Errors
    ///
    /// `EBADF` when closed, or not open for writing; those of [`File::blocking`].
    ///
    /// ```
    /// # use efio_core::{Engine, OpenOptions};
    /// # use std::time::Duration;
    /// # fn main() -> std::io::Result<()> {
    /// # let name = format!("efio-wait-writable-{}", std::process::id());
    /// # let path = std::env::temp_dir().join(name);
    /// # std::fs::write(&path, b"hello")?;
    /// # let engine = Engine::new()?;
    /// let file = engine.open(&path, &OpenOptions::new().write(true))?;
    /// file.blocking(Duration::from_secs(10)).wait_writable()?;
    /// assert!(file.write(b"HELLO")? > 0); // answered at once
    /// # drop(engine);
    /// # std::fs::remove_file(path) }
    /// ```
    pub fn wait_writable(&self) -> io::Result<()> {
        self.wait(|file, notify| file.writable(notify))
    }

    /// Returns how long the file is, with every byte accepted before.
    ///
    /// # Errors
    ///
    /// Those of [`File::len`] and [`File::blocking`].
    ///
    /// ```
    /// # use efio_core::{Engine, OpenOptions};
    /// # use std::time::Duration;
    /// # fn main() -> std::io::Result<()> {
    /// # let path = std::env::temp_dir().join(format!("efio-blocking-len-{}", std::process::id()));
    /// # std::fs::write(&path, b"hello")?;
    /// # let engine = Engine::new()?;
    /// let file = engine.open(&path, &OpenOptions::new().write(true))?;
    /// file.write(b"HELLO, WORLD")?;
    /// assert_eq!(file.blocking(Duration::from_secs(10)).len()?, 12);
    /// # drop(engine);
    /// # std::fs::remove_file(path) }
    /// ```
    #[expect(
        clippy::len_without_is_empty,
        reason = "the length is a question to the kernel"
    )]
    pub fn len(&self) -> io::Result<u64> {
        self.wait(|file, notify| file.size(notify))
    }

    /// Waits until the kernel has every byte accepted so far. This is not [`sync`](Self::sync).
    ///
    /// # Errors
    ///
    /// Those of [`File::poll_flush`] and [`File::blocking`].
    ///
    /// ```
    /// # use efio_core::{Engine, OpenOptions};
    /// # use std::time::Duration;
    /// # fn main() -> std::io::Result<()> {
    /// # let path = std::env::temp_dir().join(format!("efio-flush-{}", std::process::id()));
    /// # std::fs::write(&path, b"hello")?;
    /// # let engine = Engine::new()?;
    /// let file = engine.open(&path, &OpenOptions::new().write(true))?;
    /// file.write(b"HELLO")?;
    /// file.blocking(Duration::from_secs(10)).flush()?;
    /// assert_eq!(std::fs::read(&path)?, b"HELLO");
    /// # drop(engine);
    /// # std::fs::remove_file(path) }
    /// ```
    pub fn flush(&self) -> io::Result<()> {
        self.wait(|file, notify| file.flush(notify))
    }

    /// Makes every byte accepted so far durable, and returns the mark up to which that is so.
    ///
    /// # Errors
    ///
    /// Those of [`File::sync`] and [`File::blocking`].
    ///
    /// ```
    /// # use efio_core::{Engine, OpenOptions};
    /// # use std::time::Duration;
    /// # fn main() -> std::io::Result<()> {
    /// # let name = format!("efio-blocking-sync-{}", std::process::id());
    /// # let path = std::env::temp_dir().join(name);
    /// # std::fs::write(&path, b"hello")?;
    /// # let engine = Engine::new()?;
    /// let file = engine.open(&path, &OpenOptions::new().write(true))?;
    /// file.write(b"HELLO")?;
    /// let mark = file.blocking(Duration::from_secs(10)).sync()?;
    /// assert_eq!(mark, 5);
    /// assert!(file.progress()?.durable >= mark);
    /// # drop(engine);
    /// # std::fs::remove_file(path) }
    /// ```
    pub fn sync(&self) -> io::Result<u64> {
        let mark = self.file.sync()?;
        self.wait_synced(mark)?;
        Ok(mark)
    }

    /// Waits until every byte below `mark`, which [`File::sync`] returned, is durable. Asks for a
    /// sync if nobody has.
    ///
    /// # Errors
    ///
    /// Those of [`File::poll_sync`] and [`File::blocking`].
    ///
    /// ```
    /// # use efio_core::{Engine, OpenOptions};
    /// # use std::time::Duration;
    /// # fn main() -> std::io::Result<()> {
    /// # let path = std::env::temp_dir().join(format!("efio-wait-synced-{}", std::process::id()));
    /// # std::fs::write(&path, b"hello")?;
    /// # let engine = Engine::new()?;
    /// let file = engine.open(&path, &OpenOptions::new().write(true))?;
    /// file.write(b"HELLO")?;
    /// let mark = file.sync()?; // returns at once
    /// file.blocking(Duration::from_secs(10)).wait_synced(mark)?;
    /// assert!(file.progress()?.durable >= mark);
    /// # drop(engine);
    /// # std::fs::remove_file(path) }
    /// ```
    pub fn wait_synced(&self, mark: u64) -> io::Result<()> {
        self.wait(|file, notify| file.synced(mark, notify))
    }

    /// Takes back what was not written, as [`File::take_unwritten`] does, after the write in
    /// flight, if there is one, has completed.
    ///
    /// # Errors
    ///
    /// Those of [`File::take_unwritten`] and [`File::blocking`].
    ///
    /// ```
    /// # use efio_core::{Engine, OpenOptions};
    /// # use std::time::Duration;
    /// # fn main() -> std::io::Result<()> {
    /// # let name = format!("efio-take-unwritten-{}", std::process::id());
    /// # let path = std::env::temp_dir().join(name);
    /// # std::fs::write(&path, b"hello")?;
    /// # let engine = Engine::new()?;
    /// let options = OpenOptions::new().write(true).create(true);
    /// let file = engine.open(path.join("nowhere"), &options)?;
    /// let accepted = file.write(b"hello").unwrap_or(0); // none if it has failed already
    /// let blocking = file.blocking(Duration::from_secs(10));
    /// blocking.wait_open().unwrap_err(); // `path` is no directory
    /// let lost: usize = blocking.take_unwritten()?.iter().map(|range| range.bytes.len()).sum();
    /// assert_eq!(lost, accepted);
    /// # drop(engine);
    /// # std::fs::remove_file(path) }
    /// ```
    pub fn take_unwritten(&self) -> io::Result<Vec<Unwritten>> {
        self.wait(|file, notify| file.take_unwritten(notify))
    }
}

/// A read waits for the first byte, not for all: in mid-file it may return fewer bytes than asked
/// for, although the file goes on. `read_exact` and `read_to_end` read until they have them all.
impl Read for Blocking<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.wait(|file, notify| file.read(buf, notify))
    }

    fn read_vectored(&mut self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        self.wait(|file, notify| file.read_vectored(bufs, notify))
    }
}

impl Write for Blocking<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.wait(|file, notify| file.write(buf, notify))
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        self.wait(|file, notify| file.write_vectored(bufs, notify))
    }

    fn flush(&mut self) -> io::Result<()> {
        Blocking::flush(self)
    }
}

impl Seek for Blocking<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.wait(|file, notify| file.seek_from(to, notify))
    }
}
