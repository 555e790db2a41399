//! The limits of an engine, and its start.

use super::Engine;
use super::driver_thread::DriverThread;
use crate::config::{BackendKind, Config};
use crate::event::{Callback, Event};
use crate::io_mode::IoMode;
use crate::shared::Shared;
use std::sync::Arc;
use std::time::Duration;
use std::{fmt, io};

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
#[must_use = "a builder does nothing until it starts an engine"]
pub struct Builder {
    config: Config,
    callback: Option<Callback>,
    keeps_signals_blocked: bool,
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
    ///
    /// ```
    /// use efio_core::BackendKind;
    ///
    /// # use efio_core::{Engine, OpenOptions};
    /// # use std::time::Duration;
    /// # fn main() -> std::io::Result<()> {
    /// let engine = Engine::builder().backend(BackendKind::Pool).start()?;
    /// assert_eq!(engine.backend().kind, BackendKind::Pool);
    /// # drop(engine);
    /// # Ok(()) }
    /// ```
    pub fn backend(mut self, backend: BackendKind) -> Self {
        self.config.backend = backend;
        self
    }

    /// The io mode of files that do not name one.
    ///
    /// ```
    /// use efio_core::IoMode;
    ///
    /// # use efio_core::{Engine, OpenOptions};
    /// # use std::time::Duration;
    /// # fn main() -> std::io::Result<()> {
    /// # let path = std::env::temp_dir().join(format!("efio-io-mode-{}", std::process::id()));
    /// # std::fs::write(&path, b"hello")?;
    /// let engine = Engine::builder().io_mode(IoMode::Cached).start()?;
    /// let file = engine.open(&path, &OpenOptions::new().read(true))?;
    /// file.blocking(Duration::from_secs(10)).wait_open()?;
    /// assert_eq!(file.stats()?.mode, IoMode::Cached);
    /// # drop(engine);
    /// # std::fs::remove_file(path) }
    /// ```
    pub fn io_mode(mut self, io_mode: IoMode) -> Self {
        self.config.io_mode = io_mode;
        self
    }

    /// Bytes of page memory for all files together; 64 MiB unless set, at least 4 MiB.
    ///
    /// ```
    /// # use efio_core::{Engine, OpenOptions};
    /// # use std::time::Duration;
    /// # fn main() -> std::io::Result<()> {
    /// let engine = Engine::builder().memory_budget(8 << 20).start()?; // 8 MiB
    /// let refused = Engine::builder().memory_budget(1 << 20).start();
    /// assert!(refused.is_err()); // less than 4 MiB
    /// # drop(engine);
    /// # Ok(()) }
    /// ```
    pub fn memory_budget(mut self, bytes: usize) -> Self {
        self.config.memory_budget = bytes;
        self
    }

    /// How long accepted bytes may stay in memory; 1 s unless set.
    ///
    /// ```
    /// # use efio_core::{Engine, OpenOptions};
    /// # use std::time::Duration;
    /// # fn main() -> std::io::Result<()> {
    /// let engine = Engine::builder().flush_interval(Duration::from_millis(100)).start()?;
    /// let refused = Engine::builder().flush_interval(Duration::ZERO).start();
    /// assert!(refused.is_err()); // a sync writes at once
    /// # drop(engine);
    /// # Ok(()) }
    /// ```
    pub fn flush_interval(mut self, interval: Duration) -> Self {
        self.config.flush_interval = interval;
        self
    }

    /// How many files may be open at once; 65 536 unless set.
    ///
    /// ```
    /// # use efio_core::{Engine, OpenOptions};
    /// # use std::time::Duration;
    /// # fn main() -> std::io::Result<()> {
    /// # let path = std::env::temp_dir().join(format!("efio-max-files-{}", std::process::id()));
    /// # std::fs::write(&path, b"hello")?;
    /// let engine = Engine::builder().max_files(1).start()?;
    /// let options = OpenOptions::new().read(true);
    /// let only = engine.open(&path, &options)?;
    /// assert!(engine.open(&path, &options).is_err()); // EMFILE
    /// # drop(engine);
    /// # std::fs::remove_file(path) }
    /// ```
    pub fn max_files(mut self, files: u32) -> Self {
        self.config.max_files = files;
        self
    }

    /// Bytes that one file may have accepted and not yet written; a quarter of the budget
    /// unless set.
    ///
    /// ```
    /// # use efio_core::{Engine, OpenOptions};
    /// # use std::time::Duration;
    /// # fn main() -> std::io::Result<()> {
    /// let engine = Engine::builder().write_behind(256 << 10).start()?; // 256 KiB
    /// let refused = Engine::builder().write_behind(1).start();
    /// assert!(refused.is_err()); // less than 4 KiB
    /// # drop(engine);
    /// # Ok(()) }
    /// ```
    pub fn write_behind(mut self, bytes: usize) -> Self {
        self.config.write_behind = Some(bytes);
        self
    }

