//! The engine: start, open, events, shutdown.

use crate::backend::{self, Backend, BackendInfo, Selected};
use crate::caller::Unwritten;
use crate::command::Command;
use crate::config::{BackendKind, Config, IoMode};
use crate::driver::{Driver, Driving, Report, is_driven_here};
use crate::error::{Errno, Failure, Refused};
use crate::event::{Callback, Event, EventQueue, Readiness};
use crate::fd::{Asker, Fd, Progress};
use crate::file::File;
use crate::options::OpenOptions;
use crate::page::Buffer;
use crate::shared::Shared;
use crate::stats::{FileStats, Stats};
use crate::sys::signals;
use crate::trace;
use std::fmt;
use std::io::{self, IoSlice, IoSliceMut};
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

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
    driver: Option<Mutex<Running>>,
}

/// A driver on its thread.
struct Running {
    /// Where it reports how it ended.
    report: Receiver<Report>,
    thread: JoinHandle<()>,
}

/// Builds an [`Engine`] with limits other than the default ones.
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// let engine = efio_core::Engine::builder()
///     .memory_budget(32 << 20)
///     .flush_interval(std::time::Duration::from_millis(200))
///     .start()?;
/// # drop(engine); Ok(()) }
/// ```
#[derive(Clone, Default)]
pub struct Builder {
    config: Config,
    callback: Option<Callback>,
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("config", &self.config)
            .field("on_event", &self.callback.is_some())
            .finish()
    }
}

impl Builder {
    /// Which backend makes the system calls.
    #[must_use]
    pub fn backend(mut self, backend: BackendKind) -> Self {
        self.config.backend = backend;
        self
    }

    /// The io mode of files that do not name one.
    #[must_use]
    pub fn io_mode(mut self, io_mode: IoMode) -> Self {
        self.config.io_mode = io_mode;
        self
    }

    /// Bytes of page memory for all files together; 64 MiB unless set, at least 4 MiB.
    #[must_use]
    pub fn memory_budget(mut self, bytes: usize) -> Self {
        self.config.memory_budget = bytes;
        self
    }

    /// How long accepted bytes may stay in memory; 1 s unless set.
    #[must_use]
    pub fn flush_interval(mut self, interval: Duration) -> Self {
        self.config.flush_interval = interval;
        self
    }

    /// How many files may be open at once; 65 536 unless set.
    #[must_use]
    pub fn max_files(mut self, files: u32) -> Self {
        self.config.max_files = files;
        self
    }

    /// Bytes that one file may have accepted and not yet written; a quarter of the budget
    /// unless set.
    #[must_use]
    pub fn write_behind(mut self, bytes: usize) -> Self {
        self.config.write_behind = Some(bytes);
        self
    }

    /// Bytes that one file may read ahead; an eighth of the budget unless set.
    #[must_use]
    pub fn read_ahead(mut self, bytes: usize) -> Self {
        self.config.read_ahead = Some(bytes);
        self
    }

    /// The smallest page that a stream uses: a power of two from 4 KiB to 2 MiB; 4 KiB unless set.
    /// Streams begin with it and grow. Smaller ones serve when memory is short.
    #[must_use]
    pub fn page_min(mut self, bytes: usize) -> Self {
        self.config.page_min = bytes;
        self
    }

    /// The largest page that a stream uses: a power of two from 4 KiB to 2 MiB; 2 MiB unless set.
    #[must_use]
    pub fn page_max(mut self, bytes: usize) -> Self {
        self.config.page_max = bytes;
        self
    }

    /// Bytes of the first read when reading ahead begins: a power of two from 4 KiB to 2 MiB;
    /// 64 KiB unless set.
    #[must_use]
    pub fn first_read(mut self, bytes: usize) -> Self {
        self.config.first_read = bytes;
        self
    }

    /// What the names of the engine's threads begin with, 1 to 8 bytes; `efio` unless set.
    #[must_use]
    pub fn thread_name(mut self, name: impl Into<String>) -> Self {
        self.config.thread_name = name.into();
        self
    }

    /// Worker threads, of both backends; 4 unless set.
    #[must_use]
    pub fn workers(mut self, workers: usize) -> Self {
        self.config.workers = workers;
        self
    }

    /// How long an engine that is dropped without shutdown may take to write what it accepted;
    /// 10 s unless set.
    #[must_use]
    pub fn drop_deadline(mut self, deadline: Duration) -> Self {
        self.config.drop_deadline = deadline;
        self
    }

