//! The writer of lines.

use super::OPEN_TIMEOUT;
use super::line::Log;
use std::fmt;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

/// Writes lines into a log; clone it for every thread. See [the module](super).
#[derive(Clone)]
pub struct LogWriter {
    log: Arc<Log>,
}

impl LogWriter {
    pub(super) fn new(log: Arc<Log>) -> Self {
        Self { log }
    }
}

impl LogWriter {
    /// Opens the path of the log anew, as after its file was renamed (logrotate, `SIGHUP`). Later
    /// lines go to the new file. Those accepted before go to the old one, which becomes durable and
    /// is closed in the background. If the old file fails by then, the new one gets what it did not
    /// write. Waits until the kernel has opened the file, for up to ten seconds.
    ///
    /// After a failure (a full disk) the log does this by itself, with the next lines: after a
    /// tenth of a second at first, later once a second.
    ///
    /// # Errors
    ///
    /// - That of the open: lines go to the old file as before.
    /// - `BrokenPipe` after the end of the log.
    /// - `TimedOut`: the open goes on in the background.
    pub fn reopen(&self) -> io::Result<()> {
        self.log.reopen(OPEN_TIMEOUT)
    }
}

impl Write for &LogWriter {
    /// Accepts `line` whole, or fails.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.log.write(line)
    }

    /// Formats one line, and writes it whole.
    fn write_fmt(&mut self, args: fmt::Arguments<'_>) -> io::Result<()> {
        match args.as_str() {
            Some(line) => self.log.write(line.as_bytes()).map(drop),
            None => self.log.write(args.to_string().as_bytes()).map(drop),
        }
    }

    /// Waits until the kernel has every line that was accepted before, whatever others write
    /// meanwhile, for up to a second.
    fn flush(&mut self) -> io::Result<()> {
        self.log.flush(Duration::from_secs(1))
    }
}

/// As for `&LogWriter`.
impl Write for LogWriter {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        (&*self).write(line)
    }

    fn write_fmt(&mut self, args: fmt::Arguments<'_>) -> io::Result<()> {
        (&*self).write_fmt(args)
    }

    fn flush(&mut self) -> io::Result<()> {
        (&*self).flush()
    }
}

impl fmt::Debug for LogWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogWriter").finish_non_exhaustive()
    }
}