    /// Bytes that one file may read ahead; an eighth of the budget unless set.
    ///
    /// ```
    /// # use efio_core::{Engine, OpenOptions};
    /// # use std::time::Duration;
    /// # fn main() -> std::io::Result<()> {
    /// let engine = Engine::builder().read_ahead(1 << 20).start()?; // 1 MiB
    /// let refused = Engine::builder().read_ahead(1).start();
    /// assert!(refused.is_err()); // less than 4 KiB
    /// # drop(engine);
    /// # Ok(()) }
    /// ```
    pub fn read_ahead(mut self, bytes: usize) -> Self {
        self.config.read_ahead = Some(bytes);
        self
    }

    /// The smallest page that a stream uses: a power of two from 4 KiB to 2 MiB; 4 KiB unless set.
    /// Streams begin with it and grow. Smaller ones serve when memory is short.
    ///
    /// ```
    /// # use efio_core::{Engine, OpenOptions};
    /// # use std::time::Duration;
    /// # fn main() -> std::io::Result<()> {
    /// let engine = Engine::builder().page_min(16 << 10).start()?; // 16 KiB
    /// let refused = Engine::builder().page_min(5000).start();
    /// assert!(refused.is_err()); // no power of two
    /// # drop(engine);
    /// # Ok(()) }
    /// ```
    pub fn page_min(mut self, bytes: usize) -> Self {
        self.config.page_min = bytes;
        self
    }

    /// The largest page that a stream uses: a power of two from 4 KiB to 2 MiB; 2 MiB unless set.
    ///
    /// ```
    /// # use efio_core::{Engine, OpenOptions};
    /// # use std::time::Duration;
    /// # fn main() -> std::io::Result<()> {
    /// let engine = Engine::builder().page_max(64 << 10).start()?; // 64 KiB
    /// let refused = Engine::builder().page_max(5000).start();
    /// assert!(refused.is_err()); // no power of two
    /// # drop(engine);
    /// # Ok(()) }
    /// ```
    pub fn page_max(mut self, bytes: usize) -> Self {
        self.config.page_max = bytes;
        self
    }

    /// Bytes of the first read when reading ahead begins: a power of two from 4 KiB to 2 MiB;
    /// 64 KiB unless set.
    ///
    /// ```
    /// # use efio_core::{Engine, OpenOptions};
    /// # use std::time::Duration;
    /// # fn main() -> std::io::Result<()> {
    /// let engine = Engine::builder().first_read(128 << 10).start()?; // 128 KiB
    /// let refused = Engine::builder().first_read(5000).start();
    /// assert!(refused.is_err()); // no power of two
    /// # drop(engine);
    /// # Ok(()) }
    /// ```
    pub fn first_read(mut self, bytes: usize) -> Self {
        self.config.first_read = bytes;
        self
    }

    /// What the names of the engine's threads begin with, 1 to 8 bytes; `efio` unless set.
    ///
    /// ```
    /// # use efio_core::{Engine, OpenOptions};
    /// # use std::time::Duration;
    /// # fn main() -> std::io::Result<()> {
    /// let engine = Engine::builder().thread_name("log").start()?;
    /// let refused = Engine::builder().thread_name("too long a name").start();
    /// assert!(refused.is_err()); // more than 8 bytes
    /// # drop(engine);
    /// # Ok(()) }
    /// ```
    pub fn thread_name(mut self, name: impl Into<String>) -> Self {
        self.config.thread_name = name.into();
        self
    }

    /// Worker threads, of both backends; 4 unless set.
    ///
    /// ```
    /// # use efio_core::{Engine, OpenOptions};
    /// # use std::time::Duration;
    /// # fn main() -> std::io::Result<()> {
    /// let engine = Engine::builder().workers(2).start()?;
    /// let refused = Engine::builder().workers(0).start();
    /// assert!(refused.is_err()); // at least one
    /// # drop(engine);
    /// # Ok(()) }
    /// ```
    pub fn workers(mut self, workers: usize) -> Self {
        self.config.workers = workers;
        self
    }

    /// How long an engine that is dropped without shutdown may take to write what it accepted;
    /// 10 s unless set.
    ///
    /// ```
    /// # use efio_core::{Engine, OpenOptions};
    /// # use std::time::Duration;
    /// # fn main() -> std::io::Result<()> {
    /// # let name = format!("efio-drop-deadline-{}", std::process::id());
    /// # let path = std::env::temp_dir().join(name);
    /// # std::fs::write(&path, b"hello")?;
    /// let engine = Engine::builder().drop_deadline(Duration::from_secs(30)).start()?;
    /// engine.open(&path, &OpenOptions::new().write(true))?.write(b"HELLO")?;
    /// drop(engine); // waits for 30 s at most
    /// assert_eq!(std::fs::read(&path)?, b"HELLO");
    /// # std::fs::remove_file(path) }
    /// ```
    pub fn drop_deadline(mut self, deadline: Duration) -> Self {
        self.config.drop_deadline = deadline;
        self
    }

