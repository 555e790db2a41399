//! The end that lines go into.

use super::OPEN_TIME;
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
    /// Opens the path of the log anew, as after its file was renamed (logrotate, `SIGHUP`): lines go
    /// to the new file from now on, what was taken before goes to the old one, which becomes durable
    /// and is closed in the background. Waits until the kernel has opened the file, up to ten
    /// seconds. Should the old file fail yet, what it did not take is written to the new one.
    ///
    /// After a failure (a full disk) the log does this by itself, with the next lines: after a
    /// tenth of a second, later once a second.
    ///
    /// # Errors
    ///
    /// That of the open: lines go to the old file as before. `BrokenPipe` after the end of the log,
    /// `TimedOut`: it goes on in the background.
    pub fn reopen(&self) -> io::Result<()> {
        self.log.reopen(OPEN_TIME)
    }
}

impl Write for &LogWriter {
    /// Takes all of `line` or nothing.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.log.write(line)
    }

    /// One line in several pieces.
    fn write_fmt(&mut self, args: fmt::Arguments<'_>) -> io::Result<()> {
        match args.as_str() {
            Some(line) => self.log.write(line.as_bytes()).map(drop),
            None => self.log.write(args.to_string().as_bytes()).map(drop),
        }
    }

    /// Waits until the kernel has every line that was taken before, whatever others write
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
