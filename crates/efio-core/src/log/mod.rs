//! A log file whose writers never wait for a disk, unless configured to.
//!
//! ```text
//!  threads ─ line ─► LogWriter ─ memcpy ─► file (append, its own engine) ─► disk
//!                       │ no room: the disk is behind
//!                       ├─ Block   waits for a limited time
//!                       ├─ Refuse  WouldBlock; the caller keeps the line
//!                       └─ Drop    counts it, and notes it in the log when there is room again
//! ```
//!
//! One call of [`write`](std::io::Write::write) is one line (or several): it is in the log whole or
//! not at all, and never mixed with another. Memory is bounded by [`LogOptions::memory`]. Dropped
//! lines are counted, and the [`LogGuard`] reports them.
//!
//! With the feature `tracing-subscriber` a [`LogWriter`] is a `MakeWriter`.

mod guard;
mod line;
mod missing;
mod state;
#[cfg(feature = "tracing-subscriber")]
mod subscriber;
mod writer;

pub use guard::{LogGuard, LogReport};
pub use writer::LogWriter;

use crate::engine::Engine;
use crate::io_mode::IoMode;
use crate::options::OpenOptions;
use line::Log;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// What happens to a line when the disk is so far behind that there is no room for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WhenBehind {
    /// Its writer waits for room, at most for this time. Then the line is dropped and counted, and
    /// the writer gets `TimedOut`.
    Block(Duration),
    /// Its writer gets `WouldBlock` and keeps the line. Nothing is counted: nothing is lost yet.
    Refuse,
    /// The line is dropped and counted. Before the next line that finds room, the log has a line
    /// that says how many are missing.
    Drop,
}

/// The options of a log.
///
/// ```
/// use efio_core::log::{LogOptions, WhenBehind};
/// use std::io::Write;
///
/// # fn main() -> std::io::Result<()> {
/// # let path = std::env::temp_dir().join(format!("efio-log-{}", std::process::id()));
/// let (log, guard) = LogOptions::new().when_behind(WhenBehind::Drop).open(&path)?;
/// writeln!(&log, "hello")?; // a memcpy
/// let report = guard.close(std::time::Duration::from_secs(5))?; // everything is durable
/// assert_eq!((report.lines, report.dropped_lines), (1, 0));
/// # assert_eq!(std::fs::read(&path)?, b"hello\n");
/// # std::fs::remove_file(path)?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
#[must_use = "options do nothing until a log is opened with them"]
pub struct LogOptions {
    memory: usize,
    when_behind: WhenBehind,
    flush_interval: Duration,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl LogOptions {
    /// Creates the default options: 16 MiB of memory, `Block` for up to a second, flushed every 200
    /// ms.
    pub fn new() -> Self {
        Self {
            memory: 16 << 20,
            when_behind: WhenBehind::Block(Duration::from_secs(1)),
            flush_interval: Duration::from_millis(200),
        }
    }

    /// Sets how many bytes may wait for the disk: 2 MiB or more.
    pub fn memory(mut self, bytes: usize) -> Self {
        self.memory = bytes;
        self
    }

    /// Sets what happens to a line that finds no room.
    pub fn when_behind(mut self, when_behind: WhenBehind) -> Self {
        self.when_behind = when_behind;
        self
    }

    /// Sets how long a line may stay in this process before it is written to the kernel.
    pub fn flush_interval(mut self, interval: Duration) -> Self {
        self.flush_interval = interval;
        self
    }

    /// Opens the log to append, and creates it if it does not exist. Waits for the open. The guard
    /// has to live as long as lines are written.
    ///
    /// # Errors
    ///
    /// - Those of the open.
    /// - `TimedOut` if the open takes longer than ten seconds.
    /// - `InvalidInput` for limits out of range.
    pub fn open(&self, path: impl AsRef<Path>) -> io::Result<(LogWriter, LogGuard)> {
        let log = Arc::new(Log::new(self.when_behind)?);
        let weak = Arc::downgrade(&log);
        let engine = Engine::builder()
            // Half-full pages need memory in addition to those in flight.
            .memory_budget(self.memory.saturating_mul(2).max(4 << 20))
            .write_behind(self.memory)
            .flush_interval(self.flush_interval)
            .workers(1)
            .keep_signals_blocked(true)
            .on_event(move |event| {
                if let Some(log) = weak.upgrade() {
                    log.handle_event(&event);
                }
            })
            .start()?;
        let options = OpenOptions::new()
            .append(true)
            .create(true)
            .io_mode(IoMode::Auto);
        // The path is opened again after a failure, and by `reopen`, when the process may have
        // another working directory.
        let path = std::path::absolute(path)?;
        log.begin(&engine.shared, path, options, OPEN_TIMEOUT)?;
        let writer = LogWriter::new(Arc::clone(&log));
        Ok((writer, LogGuard::new(log, engine)))
    }
}

/// How long an open may take.
const OPEN_TIMEOUT: Duration = Duration::from_secs(10);
