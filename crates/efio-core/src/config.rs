//! Every limit of an engine, in one place, validated once.

use crate::io_mode::IoMode;
use crate::page::{SLAB_BYTES, UNIT_BYTES, order_for};
use std::io;
use std::time::Duration;

/// Which backend does the system calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BackendKind {
    /// What the environment variable `EFIO_BACKEND` says, `pool` or `uring`; without it io_uring
    /// where the kernel allows it, the thread pool elsewhere. [`Engine::backend`] says which.
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
    /// Bytes that one file may read ahead, where memory is not short. An eighth of the budget
    /// unless set. What was read ahead for a consumer that stopped is dropped when others need the
    /// memory, and read again when it comes.
    pub read_ahead: Option<usize>,
    /// The smallest page that a stream uses, in bytes; smaller ones serve when memory is short.
    pub page_min: usize,
    /// The largest page that a stream uses, in bytes.
    pub page_max: usize,
    /// Bytes of the first read of a run of read-ahead; the following ones grow from there.
    pub first_read: usize,
    /// What the names of the engine's threads begin with.
    pub thread_name: String,
    /// Worker threads, of both backends.
    pub workers: usize,
    /// How long a dropped engine may take to write what it accepted.
    pub drop_deadline: Duration,
    /// Whether a failure that the callback received counts as reported.
    pub callback_reports_failures: bool,
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
            page_min: 4096,
            page_max: 2 << 20,
            first_read: 64 << 10,
            thread_name: "efio".into(),
            workers: 4,
            drop_deadline: Duration::from_secs(10),
            callback_reports_failures: true,
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

    /// The order of the smallest page of a stream.
    pub fn least_order(&self) -> u8 {
        order_for(self.page_min)
    }

    /// The order of the largest one.
    pub fn most_order(&self) -> u8 {
        order_for(self.page_max)
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
            refuse(format!(
                "{name} is {value}; it must be from {least} to {most}"
            ))
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
        for (name, bytes) in [
            ("page_min", self.page_min),
            ("page_max", self.page_max),
            ("first_read", self.first_read),
        ] {
            within(name, bytes, UNIT_BYTES, SLAB_BYTES)?;
            if !bytes.is_power_of_two() {
                return refuse(format!("{name} is {bytes}; it must be a power of two"));
            }
        }
        if self.page_min > self.page_max {
            let (least, most) = (self.page_min, self.page_max);
            return refuse(format!("page_min is {least}, above page_max, {most}"));
        }
        if !(1..=8).contains(&self.thread_name.len()) || self.thread_name.contains('\0') {
            let name = &self.thread_name;
            return refuse(format!(
                "thread_name is {name:?}; it must have 1 to 8 bytes, none of them NUL"
            ));
        }
        if self.flush_interval.is_zero() {
            return refuse("flush_interval is zero; sync a file to write it at once".into());
        }
        Ok(())
    }
}

fn refuse(message: String) -> io::Result<()> {
    Err(io::Error::new(io::ErrorKind::InvalidInput, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_limit_is_checked_and_named() {
        let refused = |expected: &str, change: &dyn Fn(&mut Config)| {
            let mut config = Config::default();
            config.validate().unwrap();
            change(&mut config);
            let error = config.validate().unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
            assert!(error.to_string().starts_with(expected), "{error}");
        };
        refused("memory_budget is 1048576", &|c| c.memory_budget = 1 << 20);
        refused("max_files is 0", &|c| c.max_files = 0);
        refused("max_files is 16777217", &|c| c.max_files = (1 << 24) + 1);
        refused("write_behind is 4095", &|c| c.write_behind = Some(4095));
        refused("write_behind is 67108865", &|c| {
            c.write_behind = Some((64 << 20) + 1);
        });
        refused("read_ahead is 0", &|c| c.read_ahead = Some(0));
        refused("workers is 0", &|c| c.workers = 0);
        refused("workers is 1025", &|c| c.workers = 1025);
        refused("page_min is 2048", &|c| c.page_min = 2048);
        refused("page_min is 5000", &|c| c.page_min = 5000);
        refused("page_max is 4194304", &|c| c.page_max = 4 << 20);
        refused("page_min is 16384, above", &|c| {
            (c.page_min, c.page_max) = (16_384, 8192);
        });
        refused("first_read is 0", &|c| c.first_read = 0);
        refused("first_read is 12288", &|c| c.first_read = 12_288);
        refused("thread_name is \"\"", &|c| c.thread_name = String::new());
        refused("thread_name is \"ninebytes\"", &|c| {
            c.thread_name = "ninebytes".into();
        });
        refused("thread_name", &|c| c.thread_name = "a\0b".into());
        refused("flush_interval is zero", &|c| {
            c.flush_interval = Duration::ZERO;
        });
    }
}
