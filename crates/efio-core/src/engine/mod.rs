//! The engine: open, the calls on a descriptor, events, shutdown.
//!
//! | | |
//! |---|---|
//! | [`builder`] | the limits, and the start |
//! | [`driver_thread`] | the driver on its thread |

mod builder;
mod driver_thread;

pub use builder::Builder;

use crate::backend::BackendInfo;
use crate::command::Command;
use crate::current::is_driver_thread;
use crate::error::Errno;
use crate::event::EventQueue;
use crate::fd::Fd;
use crate::file::File;
use crate::file_ref::FileRef;
use crate::memory;
use crate::options::OpenOptions;
use crate::page::Buffer;
use crate::shared::Shared;
use crate::shutdown_report::ShutdownReport;
use crate::stats::Stats;
use crate::sys::refused;
use driver_thread::DriverThread;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Reads and writes files for an event loop, on a thread of its own.
///
/// Files are opened here and used through a [`File`], or through their number with
/// [`file`](Self::file). No call waits, but for those of [`File::blocking`] and
/// [`shutdown`](Self::shutdown).
///
/// ```
/// use efio_core::{Engine, OpenOptions};
/// use std::time::Duration;
///
/// # fn main() -> std::io::Result<()> {
/// # let path = std::env::temp_dir().join(format!("efio-doc-{}", std::process::id()));
/// let engine = Engine::new()?;
/// let file = engine.open(&path, &OpenOptions::new().write(true).create(true))?;
/// assert_eq!(file.write(b"hello")?, 5); // a memcpy; the file is opened in the background
/// let mark = file.sync()?;
/// // This program has nothing else to do. An event loop polls `engine.events()`.
/// file.blocking(Duration::from_secs(10)).wait_synced(mark)?;
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
    ///
    /// ```
    /// # use efio_core::{Engine, OpenOptions};
    /// # use std::time::Duration;
    /// # fn main() -> std::io::Result<()> {
    /// let engine = Engine::new()?;
    /// assert_eq!(engine.stats().callback_panics, 0);
    /// println!("{}", engine.backend().reason);
    /// # drop(engine);
    /// # Ok(()) }
    /// ```
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

    #[cfg(feature = "__sim")]
    /// The caller's side alone; somebody else drives.
    pub(crate) fn without_driver(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            backend: BackendInfo::simulated(),
            driver: None,
        }
    }

    /// An engine to be configured.
    ///
    /// ```
    /// # use efio_core::{Engine, OpenOptions};
    /// # use std::time::Duration;
    /// # fn main() -> std::io::Result<()> {
    /// let builder = Engine::builder().thread_name("log").workers(2);
    /// let engine = builder.start()?;
    /// assert_eq!(engine.events().try_next(), None);
    /// # drop(engine);
    /// # Ok(()) }
    /// ```
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Opens a file. A relative `path` begins at the working directory of this call, or at the
    /// directory of [`beneath`](OpenOptions::beneath). Returns at once; the kernel opens it in the
    /// background, and an
    /// [`Opened`](crate::EventKind::Opened) or [`Failed`](crate::EventKind::Failed) event follows.
    /// Writes are accepted meanwhile.
    ///
    /// A file that this engine has closed, or whose handle was dropped, is opened behind that
    /// close, whatever its name is now: the open is pending until everything accepted for it is
    /// written, and `truncate` cuts off what that was. Other processes and other engines see the
    /// file as the kernel has it, bytes that are still to be written come later for them:
    /// [`File::wait_closed`] returns when there are none. An open whose [`File`] is dropped before
    /// it is answered happens all the same;
    /// [`AsyncFile::open`](crate::AsyncFile::open) can be cancelled.
    ///
    /// # Errors
    ///
    /// `ENOENT`, `EINVAL` or `ENAMETOOLONG` for an empty, NUL-holding or overlong path, `EINVAL`
    /// for options that contradict each other, `EMFILE` when `max_files` are open, `ESHUTDOWN`
    /// after a shutdown. All other errors come with the event: those of `open(2)`, `EISDIR` for a
    /// directory, and `ESPIPE` for anything else that is not a regular file. None of them is
    /// `EAGAIN`: while another process holds a lease on the file the open is pending, for 90 s at
    /// most; then it fails with `EBUSY`.
    ///
    /// ```
    /// # use efio_core::{Engine, OpenOptions};
    /// # use std::time::Duration;
    /// # fn main() -> std::io::Result<()> {
    /// # let path = std::env::temp_dir().join(format!("efio-open-{}", std::process::id()));
    /// # let engine = Engine::new()?;
    /// let options = OpenOptions::new().write(true).create(true);
    /// let file = engine.open(&path, &options)?; // returns at once
    /// file.write(b"hello")?; // accepted meanwhile
    /// file.blocking(Duration::from_secs(10)).wait_open()?;
    /// assert!(path.exists());
    /// # drop(engine);
    /// # std::fs::remove_file(path) }
    /// ```
    pub fn open(&self, path: impl AsRef<Path>, options: &OpenOptions) -> io::Result<File> {
        let fd = self.shared.open(path.as_ref(), options, None)?;
        Ok(File::new(Arc::clone(&self.shared), fd))
    }

    /// What became ready.
    ///
    /// ```
    /// # use efio_core::{Engine, OpenOptions};
    /// # use std::time::Duration;
    /// # fn main() -> std::io::Result<()> {
    /// # let path = std::env::temp_dir().join(format!("efio-events-{}", std::process::id()));
    /// # std::fs::write(&path, b"hello")?;
    /// # let engine = Engine::new()?;
    /// # let mut poll = mio::Poll::new()?;
    /// # let queue = std::os::fd::AsRawFd::as_raw_fd(engine.events());
    /// # let mut source = mio::unix::SourceFd(&queue);
    /// # poll.registry().register(&mut source, mio::Token(0), mio::Interest::READABLE)?;
    /// # let mut ready = mio::Events::with_capacity(16);
    /// let file = engine.open(&path, &OpenOptions::new().read(true))?;
    /// poll.poll(&mut ready, None)?; // `engine.events()` is registered with it
    /// for event in engine.events().drain() {
    ///     assert_eq!(event.fd, file.fd());
    /// }
    /// # drop(engine);
    /// # std::fs::remove_file(path) }
    /// ```
    pub fn events(&self) -> &EventQueue {
        &self.shared.events
    }

    /// Who makes the system calls, and why it is that one.
    ///
    /// ```
    /// use efio_core::BackendKind;
    ///
    /// # use efio_core::{Engine, OpenOptions};
    /// # use std::time::Duration;
    /// # fn main() -> std::io::Result<()> {
    /// # let engine = Engine::new()?;
    /// let backend = engine.backend();
    /// println!("{:?}: {}", backend.kind, backend.reason);
    /// assert_ne!(backend.kind, BackendKind::Auto); // it is one or the other
    /// # drop(engine);
    /// # Ok(()) }
    /// ```
    pub fn backend(&self) -> &BackendInfo {
        &self.backend
    }

    /// What the engine has done so far.
    ///
    /// ```
    /// # use efio_core::{Engine, OpenOptions};
    /// # use std::time::Duration;
    /// # fn main() -> std::io::Result<()> {
    /// # let path = std::env::temp_dir().join(format!("efio-stats-{}", std::process::id()));
    /// # std::fs::write(&path, b"hello")?;
    /// # let engine = Engine::new()?;
    /// let file = engine.open(&path, &OpenOptions::new().read(true))?;
    /// file.blocking(Duration::from_secs(10)).wait_readable()?;
    /// let stats = engine.stats();
    /// println!("{} bytes read with {} operations", stats.read.total(), stats.ops);
    /// assert_eq!(stats.written.total(), 0);
    /// # drop(engine);
    /// # std::fs::remove_file(path) }
    /// ```
    pub fn stats(&self) -> Stats {
        self.shared.stats()
    }

    /// System calls that this process may not make, as in a container or sandbox, and that another
    /// one stood in for, in any engine so far. Without `statx` there is no direct IO.
    ///
    /// ```
    /// # use efio_core::{Engine, OpenOptions};
    /// # use std::time::Duration;
    /// # fn main() -> std::io::Result<()> {
    /// # let engine = Engine::new()?;
    /// for call in engine.refused_calls() {
    ///     println!("{call} is not allowed here");
    /// }
    /// # drop(engine);
    /// # Ok(()) }
    /// ```
    pub fn refused_calls(&self) -> Vec<&'static str> {
        refused::names()
    }

    /// Returns the open file of this number, to be used like a [`File`]: for event loops that keep
    /// the number in their user data, and programs in C. A number that is stale gives `EBADF` on
    /// the first call.
    ///
    /// ```
    /// use efio_core::{Engine, OpenOptions};
    ///
    /// # fn main() -> std::io::Result<()> {
    /// # let path = std::env::temp_dir().join(format!("efio-doc-ref-{}", std::process::id()));
    /// let engine = Engine::new()?;
    /// let options = OpenOptions::new().write(true).create(true);
    /// let fd = engine.open(&path, &options)?.into_fd();
    /// assert_eq!(engine.file(fd).write(b"hello")?, 5);
    /// engine.file(fd).close()?;
    /// assert!(engine.file(fd).write(b"stale").is_err());
    /// # drop(engine);
    /// # std::fs::remove_file(path) }
    /// ```
    pub fn file(&self, fd: Fd) -> FileRef<'_> {
        FileRef::new(&self.shared, fd)
    }

    /// Returns the descriptor of the file that is open under `index`; `None` when none is. For
    /// programs whose handles have less than the 64 bits of [`Fd::to_bits`], in C or in a script:
    /// such a handle is the index and some bits of the generation, which are compared with those
    /// of this descriptor.
    ///
    /// ```
    /// # use efio_core::{Engine, OpenOptions};
    /// # fn main() -> std::io::Result<()> {
    /// # let path = std::env::temp_dir().join(format!("efio-fd-at-{}", std::process::id()));
    /// # std::fs::write(&path, b"hello")?;
    /// # let engine = Engine::new()?;
    /// let fd = engine.open(&path, &OpenOptions::new().write(true))?.into_fd();
    /// assert_eq!(engine.fd_at(fd.index()), Some(fd));
    /// engine.file(fd).close()?;
    /// assert_eq!(engine.fd_at(fd.index()), None);
    /// # drop(engine);
    /// # std::fs::remove_file(path) }
    /// ```
    #[inline]
    pub fn fd_at(&self, index: u32) -> Option<Fd> {
        let generation = self.shared.table.get(index)?.generation();
        (generation % 2 == 1).then(|| Fd::new(index, generation))
    }

    /// Memory for positional IO: `len` zero bytes of the engine's budget, aligned for direct IO.
    /// Buffers are meant to be used again and again. This call may map memory.
    ///
    /// # Errors
    ///
    /// `EINVAL` for no bytes or more than [`Buffer::MAX_LEN`], `EAGAIN` when the budget is used up,
    /// `ENOMEM` when the kernel refuses memory.
    ///
    /// ```
    /// # use efio_core::{Engine, OpenOptions};
    /// # use std::time::Duration;
    /// # fn main() -> std::io::Result<()> {
    /// # let engine = Engine::new()?;
    /// let mut buffer = engine.buffer(5000)?;
    /// assert!(buffer.iter().all(|&byte| byte == 0));
    /// buffer[..5].copy_from_slice(b"hello");
    /// assert_eq!((buffer.len(), buffer.capacity()), (5000, 8192));
    /// # drop(engine);
    /// # Ok(()) }
    /// ```
    pub fn buffer(&self, len: usize) -> io::Result<Buffer> {
        self.shared.check_process()?;
        Buffer::take(&self.shared.pool, len)
    }

    /// Closes every file, waits until all accepted bytes are written or `timeout` is over, and
    /// says what was left. Descriptors are stale from then on: calls say `ESHUTDOWN`. The events
    /// that were not taken are gone with the engine: the report says what could not be written in
    /// time, and what was lost without a call or an event having said so
    /// ([`ShutdownReport::unfinished`](crate::ShutdownReport::unfinished)). At the deadline each
    /// positional op that is left [completes](crate::Completed) with an error, and all that wait
    /// are woken.
    ///
    /// When nothing is left behind the engine's threads have ended by the return, and what the
    /// callback owned is dropped. Otherwise they end when the disk lets them.
    ///
    /// # Errors
    ///
    /// `EDEADLK` in a callback of this engine, which waits for nobody: the engine then ends in the
    /// background. `EIO` when the driver died, which would be a bug of efio.
    ///
    /// ```
    /// # use efio_core::{Engine, OpenOptions};
    /// # use std::time::Duration;
    /// # fn main() -> std::io::Result<()> {
    /// # let path = std::env::temp_dir().join(format!("efio-shutdown-{}", std::process::id()));
    /// # std::fs::write(&path, b"hello")?;
    /// # let engine = Engine::new()?;
    /// let file = engine.open(&path, &OpenOptions::new().write(true))?;
    /// file.write(b"HELLO")?;
    /// let report = engine.shutdown(Duration::from_secs(10))?;
    /// assert!(report.is_clean(), "{report:?}");
    /// assert_eq!(std::fs::read(&path)?, b"HELLO");
    /// # std::fs::remove_file(path) }
    /// ```
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
