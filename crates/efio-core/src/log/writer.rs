//! The end that lines go into.

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

    /// Waits until the kernel has every line, for up to a second.
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
