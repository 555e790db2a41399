//! The owning handle of an open file.

use crate::caller::transfer::{Loan, Received};
use crate::caller::{Locked, SubmitError};
use crate::error::Failure;
use crate::event::Readiness;
use crate::fd::{Fd, Notify, Progress, Slot, Unwritten};
use crate::oneshot::Receiver;
use crate::page::{Buffer, PageSlice};
use crate::shared::Shared;
use crate::stats::FileStats;
use std::fmt;
use std::io::{self, IoSlice, IoSliceMut, Read, Seek, SeekFrom, Write};
use std::mem::ManuallyDrop;
use std::os::fd::BorrowedFd;
use std::ptr;
use std::sync::Arc;
use std::time::Duration;

/// An open file. Dropping it closes the file in the background; what was accepted is written.
///
/// Calls never wait: one that cannot be answered from memory fails with
/// [`WouldBlock`](io::ErrorKind::WouldBlock), and an event says when to repeat it. Calls from
/// several threads happen one after the other.
pub struct File {
    pub(crate) shared: Arc<Shared>,
    pub(crate) fd: Fd,
    /// Once `poll_close` has begun to close it: how that goes.
    pub(crate) closing: Option<Receiver<()>>,
}

impl File {
    pub(crate) fn new(shared: Arc<Shared>, fd: Fd) -> Self {
        Self {
            shared,
            fd,
            closing: None,
        }
    }

