//! The end of a log: all lines are on disk, or the guard reports that they are not.

use super::line::Log;
use crate::engine::Engine;
use std::fmt;
use std::io::{self, Write};
use std::panic;
use std::sync::Arc;
use std::time::Duration;

/// How long the drop of a guard, and a panic, wait for the disk.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The numbers of logged and of dropped lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogReport {
    /// Lines that the log accepted.
    pub lines: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Lines that were dropped. The log itself has a note of them.
    pub dropped_lines: u64,
    /// Their bytes.
    pub dropped_bytes: u64,
}

/// Keeps a log open. Dropping it writes all accepted lines, waits for up to five seconds, and
/// prints an error to stderr if a line could not be written. A `main` that panics drops it as well;
/// for panics of other threads, and those that abort, use [`flush_on_panic`](Self::flush_on_panic).
#[must_use = "the log ends when the guard is dropped"]
pub struct LogGuard {
    log: Arc<Log>,
    engine: Option<Engine>,
}

impl LogGuard {
    pub(super) fn new(log: Arc<Log>, engine: Engine) -> Self {
        Self {
            log,
            engine: Some(engine),
        }
    }

    /// Installs a panic hook that writes all lines to the kernel when any thread panics. It runs
    /// after the hook that is set now, and waits for up to five seconds.
    pub fn flush_on_panic(&self) {
        let log = Arc::downgrade(&self.log);
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            before(info);
            if let Some(log) = log.upgrade() {
                // A panic hook cannot report an error.
                let _ = log.flush(TIMEOUT);
            }
        }));
    }

    /// Returns the numbers of lines so far. In a forked child all are 0.
    pub fn report(&self) -> LogReport {
        if self.log.check_process().is_err() {
            return LogReport::default();
        }
        let state = self.log.lock();
        LogReport {
            lines: state.missing.lines,
            bytes: state.missing.bytes,
            dropped_lines: state.missing.dropped_lines,
            dropped_bytes: state.missing.dropped_bytes,
        }
    }

    /// Ends the log, and waits until every accepted line is durable.
    ///
    /// # Errors
    ///
    /// - The first error of the file: lines may be missing.
    /// - `TimedOut` when the disk takes longer than `timeout`.
    pub fn close(mut self, timeout: Duration) -> io::Result<LogReport> {
        self.end(timeout)?;
        Ok(self.report())
    }

    fn end(&mut self, timeout: Duration) -> io::Result<()> {
        let Some(engine) = self.engine.take() else {
            return Ok(());
        };
        let closed = self.log.close(timeout);
        let drained = engine.shutdown(timeout);
        closed.and(drained.map(drop))
    }
}

impl Drop for LogGuard {
    fn drop(&mut self) {
        if self.log.check_process().is_err() {
            // In a forked child: the log belongs to the parent.
            return;
        }
        if let Err(error) = self.end(TIMEOUT) {
            // Not `eprintln!`, which panics when standard error is broken: in a drop while
            // unwinding that ends the process (F75).
            _ = writeln!(io::stderr(), "efio: the log is not complete: {error}");
        }
    }
}

impl fmt::Debug for LogGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LogGuard").field(&self.report()).finish()
    }
}
