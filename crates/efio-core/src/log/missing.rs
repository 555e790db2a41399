//! Counts the lines that a log accepted, and those that are missing in it.

use crate::error::Errno;
use std::collections::VecDeque;
use std::io;

/// Counts of lines and bytes.
#[derive(Default)]
pub struct Missing {
    pub lines: u64,
    pub bytes: u64,
    pub dropped_lines: u64,
    pub dropped_bytes: u64,
    /// Dropped lines that the log has no note of yet, and their bytes.
    unreported: (u64, u64),
    /// Why the first of them was dropped, if the disk was not only behind.
    errno: Option<Errno>,
}

impl Missing {
    /// Counts an accepted line.
    pub fn took(&mut self, line: &[u8]) {
        self.lines += 1;
        self.bytes += line.len() as u64;
    }

    /// Counts a dropped line.
    pub fn dropped(&mut self, line: &[u8]) {
        self.dropped_lines += 1;
        self.dropped_bytes += line.len() as u64;
    }

    /// Adds a dropped line to the next notice in the log.
    pub fn record(&mut self, line: &[u8], errno: Option<Errno>) {
        self.unreported.0 += 1;
        self.unreported.1 += line.len() as u64;
        self.errno = self.errno.or(errno);
    }

    /// Counts accepted bytes as dropped. A line whose beginning was written counts, too:
    /// `b"c\nd\n"` after a written `b"ab"` are two lines.
    pub fn lost(&mut self, bytes: &VecDeque<u8>) {
        let lines = bytes.iter().filter(|&&byte| byte == b'\n').count() as u64;
        let torn = u64::from(bytes.back().is_some_and(|&byte| byte != b'\n'));
        self.dropped_lines += lines + torn;
        self.dropped_bytes += bytes.len() as u64;
        self.lines = self.lines.saturating_sub(lines + torn);
        self.bytes = self.bytes.saturating_sub(bytes.len() as u64);
    }

    /// Returns the notice for the log that says how many lines are missing, if there are new ones.
    pub fn take_notice(&mut self) -> Option<String> {
        let (lines, bytes) = std::mem::take(&mut self.unreported);
        let why = match self.errno.take() {
            None => "the disk was behind".to_owned(),
            Some(Errno(errno)) => io::Error::from_raw_os_error(errno).to_string(),
        };
        (lines > 0).then(|| format!("{lines} lines of {bytes} bytes are missing: {why}\n"))
    }
}
