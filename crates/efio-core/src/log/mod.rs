//! A log file that never makes its writer wait for a disk, unless asked to.
//!
//! ```text
//!  threads ─ line ─► LogWriter ─ memcpy ─► file (append, an engine of its own) ─► disk
//!                       │ no room: the disk is behind
//!                       ├─ Block   waits, so long and no longer
//!                       ├─ Refuse  WouldBlock; the caller has the line still
//!                       └─ Drop    counts it, and says so in the log when there is room again
//! ```
//!
//! One call of [`write`](std::io::Write::write) is one line (or several): it is in the log whole or
//! not at all, and never mixed with another. Memory is bounded by [`LogOptions::memory`]. What
//! cannot be logged is counted, and the [`LogGuard`] tells at the end.
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

use crate::config::IoMode;
use crate::engine::Engine;
use crate::options::OpenOptions;
use line::Log;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// What happens to a line when the disk is so far behind that there is no room for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenBehind {
    /// Its writer waits for room, so long at most; then the line is dropped and counted, and the
    /// writer gets `TimedOut`.
    Block(Duration),
    /// Its writer gets `WouldBlock` and keeps it. Nothing is counted: nothing is lost yet.
    Refuse,
    /// It is dropped and counted. The next line that finds room has one before it that says how
    /// many are missing.
    Drop,
}

/// How a log is to be kept.
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
    /// 16 MiB of memory, `Block` for up to a second, flushed every 200 ms.
    pub fn new() -> Self {
        Self {
            memory: 16 << 20,
            when_behind: WhenBehind::Block(Duration::from_secs(1)),
            flush_interval: Duration::from_millis(200),
        }
    }

    /// Bytes that may wait for the disk: 2 MiB or more.
    #[must_use]
    pub fn memory(mut self, bytes: usize) -> Self {
        self.memory = bytes;
        self
    }

    /// What happens to a line that finds no room.
    #[must_use]
    pub fn when_behind(mut self, when_behind: WhenBehind) -> Self {
        self.when_behind = when_behind;
        self
    }

    /// How long a line may stay in this process before it is the kernel's.
    #[must_use]
    pub fn flush_interval(mut self, interval: Duration) -> Self {
        self.flush_interval = interval;
        self
    }

    /// Opens the log, makes it if it is not there, and appends to it. The guard has to live as long
    /// as lines are written.
    ///
    /// # Errors
    ///
    /// Those of the open, for which this waits: up to ten seconds, then `TimedOut`.
    /// `InvalidInput` for limits out of range.
    pub fn open(&self, path: impl AsRef<Path>) -> io::Result<(LogWriter, LogGuard)> {
        let log = Arc::new(Log::new(self.when_behind)?);
        let heard = Arc::downgrade(&log);
        let engine = Engine::builder()
            // Pages half full wait beside those that are under way.
            .memory_budget(self.memory.saturating_mul(2).max(4 << 20))
            .write_behind(self.memory)
            .flush_interval(self.flush_interval)
            .workers(1)
            .keep_signals_blocked(true)
            .on_event(move |event| {
                if let Some(log) = heard.upgrade() {
                    log.handle_event(&event);
                }
            })
            .start()?;
        let options = OpenOptions::new()
            .append(true)
            .create(true)
            .io_mode(IoMode::Auto);
        // The path is opened again after a failure, and by `reopen`: wherever the process is then.
        let path = std::path::absolute(path)?;
        log.begin(&engine.shared, path, options, OPEN_TIME)?;
        let writer = LogWriter::new(Arc::clone(&log));
        Ok((writer, LogGuard::new(log, engine)))
    }
}

/// How long an open may take.
const OPEN_TIME: Duration = Duration::from_secs(10);