    /// Takes the file's lock.
    #[inline(always)]
    pub(crate) fn lock(&self) -> io::Result<Locked<'_>> {
        self.shared.lock(self.fd)
    }

    /// Returns the descriptor: what events name the file by, and what
    /// [`Engine::file`](crate::Engine::file) takes.
    ///
    /// ```
    /// # use efio_core::{Engine, OpenOptions};
    /// # use std::time::Duration;
    /// # fn main() -> std::io::Result<()> {
    /// # let path = std::env::temp_dir().join(format!("efio-fd-{}", std::process::id()));
    /// # std::fs::write(&path, b"hello")?;
    /// # let engine = Engine::new()?;
    /// let file = engine.open(&path, &OpenOptions::new().read(true))?;
    /// let fd = file.fd(); // for the user data of an event loop, say
    /// engine.file(fd).blocking(Duration::from_secs(10)).wait_open()?;
    /// assert!(file.open_status()?);
    /// # drop(engine);
    /// # std::fs::remove_file(path) }
    /// ```
    pub fn fd(&self) -> Fd {
        self.fd
    }

    /// Returns whether calls on the file would be answered at once. It asks for nothing: a file
    /// that nobody reads has nothing to read. A direction that the file is not open for is not
    /// ready.
    ///
    /// # Errors
    ///
    /// `EBADF` when closed.
    ///
    /// ```
    /// # use efio_core::{Engine, OpenOptions};
    /// # use std::time::Duration;
    /// # fn main() -> std::io::Result<()> {
    /// # let path = std::env::temp_dir().join(format!("efio-readiness-{}", std::process::id()));
    /// # std::fs::write(&path, b"hello")?;
    /// # let engine = Engine::new()?;
    /// let file = engine.open(&path, &OpenOptions::new().read(true))?;
    /// file.blocking(Duration::from_secs(10)).wait_readable()?;
    /// let ready = file.readiness()?;
    /// assert!(ready.readable && !ready.writable); // it is open for reading
    /// # drop(engine);
    /// # std::fs::remove_file(path) }
    /// ```
    pub fn readiness(&self) -> io::Result<Readiness> {
        Ok(self.lock()?.readiness())
    }

    /// Gives up the handle: the file stays open under its number, until somebody closes that.
    ///
    /// ```
    /// # use efio_core::{Engine, OpenOptions};
    /// # use std::time::Duration;
    /// # fn main() -> std::io::Result<()> {
    /// # let path = std::env::temp_dir().join(format!("efio-into-fd-{}", std::process::id()));
    /// # std::fs::write(&path, b"hello")?;
    /// # let engine = Engine::new()?;
    /// let file = engine.open(&path, &OpenOptions::new().write(true))?;
    /// let fd = file.into_fd();
    /// assert_eq!(engine.file(fd).write(b"HELLO")?, 5);
    /// engine.file(fd).wait_closed(Duration::from_secs(10))?;
    /// assert_eq!(std::fs::read(&path)?, b"HELLO");
    /// # drop(engine);
    /// # std::fs::remove_file(path) }
    /// ```
    pub fn into_fd(self) -> Fd {
        let mut this = ManuallyDrop::new(self);
        drop(this.closing.take());
        // SAFETY: `this` is not used or dropped afterwards, so its share is taken once.
        drop(unsafe { ptr::read(&this.shared) });
        this.fd
    }

    /// Reads from the position on, and moves it. Returns the number of bytes, at most
    /// `buf.len()`; 0 at the end of file, which is where the kernel says that it is now: a file
    /// that grows reads on. Bytes that this descriptor wrote before are seen.
    ///
    /// A read in mid-file may be short: it copies what is in memory, which may be fewer bytes than
    /// asked for, although the file goes on. Only 0 means the end of file.
    ///
    /// # Errors
    ///
    /// `WouldBlock`: nothing is in memory; a [`Readable`](crate::EventKind::Readable) event
    /// follows. `EBADF`: closed, or not open for reading. An error of the disk comes behind the
    /// bytes before it; the next read tries again. After a failed open, its error.
    ///
    /// ```
    /// # use efio_core::{Engine, OpenOptions};
    /// # use std::time::Duration;
    /// # fn main() -> std::io::Result<()> {
    /// # let path = std::env::temp_dir().join(format!("efio-read-{}", std::process::id()));
    /// # std::fs::write(&path, b"hello")?;
    /// # let engine = Engine::new()?;
    /// let file = engine.open(&path, &OpenOptions::new().read(true))?;
    /// file.blocking(Duration::from_secs(10)).wait_readable()?; // a loop waits for the event
    /// let mut buf = [0; 16];
    /// let count = file.read(&mut buf)?;
    /// assert!(count > 0 && b"hello".starts_with(&buf[..count])); // it may be short
    /// # drop(engine);
    /// # std::fs::remove_file(path) }
    /// ```
    pub fn read(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.lock()?.read(buf, Notify::Event)
    }

    /// How many bytes, at least, a read would copy at once; 0 at the end of file. Moves nothing,
    /// but asks for bytes as a read does.
    ///
    /// # Errors
    ///
    /// Those of [`read`](Self::read).
    ///
    /// ```
    /// use std::io::ErrorKind::WouldBlock;
    ///
    /// # use efio_core::{Engine, OpenOptions};
    /// # use std::time::Duration;
    /// # fn main() -> std::io::Result<()> {
    /// # let path = std::env::temp_dir().join(format!("efio-available-{}", std::process::id()));
    /// # std::fs::write(&path, b"hello")?;
    /// # let (sender, events) = std::sync::mpsc::channel();
    /// # let engine = Engine::builder()
    /// #     .on_event(move |event| drop(sender.send(event)))
    /// #     .start()?;
    /// # let file = engine.open(&path, &OpenOptions::new().read(true))?;
    /// let count = loop {
    ///     match file.available() {
    ///         Err(error) if error.kind() == WouldBlock => drop(events.recv()), // then again
    ///         count => break count?,
    ///     }
    /// };
    /// assert!((1..=5).contains(&count)); // bytes that the next read finds in memory
    /// # drop(engine);
    /// # std::fs::remove_file(path) }
    /// ```
    pub fn available(&self) -> io::Result<usize> {
        self.lock()?.available(Notify::Event)
    }

    /// Copies bytes into memory, from where they go to the file at the position, which moves.
    /// Returns how many were accepted, at most `buf.len()`: fewer when the memory budget or the
    /// file's share of it is used up.
    ///
    /// # Errors
    ///
    /// `WouldBlock`: there is no room for a single byte; a
    /// [`Writable`](crate::EventKind::Writable) event follows. `EBADF`: closed, or not open for
    /// writing. `EINVAL`: the position would leave the range of file offsets. After a failure, its
    /// error, whatever is written.
    ///
    /// ```
    /// # use efio_core::{Engine, OpenOptions};
    /// # use std::time::Duration;
    /// # fn main() -> std::io::Result<()> {
    /// # let path = std::env::temp_dir().join(format!("efio-write-{}", std::process::id()));
    /// # std::fs::write(&path, b"hello")?;
    /// # let engine = Engine::new()?;
    /// let file = engine.open(&path, &OpenOptions::new().write(true))?;
    /// assert_eq!(file.write(b"HELLO")?, 5); // a memcpy
    /// file.blocking(Duration::from_secs(10)).flush()?; // waits until the kernel has them
    /// assert_eq!(std::fs::read(&path)?, b"HELLO");
    /// # drop(engine);
    /// # std::fs::remove_file(path) }
    /// ```
    pub fn write(&self, buf: &[u8]) -> io::Result<usize> {
        self.lock()?.write(buf, Notify::Event)
    }

    /// Reads into one buffer after the other, as one [`read`](Self::read): as far as bytes are in
    /// memory.
    ///
    /// # Errors
    ///
    /// Those of [`read`](Self::read).
    ///
    /// ```
    /// use std::io::IoSliceMut;
    ///
    /// # use efio_core::{Engine, OpenOptions};
    /// # use std::time::Duration;
    /// # fn main() -> std::io::Result<()> {
    /// # let name = format!("efio-read-vectored-{}", std::process::id());
    /// # let path = std::env::temp_dir().join(name);
    /// # std::fs::write(&path, b"hello")?;
    /// # let engine = Engine::new()?;
    /// # let file = engine.open(&path, &OpenOptions::new().read(true))?;
    /// file.blocking(Duration::from_secs(10)).wait_readable()?;
    /// let (mut head, mut rest) = ([0; 2], [0; 3]);
    /// let mut bufs = [IoSliceMut::new(&mut head), IoSliceMut::new(&mut rest)];
    /// let count = file.read_vectored(&mut bufs)?;
    /// assert!((1..=5).contains(&count)); // it may be short
    /// assert!(b"he".starts_with(&head[..count.min(2)]));
    /// # drop(engine);
    /// # std::fs::remove_file(path) }
    /// ```
    pub fn read_vectored(&self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        self.lock()?.read_vectored(bufs, Notify::Event)
    }

    /// Writes one buffer after the other, as one [`write`](Self::write): nothing of another caller
    /// comes in between.
    ///
    /// # Errors
    ///
    /// Those of [`write`](Self::write).
    ///
    /// ```
    /// use std::io::IoSlice;
    ///
    /// # use efio_core::{Engine, OpenOptions};
    /// # use std::time::Duration;
    /// # fn main() -> std::io::Result<()> {
    /// # let name = format!("efio-write-vectored-{}", std::process::id());
    /// # let path = std::env::temp_dir().join(name);
    /// # std::fs::write(&path, b"hello")?;
    /// # let engine = Engine::new()?;
    /// let file = engine.open(&path, &OpenOptions::new().write(true))?;
    /// let line = [IoSlice::new(b"one "), IoSlice::new(b"line\n")];
    /// assert_eq!(file.write_vectored(&line)?, 9);
    /// file.blocking(Duration::from_secs(10)).flush()?;
    /// assert_eq!(std::fs::read(&path)?, b"one line\n");
    /// # drop(engine);
    /// # std::fs::remove_file(path) }
    /// ```
    pub fn write_vectored(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        self.lock()?.write_vectored(bufs, Notify::Event)
    }

    /// Returns the position of the next read or write, in bytes from the start. After an append
    /// that is the end of the file, which only the kernel knows.
    ///
    /// # Errors
    ///
    /// `WouldBlock` after an append, until the kernel has every accepted byte and has been asked; a
    /// [`Readable`](crate::EventKind::Readable) event follows. `EBADF` when closed, or the file's
    /// failure.
    ///
    /// ```
    /// # use efio_core::{Engine, OpenOptions};
    /// # use std::time::Duration;
    /// # fn main() -> std::io::Result<()> {
    /// # let path = std::env::temp_dir().join(format!("efio-position-{}", std::process::id()));
    /// # std::fs::write(&path, b"hello")?;
    /// # let engine = Engine::new()?;
    /// let file = engine.open(&path, &OpenOptions::new().write(true))?;
    /// assert_eq!(file.position()?, 0);
    /// file.write(b"HE")?;
    /// assert_eq!(file.position()?, 2);
    /// # drop(engine);
    /// # std::fs::remove_file(path) }
    /// ```
    pub fn position(&self) -> io::Result<u64> {
        self.lock()?.seek_from(SeekFrom::Current(0), Notify::Event)
    }

    /// Moves the position of the next read or write to `position` bytes from the start. In append
    /// mode writes go to the end all the same, and behind one the position is the end of the file,
    /// as the kernel has it when a read or a seek from there looks for it.
    ///
    /// # Errors
    ///
    /// `EINVAL` beyond the range of file offsets, `EBADF` when closed.
    ///
    /// ```
    /// # use efio_core::{Engine, OpenOptions};
    /// # use std::time::Duration;
    /// # fn main() -> std::io::Result<()> {
    /// # let path = std::env::temp_dir().join(format!("efio-set-position-{}", std::process::id()));
    /// # std::fs::write(&path, b"hello")?;
    /// # let engine = Engine::new()?;
    /// let file = engine.open(&path, &OpenOptions::new().write(true))?;
    /// file.set_position(1)?;
    /// file.write(b"E")?;
    /// file.blocking(Duration::from_secs(10)).flush()?;
    /// assert_eq!(std::fs::read(&path)?, b"hEllo");
    /// # drop(engine);
    /// # std::fs::remove_file(path) }
    /// ```
    pub fn set_position(&self, position: u64) -> io::Result<()> {
        self.lock()?.seek(position)
    }

    /// How long the file is now, with every byte accepted before. Only the kernel knows, because
    /// others may write as well: those bytes go to it first, then it is asked, by a thread that may
    /// wait. An answer that nobody fetched serves the next call, unless bytes were accepted since.
    ///
    /// # Errors
    ///
    /// `WouldBlock` until the answer is there; an event follows:
    /// [`Opened`](crate::EventKind::Opened) while the kernel opens the file,
    /// [`Writable`](crate::EventKind::Writable) while it gets the bytes,
    /// [`Readable`](crate::EventKind::Readable) when it has answered. The error of the open, or the
    /// file's failure. `EBADF` when closed.
    ///
    /// ```
    /// use std::io::ErrorKind::WouldBlock;
    ///
    /// # use efio_core::{Engine, OpenOptions};
    /// # use std::time::Duration;
    /// # fn main() -> std::io::Result<()> {
    /// # let path = std::env::temp_dir().join(format!("efio-len-{}", std::process::id()));
    /// # std::fs::write(&path, b"hello")?;
    /// # let (sender, events) = std::sync::mpsc::channel();
    /// # let engine = Engine::builder()
    /// #     .on_event(move |event| drop(sender.send(event)))
    /// #     .start()?;
    /// # let file = engine.open(&path, &OpenOptions::new().read(true))?;
    /// let len = loop {
    ///     match file.len() {
    ///         Err(error) if error.kind() == WouldBlock => drop(events.recv()), // then again
    ///         len => break len?,
    ///     }
    /// };
    /// assert_eq!(len, 5);
    /// # drop(engine);
    /// # std::fs::remove_file(path) }
    /// ```
    #[expect(
        clippy::len_without_is_empty,
        reason = "the length is a question to the kernel"
    )]
    pub fn len(&self) -> io::Result<u64> {
        self.lock()?.size(Notify::Event)
    }

    /// Reads into `buffer` from `offset` on, in the background: a
    /// [`Completed`](crate::EventKind::Completed) event with `token` brings the buffer back. The
    /// position stays where it is.
    ///
    /// It waits for every write to these bytes and every truncation made through this descriptor
    /// before it, and sees them. It does not wait for other positional reads, nor for positional
    /// writes to other places: they complete in any order, and each makes the file as long as it
    /// needs when it does.
    ///
    /// # Errors
    ///
    /// The buffer comes back with the reason. `EBADF`: closed, or not open for reading. `EINVAL`:
    /// the range is not one of file offsets. The file's failure, if the open failed or bytes
    /// accepted before will not be written. All other errors come with the event.
    ///
    /// ```
    /// use efio_core::EventKind;
    ///
    /// # use efio_core::{Engine, OpenOptions};
    /// # use std::time::Duration;
    /// # fn main() -> std::io::Result<()> {
    /// # let path = std::env::temp_dir().join(format!("efio-read-at-{}", std::process::id()));
    /// # std::fs::write(&path, b"hello")?;
    /// # let (sender, events) = std::sync::mpsc::channel();
    /// # let engine = Engine::builder()
    /// #     .on_event(move |event| drop(sender.send(event)))
    /// #     .start()?;
    /// # let file = engine.open(&path, &OpenOptions::new().read(true))?;
    /// file.read_at(1, engine.buffer(3)?, 7)?;
    /// let completed = events.iter().find_map(|event| match event.kind {
    ///     EventKind::Completed(completed) => Some(completed),
    ///     _ => None,
    /// });
    /// let completed = completed.expect("it completes");
    /// assert_eq!((completed.token, &completed.buffer[..]), (7, &b"ell"[..]));
    /// # drop(engine);
    /// # std::fs::remove_file(path) }
    /// ```
    pub fn read_at(&self, offset: u64, buffer: Buffer, token: u64) -> Result<(), SubmitError> {
        match self.lock() {
            Ok(mut file) => file.read_at(offset, buffer, token),
            Err(error) => Err(SubmitError { error, buffer }),
        }
    }

    /// Writes `buffer` at `offset`, in the background: a
    /// [`Completed`](crate::EventKind::Completed) event with `token` brings the buffer back. The
    /// position stays where it is.
    ///
    /// The bytes are accepted at once: they count in [`progress`](Self::progress), a
    /// [`sync`](Self::sync) and the close cover them, later reads see them, later writes to the
    /// same place come after them. If they cannot be written, the file has failed like after any
    /// write.
    ///
    /// # Errors
    ///
    /// The buffer comes back with the reason. `EBADF`: closed, or not open for writing. `EINVAL`:
    /// the range is not one of file offsets, or the file was opened to append. After a failure, its
    /// error. All other errors come with the event.
    ///
    /// ```
    /// # use efio_core::{Engine, OpenOptions};
    /// # use std::time::Duration;
    /// # fn main() -> std::io::Result<()> {
    /// # let path = std::env::temp_dir().join(format!("efio-write-at-{}", std::process::id()));
    /// # std::fs::write(&path, b"hello")?;
    /// # let engine = Engine::new()?;
    /// let file = engine.open(&path, &OpenOptions::new().write(true))?;
    /// let mut buffer = engine.buffer(3)?;
    /// buffer.copy_from_slice(b"ELL");
    /// file.write_at(1, buffer, 7)?; // an event brings the buffer back
    /// file.blocking(Duration::from_secs(10)).flush()?;
    /// assert_eq!(std::fs::read(&path)?, b"hELLo");
    /// # drop(engine);
    /// # std::fs::remove_file(path) }
    /// ```
    pub fn write_at(&self, offset: u64, buffer: Buffer, token: u64) -> Result<(), SubmitError> {
        match self.lock() {
            Ok(mut file) => file.write_at(offset, buffer, token),
            Err(error) => Err(SubmitError { error, buffer }),
        }
    }

    /// Makes the file `len` bytes long, in the background: after what was accepted before, and
    /// before what is accepted later. A [`Truncated`](crate::EventKind::Truncated) event, or
    /// [`Failed`](crate::EventKind::Failed), follows. The position stays where it is. It counts as
    /// one byte in [`progress`](Self::progress), so that the mark of a later [`sync`](Self::sync)
    /// includes it.
    ///
    /// # Errors
    ///
    /// `EBADF`: closed, or not open for writing. `EINVAL`: no file can be that long. After a
    /// failure, its error.
    ///
    /// ```
    /// # use efio_core::{Engine, OpenOptions};
    /// # use std::time::Duration;
    /// # fn main() -> std::io::Result<()> {
    /// # let path = std::env::temp_dir().join(format!("efio-set-len-{}", std::process::id()));
    /// # std::fs::write(&path, b"hello")?;
    /// # let engine = Engine::new()?;
    /// let file = engine.open(&path, &OpenOptions::new().write(true))?;
    /// file.set_len(2)?;
    /// file.blocking(Duration::from_secs(10)).flush()?; // waits for it
    /// assert_eq!(std::fs::read(&path)?, b"he");
    /// # drop(engine);
    /// # std::fs::remove_file(path) }
    /// ```
    pub fn set_len(&self, len: u64) -> io::Result<()> {
        self.lock()?.truncate(len)
    }

    /// Asks that every byte accepted so far becomes durable, and the name of a file that the open
    /// made as well; where its directory cannot be synced, [`FileStats::name`] says so and the
    /// bytes are durable all the same. Returns the accepted mark; a
    /// [`Synced`](crate::EventKind::Synced) event whose `upto` is at least that, or
    /// [`Failed`](crate::EventKind::Failed), follows.
    ///
    /// # Errors
    ///
    /// The file's failure, if there was one: a failed sync is never tried again. `EBADF` when
    /// closed.
    ///
    /// ```
    /// # use efio_core::{Engine, OpenOptions};
    /// # use std::time::Duration;
    /// # fn main() -> std::io::Result<()> {
    /// # let path = std::env::temp_dir().join(format!("efio-sync-{}", std::process::id()));
    /// # std::fs::write(&path, b"hello")?;
    /// # let engine = Engine::new()?;
    /// let file = engine.open(&path, &OpenOptions::new().write(true))?;
    /// file.write(b"HELLO")?;
    /// let mark = file.sync()?; // a `Synced` event follows
    /// file.blocking(Duration::from_secs(10)).wait_synced(mark)?; // or the thread waits
    /// assert!(file.progress()?.durable >= mark);
    /// # drop(engine);
    /// # std::fs::remove_file(path) }
    /// ```
    pub fn sync(&self) -> io::Result<u64> {
        self.lock()?.sync()
    }

    /// How far the bytes have come.
    ///
    /// # Errors
    ///
    /// `EBADF` when closed.
    ///
    /// ```
    /// # use efio_core::{Engine, OpenOptions};
    /// # use std::time::Duration;
    /// # fn main() -> std::io::Result<()> {
    /// # let path = std::env::temp_dir().join(format!("efio-progress-{}", std::process::id()));
    /// # std::fs::write(&path, b"hello")?;
    /// # let engine = Engine::new()?;
    /// let file = engine.open(&path, &OpenOptions::new().write(true))?;
    /// file.write(b"HELLO")?;
    /// let progress = file.progress()?;
    /// assert_eq!(progress.accepted, 5);
    /// assert!(progress.durable <= progress.written && progress.written <= progress.accepted);
    /// # drop(engine);
    /// # std::fs::remove_file(path) }
    /// ```
    pub fn progress(&self) -> io::Result<Progress> {
        self.shared.inspect(self.fd, |slot| slot.marks.progress())
    }

    /// Whether the kernel has opened the file; `Ok(false)` while the open is pending. That is no
    /// error, and no error says it: an open never fails with `EAGAIN`.
    ///
    /// # Errors
    ///
    /// The error of the open; `EBADF` when closed.
    ///
    /// ```
    /// # use efio_core::{Engine, OpenOptions};
    /// # use std::time::Duration;
    /// # fn main() -> std::io::Result<()> {
    /// # let path = std::env::temp_dir().join(format!("efio-open-status-{}", std::process::id()));
    /// # std::fs::write(&path, b"hello")?;
    /// # let engine = Engine::new()?;
    /// let file = engine.open(&path, &OpenOptions::new().read(true))?;
    /// let is_open = file.open_status()?; // `false` while the open is pending
    /// file.blocking(Duration::from_secs(10)).wait_open()?;
    /// assert!(file.open_status()?);
    /// # drop(engine);
    /// # std::fs::remove_file(path) }
    /// ```
    pub fn open_status(&self) -> io::Result<bool> {
        Ok(self.shared.inspect(self.fd, Slot::open_status)??)
    }

    /// What was done for the file so far: how its calls were answered, and which way its bytes
    /// went.
    ///
    /// # Errors
    ///
    /// `EBADF` when closed.
    ///
    /// ```
    /// use efio_core::IoMode;
    ///
    /// # use efio_core::{Engine, OpenOptions};
    /// # use std::time::Duration;
    /// # fn main() -> std::io::Result<()> {
    /// # let path = std::env::temp_dir().join(format!("efio-file-stats-{}", std::process::id()));
    /// # std::fs::write(&path, b"hello")?;
    /// # let engine = Engine::new()?;
    /// let file = engine.open(&path, &OpenOptions::new().read(true))?;
    /// file.blocking(Duration::from_secs(10)).wait_open()?;
    /// let stats = file.stats()?;
    /// assert_ne!(stats.mode, IoMode::Auto); // the engine has chosen
    /// println!("{:?}, because of {:?}", stats.mode, stats.mode_reason);
    /// # drop(engine);
    /// # std::fs::remove_file(path) }
    /// ```
    pub fn stats(&self) -> io::Result<FileStats> {
        Ok(self.lock()?.stats())
    }

    /// What made the file unusable for writing, if anything did.
    ///
    /// # Errors
    ///
    /// `EBADF` when closed.
    ///
    /// ```
    /// use efio_core::Errno;
    ///
    /// # use efio_core::{Engine, OpenOptions};
    /// # use std::time::Duration;
    /// # fn main() -> std::io::Result<()> {
    /// # let path = std::env::temp_dir().join(format!("efio-failure-{}", std::process::id()));
    /// # std::fs::write(&path, b"hello")?;
    /// # let engine = Engine::new()?;
    /// let options = OpenOptions::new().write(true).create(true);
    /// let file = engine.open(path.join("nowhere"), &options)?;
    /// let refused = file.blocking(Duration::from_secs(10)).wait_open().unwrap_err();
    /// let failure = file.failure()?.expect("`path` is no directory");
    /// assert_eq!(failure.errno, Errno::from(refused));
    /// # drop(engine);
    /// # std::fs::remove_file(path) }
    /// ```
    pub fn failure(&self) -> io::Result<Option<Failure>> {
        self.shared.inspect(self.fd, Slot::report_failure)
    }

    /// Takes back the accepted bytes that the kernel did not take, after the file has failed: in
    /// ranges, in the order in which they were accepted, so that the caller can save them
    /// elsewhere. Their memory is free afterwards; until then, or until the close, they count in
    /// the budget. A second call returns nothing. Buffers of [`write_at`](Self::write_at) come back
    /// with their completions. After a failed sync, bytes that were written and may be lost all the
    /// same are those from the failure's offset on, and not here. Of several that ask, one gets the
    /// bytes.
    ///
    /// For tasks there is [`poll_unwritten`](Self::poll_unwritten), for threads
    /// [`Blocking::take_unwritten`](crate::Blocking::take_unwritten).
    ///
    /// # Errors
    ///
    /// `EINVAL`: the file has not failed. `WouldBlock`: a write is still in flight; a
    /// [`Writable`](crate::EventKind::Writable) event follows when it has ended. `ENOMEM`: no
    /// memory for the copy, nothing was taken. `EBADF`: closed, or not open for writing.
    ///
    /// ```
    /// # use efio_core::{Engine, OpenOptions};
    /// # use std::time::Duration;
    /// # fn main() -> std::io::Result<()> {
    /// # let path = std::env::temp_dir().join(format!("efio-unwritten-{}", std::process::id()));
    /// # std::fs::write(&path, b"hello")?;
    /// # let engine = Engine::new()?;
    /// let options = OpenOptions::new().write(true).create(true);
    /// let file = engine.open(path.join("nowhere"), &options)?;
    /// let accepted = file.write(b"hello").unwrap_or(0); // none if it has failed already
    /// file.blocking(Duration::from_secs(10)).wait_open().unwrap_err(); // `path` is no directory
    /// let ranges = file.take_unwritten()?;
    /// let saved: Vec<u8> = ranges.into_iter().flat_map(|range| range.bytes).collect();
    /// assert_eq!(saved, b"hello"[..accepted]);
    /// # drop(engine);
    /// # std::fs::remove_file(path) }
    /// ```
    pub fn take_unwritten(&self) -> io::Result<Vec<Unwritten>> {
        self.lock()?.take_unwritten(Notify::Event)
    }

    /// Returns `Ok` once the kernel has the first `mark` accepted bytes; else requests a flush.
    pub(crate) fn written(&self, mark: u64) -> io::Result<()> {
        self.lock()?.written(mark, Notify::Event)
    }

    pub(crate) fn lend(&self, pages: usize, most: usize) -> io::Result<Loan> {
        self.lock()?.lend(pages, most, Notify::Event)
    }

    pub(crate) fn return_loan(&self, loan: Loan, n: usize) -> io::Result<()> {
        if n == 0 {
            return Ok(());
        }
        self.lock()?.return_loan(loan, n)
    }

    pub(crate) fn receive(
        &self,
        from: BorrowedFd<'_>,
        most: usize,
        in_socket: &mut Duration,
    ) -> io::Result<Received> {
        self.lock()?.receive(from, most, in_socket)
    }

    pub(crate) fn take_page(&self, most: usize) -> io::Result<Option<PageSlice>> {
        self.lock()?.take_page(most)
    }

    pub(crate) fn give_page(&self, held: &mut Option<PageSlice>) -> io::Result<usize> {
        self.lock()?.give_page(held)
    }

    /// Closes the file: the descriptor is stale at once, accepted bytes go to the kernel in the
    /// background, and a [`Closed`](crate::EventKind::Closed) event brings the first error.
    ///
    /// # Errors
    ///
    /// The file's failure, if it is known already. The descriptor is closed in any case. `EBADF`
    /// when the number was closed before.
    ///
    /// ```
    /// # use efio_core::{Engine, OpenOptions};
    /// # use std::time::Duration;
    /// # fn main() -> std::io::Result<()> {
    /// # let path = std::env::temp_dir().join(format!("efio-close-{}", std::process::id()));
    /// # std::fs::write(&path, b"hello")?;
    /// # let engine = Engine::new()?;
    /// let file = engine.open(&path, &OpenOptions::new().write(true))?;
    /// file.write(b"HELLO")?;
    /// let fd = file.fd();
    /// file.close()?; // the bytes are written in the background
    /// assert!(engine.file(fd).write(b"stale").is_err());
    /// # drop(engine);
    /// # std::fs::remove_file(path) }
    /// ```
    pub fn close(self) -> io::Result<()> {
        self.lock()?.close(false)
    }

    /// Like [`close`](Self::close), but [`Closed`](crate::EventKind::Closed) without an error then
    /// means that every byte is durable.
    ///
    /// # Errors
    ///
    /// As for [`close`](Self::close).
    ///
    /// ```
    /// use efio_core::EventKind;
    ///
    /// # use efio_core::{Engine, OpenOptions};
    /// # use std::time::Duration;
    /// # fn main() -> std::io::Result<()> {
    /// # let path = std::env::temp_dir().join(format!("efio-close-sync-{}", std::process::id()));
    /// # std::fs::write(&path, b"hello")?;
    /// # let (sender, events) = std::sync::mpsc::channel();
    /// # let engine = Engine::builder()
    /// #     .on_event(move |event| drop(sender.send(event)))
    /// #     .start()?;
    /// let file = engine.open(&path, &OpenOptions::new().write(true))?;
    /// file.write(b"HELLO")?;
    /// file.close_sync()?;
    /// let last = events.iter().find(|event| matches!(event.kind, EventKind::Closed { .. }));
    /// let last = last.expect("it closes");
    /// assert_eq!(last.kind, EventKind::Closed { result: Ok(()) }); // every byte is durable
    /// # drop(engine);
    /// # std::fs::remove_file(path) }
    /// ```
    pub fn close_sync(self) -> io::Result<()> {
        self.lock()?.close(true)
    }
}