    /// All events go to `callback` instead of the queue. The engine's thread runs it, in the
    /// order of the events and never inside another call of efio, with nothing locked: the
    /// callback may use every file and the engine itself. What it takes long for, all files wait
    /// for; a loop of one's own is better woken than run here. A panic is caught and counted in
    /// [`Stats::callback_panics`].
    ///
    /// Only what waits for the engine fails in the callback, with `EDEADLK`: the `wait_` calls,
    /// [`close_wait`](Engine::close_wait), and [`shutdown`](Engine::shutdown), which then goes on
    /// in the background as if the engine had been dropped.
    /// The callback goes when the engine ends. An [`Engine`] that it owned would never end: give
    /// it a [`Weak`](std::sync::Weak).
    ///
    /// ```
    /// use efio_core::{Engine, EventKind, OpenOptions};
    /// use std::sync::mpsc::channel;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// # let path = std::env::temp_dir().join(format!("efio-on-event-{}", std::process::id()));
    /// let (news, heard) = channel();
    /// let engine = Engine::builder()
    ///     .on_event(move |event| drop(news.send(event)))
    ///     .start()?;
    /// let file = engine.open(&path, &OpenOptions::new().write(true).create(true))?;
    /// let first = heard.recv().expect("the engine is there");
    /// assert_eq!((first.fd, first.kind), (file.fd(), EventKind::Opened));
    /// # std::fs::remove_file(path) }
    /// ```
    #[must_use]
    pub fn on_event(mut self, callback: impl Fn(Event) + Send + Sync + 'static) -> Self {
        self.callback = Some(Arc::new(callback));
        self
    }

    /// Starts the engine: its driver thread and its backend.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::InvalidInput`] for a limit out of range, with its name, and for an
    /// `EFIO_BACKEND` that names no backend; [`io::ErrorKind::Unsupported`] for a backend that was
    /// asked for and is not to be had; what the kernel says when it refuses memory, descriptors or
    /// threads.
    pub fn start(self) -> io::Result<Engine> {
        let shared = Shared::new(self.config)?;
        let (started, start) = sync_channel(1);
        let (ended, report) = sync_channel(1);
        let theirs = Arc::clone(&shared);
        let thread = thread::Builder::new()
            .name(format!("{}-driver", shared.config.thread_name))
            .spawn(move || live(theirs, self.callback, &started, &ended))?;
        // The thread is gone without a word when it panicked, which would be a bug of efio.
        let backend = start
            .recv()
            .map_err(|_| io::Error::from_raw_os_error(libc::EIO))??;
        Ok(Engine {
            shared,
            backend,
            driver: Some(Mutex::new(Running { report, thread })),
        })
    }
}

/// The life of the driver thread: it makes the backend, because a ring belongs to the thread that
/// made it, and tells how that went; then it drives.
fn live(
    shared: Arc<Shared>,
    callback: Option<Callback>,
    started: &SyncSender<io::Result<BackendInfo>>,
    report: &SyncSender<Report>,
) {
    signals::block_all();
    let bell = Arc::clone(shared.attention.bell());
    let selected = backend::start(&shared.config, bell, Arc::clone(&shared.counters));
    // Whoever starts the engine waits for one of the two answers.
    let backend = match selected {
        Ok((backend, info)) => {
            trace::backend(&info);
            let _ = started.send(Ok(info));
            backend
        }
        Err(error) => {
            let _ = started.send(Err(error));
            return;
        }
    };
    let end = match backend {
        Selected::Uring(backend) => drive(&shared, *backend, callback),
        Selected::Pool(backend) => drive(&shared, backend, callback),
    };
    // Nobody waits for the report of an engine that was dropped at its deadline.
    let _ = report.send(end);
}

