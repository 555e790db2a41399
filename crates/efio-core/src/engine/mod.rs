//! The engine: open, the calls on a descriptor, events, shutdown.
//!
//! | | |
//! |---|---|
//! | [`builder`] | the limits, and the start |
//! | [`running`] | the driver on its thread |

mod builder;
mod driver_thread;

pub use builder::Builder;

use crate::backend::BackendInfo;
use crate::caller::Unwritten;
use crate::command::Command;
use crate::driver::{ShutdownReport, is_driver_thread};
use crate::error::{Errno, Failure, SubmitError};
use crate::event::{EventQueue, Readiness};
use crate::fd::{Fd, Notify, Progress};
use crate::file::File;
use crate::memory;
use crate::options::OpenOptions;
use crate::page::Buffer;
use crate::shared::Shared;
use crate::stats::{FileStats, Stats};
use crate::sys::refused;
use driver_thread::DriverThread;
use std::io::{self, IoSlice, IoSliceMut};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Reads and writes files for an event loop, on a thread of its own.
///
/// The calls that take an [`Fd`] are those of [`File`] on the plain number, for event loops that
/// keep it in their user data. None of them waits.
///
/// ```
/// use efio_core::{Engine, EventKind, OpenOptions};
/// use std::io::Write;
///
/// # fn main() -> std::io::Result<()> {
/// # let path = std::env::temp_dir().join(format!("efio-doc-{}", std::process::id()));
/// let engine = Engine::new()?;
/// let file = engine.open(&path, &OpenOptions::new().write(true).create(true))?;
/// assert_eq!(file.write(b"hello")?, 5); // a memcpy; the file is opened behind our back
/// let mark = file.sync()?;
/// // A real program polls `engine.events()` with everything else that it waits for.
/// while file.progress()?.durable < mark {
///     std::thread::yield_now();
/// }
/// # drop(file);
/// # let report = engine.shutdown(std::time::Duration::from_secs(10))?;
/// # assert!(report.is_clean());
/// # std::fs::remove_file(path)?;
/// # Ok(()) }
/// ```
pub struct Engine {
    pub(crate) shared: Arc<Shared>,
    backend: BackendInfo,
    /// The driver; taken by the shutdown.
    driver: Option<Mutex<DriverThread>>,
}

impl Engine {
    /// An engine with the default limits.
    ///
    /// # Errors
    ///
    /// What [`Builder::start`] says.
    pub fn new() -> io::Result<Self> {
        Self::builder().start()
    }

    /// The caller's side of a driver on its thread.
    fn new_driven(shared: Arc<Shared>, driver: DriverThread, backend: BackendInfo) -> Self {
        Self {
            shared,
            backend,
            driver: Some(Mutex::new(driver)),
        }
    }

