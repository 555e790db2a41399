//! Options of the engine, set before it starts.

use crate::ffi::error;
use efio_core::{BackendKind, Builder, Engine, IoMode};
use std::ffi::c_int;
use std::io;
use std::time::Duration;

/// The options of ef_set_option. ef_init fails for a value out of range.
#[derive(Clone, Copy)]
#[repr(C)]
pub enum OptionId {
    /// One of ef_backend; EF_BACKEND_AUTO unless set.
    Backend = 1,
    /// One of ef_mode, for files whose flags do not say O_DIRECT; EF_MODE_AUTO unless set.
    Mode = 2,
    /// Bytes of page memory for all files together; 64 MiB unless set, at least 4 MiB.
    MemoryBudget = 3,
    /// Milliseconds that accepted bytes may stay in memory; 1000 unless set.
    FlushIntervalMs = 4,
    /// The number of files that may be open at once; 65536 unless set.
    MaxFiles = 5,
    /// Bytes that one file may have accepted and not written; a quarter of the budget unless set.
    WriteBehind = 6,
    /// Bytes that one file may read ahead; an eighth of the budget unless set.
    ReadAhead = 7,
    /// Worker threads of the pool backend; 4 unless set.
    Workers = 8,
    /// 1: a close makes the file durable first. 0: the kernel has every byte. 1 unless set.
    DurableClose = 9,
}

/// What makes the system calls.
#[derive(Clone, Copy)]
#[repr(C)]
pub enum Backend {
    /// The best one that this kernel has.
    Auto = 0,
    /// Worker threads.
    Pool = 1,
    /// io_uring.
    Uring = 2,
}

/// How bytes go between memory and disk.
#[derive(Clone, Copy)]
#[repr(C)]
pub enum Mode {
    /// The engine chooses per file.
    Auto = 0,
    /// Past the page cache.
    Direct = 1,
    /// Through the page cache without staying there.
    Uncached = 2,
    /// Through the page cache.
    Cached = 3,
}

/// How many files may be open at once unless that is set, as for [`Builder::max_files`].
const MAX_FILES: u32 = 65_536;

/// The options of the next engine.
pub struct Options {
    builder: Builder,
    max_files: u32,
    durable_close: bool,
}

impl Options {
    /// The defaults.
    pub fn new() -> Self {
        Self {
            builder: Engine::builder().max_files(MAX_FILES),
            max_files: MAX_FILES,
            durable_close: true,
        }
    }

    /// The number of files that may be open at once.
    pub fn max_files(&self) -> u32 {
        self.max_files
    }

    /// Whether a close makes the file durable.
    pub fn durable_close(&self) -> bool {
        self.durable_close
    }

    /// Returns a builder of an engine with the options.
    pub fn builder(&self) -> Builder {
        self.builder.clone()
    }

    /// Sets an option.
    ///
    /// # Errors
    ///
    /// `EINVAL` for an unknown option, and for a value that the option cannot have.
    pub fn set(&mut self, option: c_int, value: u64) -> io::Result<()> {
        let size = || usize::try_from(value).map_err(|_| error(libc::EINVAL));
        let builder = self.builder.clone();
        self.builder = match option {
            o if o == OptionId::Backend as c_int => builder.backend(backend(value)?),
            o if o == OptionId::Mode as c_int => builder.io_mode(mode(value)?),
            o if o == OptionId::MemoryBudget as c_int => builder.memory_budget(size()?),
            o if o == OptionId::FlushIntervalMs as c_int => {
                builder.flush_interval(Duration::from_millis(value))
            }
            o if o == OptionId::MaxFiles as c_int => {
                self.max_files = u32::try_from(value).map_err(|_| error(libc::EINVAL))?;
                builder.max_files(self.max_files)
            }
            o if o == OptionId::WriteBehind as c_int => builder.write_behind(size()?),
            o if o == OptionId::ReadAhead as c_int => builder.read_ahead(size()?),
            o if o == OptionId::Workers as c_int => builder.workers(size()?),
            o if o == OptionId::DurableClose as c_int => {
                self.durable_close = match value {
                    0 => false,
                    1 => true,
                    _ => return Err(error(libc::EINVAL)),
                };
                builder
            }
            _ => return Err(error(libc::EINVAL)),
        };
        Ok(())
    }
}

fn backend(value: u64) -> io::Result<BackendKind> {
    match value {
        v if v == Backend::Auto as u64 => Ok(BackendKind::Auto),
        v if v == Backend::Pool as u64 => Ok(BackendKind::Pool),
        v if v == Backend::Uring as u64 => Ok(BackendKind::Uring),
        _ => Err(error(libc::EINVAL)),
    }
}

fn mode(value: u64) -> io::Result<IoMode> {
    match value {
        v if v == Mode::Auto as u64 => Ok(IoMode::Auto),
        v if v == Mode::Direct as u64 => Ok(IoMode::Direct),
        v if v == Mode::Uncached as u64 => Ok(IoMode::Uncached),
        v if v == Mode::Cached as u64 => Ok(IoMode::Cached),
        _ => Err(error(libc::EINVAL)),
    }
}