    /// For a callback that only records its events: the report of the shutdown names a failure all
    /// the same. `true` unless set.
    ///
    /// ```
    /// # use efio_core::{Engine, OpenOptions};
    /// # use std::time::Duration;
    /// # fn main() -> std::io::Result<()> {
    /// let engine = Engine::builder()
    ///     .on_event(|event| println!("{event:?}")) // handles no failure
    ///     .callback_reports_failures(false)
    ///     .start()?;
    /// let report = engine.shutdown(Duration::from_secs(10))?;
    /// assert!(report.failed.is_empty(), "{report:?}"); // nothing failed
    /// # Ok(()) }
    /// ```
    pub fn callback_reports_failures(mut self, reports: bool) -> Self {
        self.config.callback_reports_failures = reports;
        self
    }

    /// All events go to `callback` instead of the queue. The engine's thread runs it, in the
    /// order of the events and never inside another call of efio, with nothing locked: the
    /// callback may use every file and the engine itself. What it takes long for, all files wait
    /// for; a loop of one's own is better woken than run here. A panic is caught and counted in
    /// [`Stats::callback_panics`](crate::Stats::callback_panics).
    ///
    /// Only what waits for the engine fails in the callback, with `EDEADLK`: the `wait_` calls,
    /// [`wait_closed`](crate::File::wait_closed), and [`shutdown`](Engine::shutdown), which then
    /// goes on in the background as if the engine had been dropped. On Linux the engine's threads
    /// are of the policy `SCHED_BATCH`; a thread that the callback starts inherits it.
    ///
    /// The callback runs with the signal mask of the thread that called [`start`](Self::start), see
    /// [`keep_signals_blocked`](Self::keep_signals_blocked), and with a stack as large as
    /// `pthread_create(3)` makes it, which is `RLIMIT_STACK` as a rule. A callback that forks
    /// leaves the child by `exec` or `_exit`: when it returns there, the child ends.
    ///
    /// The callback goes when the engine ends. An [`Engine`] that it owned would never end: give
    /// it a [`Weak`](std::sync::Weak).
    ///
    /// ```
    /// use efio_core::{Engine, EventKind, OpenOptions};
    /// use std::sync::mpsc::channel;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// # let path = std::env::temp_dir().join(format!("efio-on-event-{}", std::process::id()));
    /// let (sender, events) = channel();
    /// let engine = Engine::builder()
    ///     .on_event(move |event| drop(sender.send(event)))
    ///     .start()?;
    /// let file = engine.open(&path, &OpenOptions::new().write(true).create(true))?;
    /// let first = events.recv().expect("the engine is there");
    /// assert_eq!((first.fd, first.kind), (file.fd(), EventKind::Opened));
    /// # std::fs::remove_file(path) }
    /// ```
    pub fn on_event(mut self, callback: impl Fn(Event) + Send + Sync + 'static) -> Self {
        self.callback = Some(Arc::new(callback));
        self
    }

    /// Leaves the signals blocked while the callback runs, as they are on the engine's threads in
    /// between: all but those of faults (`SIGSEGV`, `SIGBUS`, `SIGFPE`, `SIGILL`, `SIGSYS`,
    /// `SIGTRAP`, `SIGABRT`), which are never blocked. For callbacks that start no process and
    /// want no signal: spares two system calls for each batch of events. `false` unless set.
    ///
    /// A [`Waker`](std::task::Waker) is woken with the signals blocked in any case. A process that
    /// it starts by [`std::process::Command`] has an empty mask all the same.
    ///
    /// ```
    /// # use efio_core::{Engine, OpenOptions};
    /// # use std::time::Duration;
    /// # fn main() -> std::io::Result<()> {
    /// let engine = Engine::builder()
    ///     .on_event(|event| println!("{event:?}")) // starts no process
    ///     .keep_signals_blocked(true)
    ///     .start()?;
    /// # drop(engine);
    /// # Ok(()) }
    /// ```
    pub fn keep_signals_blocked(mut self, keep: bool) -> Self {
        self.keeps_signals_blocked = keep;
        self
    }

    /// Starts the engine: its driver thread and its backend.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::InvalidInput`] for a limit out of range, with its name, and for an
    /// `EFIO_BACKEND` that names no backend; [`io::ErrorKind::Unsupported`] for a backend that was
    /// asked for and is not to be had, and where an eventfd cannot be used; what the kernel says
    /// when it refuses memory, descriptors or threads.
    ///
    /// ```
    /// use std::io::ErrorKind;
    ///
    /// # use efio_core::{Engine, OpenOptions};
    /// # use std::time::Duration;
    /// # fn main() -> std::io::Result<()> {
    /// let engine = Engine::builder().workers(2).start()?;
    /// let error = Engine::builder().workers(0).start().err().expect("out of range");
    /// assert_eq!(error.kind(), ErrorKind::InvalidInput);
    /// assert_eq!(error.to_string(), "workers is 0; it must be from 1 to 1024");
    /// # drop(engine);
    /// # Ok(()) }
    /// ```
    pub fn start(self) -> io::Result<Engine> {
        let shared = Shared::new(self.config)?;
        let (driver, backend) =
            DriverThread::start(&shared, self.callback, self.keeps_signals_blocked)?;
        Ok(Engine::new_driven(shared, driver, backend))
    }
}
