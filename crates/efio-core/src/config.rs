//! Every limit of an engine, in one place, validated once.

use std::io;
use std::time::Duration;

/// How a file's bytes go between memory and disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum IoMode {
    /// The engine chooses: Direct where the file system offers it, Uncached for what is appended,
    /// and the page cache elsewhere and for little: a file of less than 64 KiB, a log that grows
    /// by less at a time.
    #[default]
    Auto,
    /// O_DIRECT for aligned blocks, exact-length uncached writes for unaligned heads and tails.
    /// For bulk streams. Falls back to Uncached, visibly in the stats, where O_DIRECT is not to
    /// be had.
    Direct,
    /// Through the page cache without staying there (`RWF_DONTCACHE`, Linux 6.14); falls back to
    /// Cached.
    Uncached,
    /// Through the page cache: for data that is read again.
    Cached,
}

/// Which backend does the system calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum BackendKind {
    /// What the environment variable `EFIO_BACKEND` says, `pool` or `uring`; without it io_uring
    /// where the kernel allows it, the thread pool elsewhere. [`Engine::backend`] tells which.
    ///
    /// [`Engine::backend`]: crate::Engine::backend
    #[default]
    Auto,
    /// Worker threads with `preadv2` and `pwritev2`; works everywhere.
    Pool,
    /// io_uring for direct IO and for reads, worker threads for the rest. Needs Linux 5.19;
    /// choosing it where it is not to be had fails with [`io::ErrorKind::Unsupported`].
    Uring,
}

/// The limits of an engine; [`Builder`](crate::Builder) sets them one by one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Which backend.
    pub backend: BackendKind,
    /// The mode of files whose options do not name one.
    pub io_mode: IoMode,
    /// Bytes of page memory for all files together, read-ahead and write-behind alike.
    pub memory_budget: usize,
    /// How long accepted bytes may stay in memory before they are sent to the kernel.
    pub flush_interval: Duration,
    /// How many files may be open at once.
    pub max_files: u32,
    /// Bytes that one file may have accepted and not yet written.
    /// A quarter of the budget unless set.
    pub write_behind: Option<usize>,
    /// Bytes that one file may read ahead. An eighth of the budget unless set.
    pub read_ahead: Option<usize>,
    /// Worker threads, of both backends.
    pub workers: usize,
    /// How long a dropped engine may take to write what it accepted.
    pub drop_deadline: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            backend: BackendKind::Auto,
            io_mode: IoMode::Auto,
            memory_budget: 64 << 20,
            flush_interval: Duration::from_secs(1),
            max_files: 65_536,
            write_behind: None,
            read_ahead: None,
            workers: 4,
            drop_deadline: Duration::from_secs(10),
        }
    }
}

impl Config {
    /// Bytes of one unit of the memory budget.
    pub const BUDGET_UNIT: usize = 2 << 20;

    /// Bytes that one file may have accepted and not yet written.
    pub fn write_behind(&self) -> usize {
        self.write_behind.unwrap_or(self.memory_budget / 4)
    }

    /// Bytes that one file may read ahead.
    pub fn read_ahead(&self) -> usize {
        self.read_ahead.unwrap_or(self.memory_budget / 8)
    }

    /// Checks each limit.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::InvalidInput`] with a message that names the limit and its range.
    pub fn validate(&self) -> io::Result<()> {
        let within = |name: &str, value: usize, least: usize, most: usize| {
            if (least..=most).contains(&value) {
                return Ok(());
            }
            let message = format!("{name} is {value}; it must be from {least} to {most}");
            Err(io::Error::new(io::ErrorKind::InvalidInput, message))
        };
        within(
            "memory_budget",
            self.memory_budget,
            2 * Self::BUDGET_UNIT,
            1 << 40,
        )?;
        within("max_files", self.max_files as usize, 1, 1 << 24)?;
        within(
            "write_behind",
            self.write_behind(),
            4096,
            self.memory_budget,
        )?;
        within("read_ahead", self.read_ahead(), 4096, self.memory_budget)?;
        within("workers", self.workers, 1, 1024)?;
        if self.flush_interval.is_zero() {
            let message = "flush_interval is zero; sync a file to write it at once";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_valid_and_errors_name_the_limit() {
        Config::default().validate().unwrap();
        let config = Config {
            memory_budget: 1 << 20,
            ..Config::default()
        };
        let error = config.validate().unwrap_err();
        assert!(
            error.to_string().starts_with("memory_budget is 1048576"),
            "{error}"
        );
        let config = Config {
            flush_interval: Duration::ZERO,
            ..Config::default()
        };
        assert!(config.validate().is_err());
    }
}