fn drive<B: Backend>(shared: &Arc<Shared>, backend: B, callback: Option<Callback>) -> Report {
    // Dropped before the mark: what the callback owned may be an engine.
    let _driving = Driving::of(shared);
    let mut driver = Driver::new(Arc::clone(shared), backend);
    if let Some(callback) = callback {
        driver.on_event(callback);
    }
    let start = Instant::now();
    loop {
        let more = driver.turn(start.elapsed());
        if let Some(report) = driver.finished() {
            trace::shut_down(&report);
            return report;
        }
        if !more {
            driver.wait();
        }
    }
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

    /// Opens a file. Returns at once; the kernel opens it in the background, and an
    /// [`Opened`](crate::EventKind::Opened) or [`Failed`](crate::EventKind::Failed) event follows.
    /// Writes are accepted meanwhile.
    ///
    /// # Errors
    ///
    /// `ENOENT`, `EINVAL` or `ENAMETOOLONG` for an empty, NUL-holding or overlong path, `EINVAL`
    /// for options that contradict each other, `EMFILE` when `max_files` are open, `ESHUTDOWN`
    /// after a shutdown. All other errors come with the event: those of `open(2)`, `EISDIR` for a
    /// directory, and `ESPIPE` for anything else that is not a regular file.
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
        self.shared.available_for(fd, Asker::Loop)
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
    pub fn poll(&self, fd: Fd) -> io::Result<Readiness> {
        self.shared.poll(fd)
    }

    /// Reads into several buffers; see [`File::read_vectored`].
    ///
    /// # Errors
    ///
    /// Those of [`File::read`].
    pub fn read_vectored(&self, fd: Fd, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        self.shared.read_vectored(fd, bufs, Asker::Loop)
    }

    /// Writes several buffers; see [`File::write_vectored`].
    ///
    /// # Errors
    ///
    /// Those of [`File::write`].
    pub fn write_vectored(&self, fd: Fd, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        self.shared.write_vectored(fd, bufs, Asker::Loop)
    }

    /// Moves the position; see [`File::seek`].
    ///
    /// # Errors
    ///
    /// Those of [`File::seek`].
    pub fn seek(&self, fd: Fd, position: u64) -> io::Result<()> {
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
    pub fn read_at(&self, fd: Fd, offset: u64, buffer: Buffer, token: u64) -> Result<(), Refused> {
        self.shared.read_at(fd, offset, buffer, token)
    }

    /// Writes at an offset; see [`File::write_at`].
    ///
    /// # Errors
    ///
    /// Those of [`File::write_at`].
    pub fn write_at(&self, fd: Fd, offset: u64, buffer: Buffer, token: u64) -> Result<(), Refused> {
        self.shared.write_at(fd, offset, buffer, token)
    }

    /// Sets the length; see [`File::truncate`].
    ///
    /// # Errors
    ///
    /// Those of [`File::truncate`].
    pub fn truncate(&self, fd: Fd, len: u64) -> io::Result<()> {
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
        self.shared.take_unwritten(fd)
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

    /// Closes every file, waits until all accepted bytes are written or `patience` is over, and
    /// says what was left. Descriptors are stale from then on. The events that were not taken
    /// are gone with the engine: the report says what could not be written in time, the errors of
    /// a file come with its own calls and events before. At the deadline each positional op that is
    /// left [completes](crate::Completed) with an error, and all that wait are woken.
    ///
    /// When nothing is left behind the engine's threads have ended by the return, and what the
    /// callback owned is dropped. Otherwise they end when the disk lets them.
    ///
    /// # Errors
    ///
    /// `EDEADLK` in a callback of this engine, which waits for nobody: the engine then ends in the
    /// background. `EIO` when the driver died, which would be a bug of efio.
    pub fn shutdown(mut self, patience: Duration) -> io::Result<Report> {
        self.stop(patience)
    }

    fn stop(&mut self, patience: Duration) -> io::Result<Report> {
        let Some(driver) = self.driver.take() else {
            return Ok(Report::default());
        };
        // In a forked child there is no driver to wait for (F51).
        self.shared.check_process()?;
        self.shared.stop();
        self.shared.command(Command::Shutdown(patience));
        if is_driven_here(&self.shared) {
            // The driver itself: it cannot wait for its own end.
            return Err(Errno(libc::EDEADLK).into());
        }
        // The lock is there to make the engine `Sync`; nobody else can hold it here.
        let driver = driver.into_inner().unwrap_or_else(PoisonError::into_inner);
        let Running { report, thread } = driver;
        let report = report
            .recv()
            .map_err(|_| io::Error::from_raw_os_error(libc::EIO))?;
        if report.is_clean() {
            // It waits for nothing any more. With a disk that hangs it gives the backend a moment.
            let _ = thread.join();
        }
        Ok(report)
    }
}

impl Drop for Engine {
    /// Drains like [`shutdown`](Engine::shutdown), bounded by
    /// [`drop_deadline`](Builder::drop_deadline).
    fn drop(&mut self) {
        let patience = self.shared.config.drop_deadline;
        // A drop has nobody to report to; `shutdown` does.
        let _ = self.stop(patience);
    }
}