/// In the non-blocking sense: `WouldBlock`, and an event follows. A read in mid-file may return
/// fewer bytes than asked for, although the file goes on; see [`File::read`].
impl Read for &File {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.lock()?.read(buf, Notify::Event)
    }

    fn read_vectored(&mut self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        self.lock()?.read_vectored(bufs, Notify::Event)
    }
}

/// In the non-blocking sense: `WouldBlock`, and an event follows.
impl Write for &File {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.lock()?.write(buf, Notify::Event)
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        self.lock()?.write_vectored(bufs, Notify::Event)
    }

    /// Every byte accepted so far goes to the kernel now. `WouldBlock` until it has them; a
    /// Writable event follows. This is not [`sync`](File::sync).
    fn flush(&mut self) -> io::Result<()> {
        self.lock()?.flush(Notify::Event)
    }
}

/// From the start or from the position at once; from the end as [`File::len`] does: `WouldBlock`,
/// and an event follows. Behind an append the position is the end of the file: then a seek from it,
/// and `stream_position`, may fail with `WouldBlock` as a read does; a Readable event follows, of a
/// file that is not open for reading too.
impl Seek for &File {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.lock()?.seek_from(to, Notify::Event)
    }
}

/// As for `&File`: a read in mid-file may be short.
impl Read for File {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.lock()?.read(buf, Notify::Event)
    }

    fn read_vectored(&mut self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        self.lock()?.read_vectored(bufs, Notify::Event)
    }
}

/// As for `&File`.
impl Write for File {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.lock()?.write(buf, Notify::Event)
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        self.lock()?.write_vectored(bufs, Notify::Event)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.lock()?.flush(Notify::Event)
    }
}

/// As for `&File`.
impl Seek for File {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.lock()?.seek_from(to, Notify::Event)
    }
}

impl Drop for File {
    fn drop(&mut self) {
        if self.shared.check_process().is_err() {
            // In a forked child nothing of it is touched (F68).
            std::mem::forget(self.closing.take());
            return;
        }
        // Fails if it is closed already, by number or by `close`. An error of the file comes with
        // `Closed`.
        if let Ok(mut file) = self.lock() {
            file.end(false);
        }
    }
}

impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("File")
            .field("fd", &self.fd)
            .field("progress", &self.progress().ok())
            .finish()
    }
}