    /// The caller's side alone; somebody else drives.
    pub(crate) fn without_driver(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            backend: BackendInfo::simulated(),
            driver: None,
        }
    }

    /// An engine to be configured.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Opens a file. A relative `path` begins at the working directory of this call, or at the
    /// directory of [`beneath`](OpenOptions::beneath). Returns at once; the kernel opens it in the background, and an
    /// [`Opened`](crate::EventKind::Opened) or [`Failed`](crate::EventKind::Failed) event follows.
    /// Writes are accepted meanwhile.
    ///
    /// A file that this engine has closed, or whose handle was dropped, is opened behind that close,
    /// whatever its name is now: the open is pending until everything accepted for it is written, and
    /// `truncate` cuts off what that was. Other processes and other engines see the file as the kernel
    /// has it, bytes that are still to be written come later for them: [`File::close_wait`] tells when
    /// there are none. An open whose [`File`] is dropped before it is answered happens all the same;
    /// [`AsyncFile::open`](crate::AsyncFile::open) can be withdrawn.
    ///
    /// # Errors
    ///
    /// `ENOENT`, `EINVAL` or `ENAMETOOLONG` for an empty, NUL-holding or overlong path, `EINVAL`
    /// for options that contradict each other, `EMFILE` when `max_files` are open, `ESHUTDOWN`
    /// after a shutdown. All other errors come with the event: those of `open(2)`, `EISDIR` for a
    /// directory, and `ESPIPE` for anything else that is not a regular file. None of them is
    /// `EAGAIN`: while another process holds a lease on the file the open is pending, for 90 s at
    /// most; then it fails with `EBUSY`.
    pub fn open(&self, path: impl AsRef<Path>, options: &OpenOptions) -> io::Result<File> {
        let fd = self.shared.open(path.as_ref(), options)?;
        Ok(File::new(Arc::clone(&self.shared), fd))
    }

    /// What became ready.
    pub fn events(&self) -> &EventQueue {
        &self.shared.events
    }

    /// Who makes the system calls, and why it is that one.
    pub fn backend(&self) -> &BackendInfo {
        &self.backend
    }

    /// What the engine has done so far.
    pub fn stats(&self) -> Stats {
        self.shared.stats()
    }

    /// System calls that this process may not make, as in a container or sandbox, and that another
    /// one stood in for, in any engine so far. Without `statx` there is no direct IO.
    pub fn refused_calls(&self) -> Vec<&'static str> {
        refused::names()
    }

    /// What was done for one file so far; see [`File::stats`].
    ///
    /// # Errors
    ///
    /// `EBADF` for a descriptor that is not open.
    pub fn file_stats(&self, fd: Fd) -> io::Result<FileStats> {
        self.shared.file_stats(fd)
    }

    /// Reads; see [`File::read`].
    ///
    /// # Errors
    ///
    /// Those of [`File::read`].
    pub fn read(&self, fd: Fd, buf: &mut [u8]) -> io::Result<usize> {
        self.shared.read(fd, buf)
    }

    /// How many bytes, at least, a read would copy at once; see [`File::available`].
    ///
    /// # Errors
    ///
    /// Those of [`File::read`].
    pub fn available(&self, fd: Fd) -> io::Result<usize> {
        self.shared.available_for(fd, Notify::Event)
    }

    /// Writes; see [`File::write`].
    ///
    /// # Errors
    ///
    /// Those of [`File::write`].
    pub fn write(&self, fd: Fd, buf: &[u8]) -> io::Result<usize> {
        self.shared.write(fd, buf)
    }

    /// Whether calls on the file would be answered at once. It asks for nothing: a file that nobody
    /// reads has nothing to read. A direction that the file is not open for is not ready.
    ///
    /// # Errors
    ///
    /// `EBADF` for a descriptor that is not open.
    pub fn readiness(&self, fd: Fd) -> io::Result<Readiness> {
        self.shared.poll(fd)
    }

    /// Reads into several buffers; see [`File::read_vectored`].
    ///
    /// # Errors
    ///
    /// Those of [`File::read`].
    pub fn read_vectored(&self, fd: Fd, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        self.shared.read_vectored(fd, bufs, Notify::Event)
    }

    /// Writes several buffers; see [`File::write_vectored`].
    ///
    /// # Errors
    ///
    /// Those of [`File::write`].
    pub fn write_vectored(&self, fd: Fd, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        self.shared.write_vectored(fd, bufs, Notify::Event)
    }

    /// Moves the position; see [`File::seek`].
    ///
    /// # Errors
    ///
    /// Those of [`File::seek`].
    pub fn set_position(&self, fd: Fd, position: u64) -> io::Result<()> {
        self.shared.seek(fd, position)
    }

    /// Memory for positional IO: `len` zero bytes of the engine's budget, aligned for direct IO.
    /// Buffers are meant to be used again and again. This call may map memory.
    ///
    /// # Errors
    ///
    /// `EINVAL` for no bytes or more than [`Buffer::MAX_LEN`], `EAGAIN` when the budget is used up,
    /// `ENOMEM` when the kernel refuses memory.
    pub fn buffer(&self, len: usize) -> io::Result<Buffer> {
        self.shared.buffer(len)
    }

    /// Reads at an offset; see [`File::read_at`].
    ///
    /// # Errors
    ///
    /// Those of [`File::read_at`].
    pub fn read_at(
        &self,
        fd: Fd,
        offset: u64,
        buffer: Buffer,
        token: u64,
    ) -> Result<(), SubmitError> {
        self.shared.read_at(fd, offset, buffer, token)
    }

    /// Writes at an offset; see [`File::write_at`].
    ///
    /// # Errors
    ///
    /// Those of [`File::write_at`].
    pub fn write_at(
        &self,
        fd: Fd,
        offset: u64,
        buffer: Buffer,
        token: u64,
    ) -> Result<(), SubmitError> {
        self.shared.write_at(fd, offset, buffer, token)
    }

    /// Sets the length; see [`File::truncate`].
    ///
    /// # Errors
    ///
    /// Those of [`File::truncate`].
    pub fn set_len(&self, fd: Fd, len: u64) -> io::Result<()> {
        self.shared.truncate(fd, len)
    }

    /// Asks for durability; see [`File::sync`].
    ///
    /// # Errors
    ///
    /// Those of [`File::sync`].
    pub fn sync(&self, fd: Fd) -> io::Result<u64> {
        self.shared.sync(fd)
    }

    /// The three marks; see [`File::progress`].
    ///
    /// # Errors
    ///
    /// `EBADF` for a descriptor that is not open.
    pub fn progress(&self, fd: Fd) -> io::Result<Progress> {
        self.shared.progress(fd)
    }

    /// How the open went; see [`File::open_status`].
    ///
    /// # Errors
    ///
    /// Those of [`File::open_status`].
    pub fn open_status(&self, fd: Fd) -> io::Result<bool> {
        self.shared.open_status(fd)
    }

    /// What poisoned the file; see [`File::failure`].
    ///
    /// # Errors
    ///
    /// `EBADF` for a descriptor that is not open.
    pub fn failure(&self, fd: Fd) -> io::Result<Option<Failure>> {
        self.shared.failure(fd)
    }

    /// Takes back what was not written; see [`File::take_unwritten`].
    ///
    /// # Errors
    ///
    /// Those of [`File::take_unwritten`].
    pub fn take_unwritten(&self, fd: Fd) -> io::Result<Vec<Unwritten>> {
        self.shared.take_unwritten_for(fd, Notify::Event)
    }

    /// Closes the file; see [`File::close`].
    ///
    /// # Errors
    ///
    /// Those of [`File::close`].
    pub fn close(&self, fd: Fd) -> io::Result<()> {
        self.shared.close(fd, false)
    }

    /// Closes the file once it is durable; see [`File::close_sync`].
    ///
    /// # Errors
    ///
    /// Those of [`File::close_sync`].
    pub fn close_sync(&self, fd: Fd) -> io::Result<()> {
        self.shared.close(fd, true)
    }

    /// Closes every file, waits until all accepted bytes are written or `timeout` is over, and
    /// says what was left. Descriptors are stale from then on: calls say `ESHUTDOWN`. The events that
    /// were not taken are gone with the engine: the report says what could not be written in time,
    /// and what was lost without anybody having heard of it
    /// ([`Report::unfinished`](crate::Report::unfinished)). At the deadline each positional op that is
    /// left [completes](crate::Completed) with an error, and all that wait are woken.
    ///
    /// When nothing is left behind the engine's threads have ended by the return, and what the
    /// callback owned is dropped. Otherwise they end when the disk lets them.
    ///
    /// # Errors
    ///
    /// `EDEADLK` in a callback of this engine, which waits for nobody: the engine then ends in the
    /// background. `EIO` when the driver died, which would be a bug of efio.
    pub fn shutdown(mut self, timeout: Duration) -> io::Result<ShutdownReport> {
        self.stop(timeout)
    }

    fn stop(&mut self, timeout: Duration) -> io::Result<ShutdownReport> {
        let Some(driver) = self.driver.take() else {
            return Ok(ShutdownReport::default());
        };
        if let Err(elsewhere) = self.shared.check_process() {
            // In a forked child there is no driver to wait for (F51). It may have had the locks of
            // what is between the two: not even dropped (F68).
            std::mem::forget(driver);
            return Err(elsewhere.into());
        }
        self.shared.stop();
        memory::until_allocated(|| {
            let command = Command::Shutdown(timeout);
            self.shared.command(command).ok()
        });
        if is_driver_thread(&self.shared) {
            // The driver itself: it cannot wait for its own end.
            return Err(Errno(libc::EDEADLK).into());
        }
        // The lock is there to make the engine `Sync`; nobody else can hold it here.
        let driver = driver.into_inner().unwrap_or_else(PoisonError::into_inner);
        driver.wait()
    }
}

impl Drop for Engine {
    /// Drains like [`shutdown`](Engine::shutdown), bounded by
    /// [`drop_deadline`](Builder::drop_deadline).
    fn drop(&mut self) {
        let timeout = self.shared.config.drop_deadline;
        // A drop has nobody to report to; `shutdown` does.
        let _ = self.stop(timeout);
    }
}
