//! Counters of an engine and of each of its files.
//!
//! What happens on the path of every read is counted only per file, by the caller that holds its
//! lock: a load and a store. The engine's figure is the sum over its files and what closed ones
//! left. The other figures of a file have memory only once there is something to count.

use crate::error::Errno;
use crate::io_mode::IoMode;
use crate::mode_status::ModeReason;
use crate::op::CacheMode;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes, by the way that they took between memory and disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BytesByMode {
    /// Past the page cache.
    pub direct: u64,
    /// Through the page cache without staying there.
    pub uncached: u64,
    /// Through the page cache.
    pub cached: u64,
}

impl BytesByMode {
    /// Bytes by all cache modes together.
    pub fn total(&self) -> u64 {
        self.direct + self.buffered()
    }

    /// Bytes through the page cache, whether they stay there or not.
    pub fn buffered(&self) -> u64 {
        self.uncached + self.cached
    }

    pub(crate) fn of(&mut self, cache_mode: CacheMode) -> &mut u64 {
        match cache_mode {
            CacheMode::Direct => &mut self.direct,
            CacheMode::Uncached => &mut self.uncached,
            CacheMode::Cached => &mut self.cached,
        }
    }
}

/// The live counters behind [`BytesByMode`].
#[derive(Default)]
pub struct ByteCounters {
    direct: Counter,
    uncached: Counter,
    cached: Counter,
}

impl ByteCounters {
    /// Counts `bytes` more.
    pub fn add(&self, cache_mode: CacheMode, bytes: u64) {
        let counter = match cache_mode {
            CacheMode::Direct => &self.direct,
            CacheMode::Uncached => &self.uncached,
            CacheMode::Cached => &self.cached,
        };
        counter.add(bytes);
    }

    /// All of them, each read once.
    pub fn get(&self) -> BytesByMode {
        BytesByMode {
            direct: self.direct.get(),
            uncached: self.uncached.get(),
            cached: self.cached.get(),
        }
    }
}

macro_rules! counters {
    (
        $(#[$of:meta])* $stats:ident, $(#[$live:meta])* $counters:ident:
        $($(#[$doc:meta])* $name:ident: $value:ident of $counter:ident,)*
    ) => {
        $(#[$of])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct $stats {
            $($(#[$doc])* pub $name: $value,)*
        }

        $(#[$live])*
        #[derive(Default)]
        pub struct $counters {
            $($(#[$doc])* pub $name: $counter,)*
        }

        impl $counters {
            /// All of them, each read once.
            pub fn get(&self) -> $stats {
                $stats { $($name: self.$name.get(),)* }
            }
        }
    };
}

counters! {
    /// What an engine has done so far.
    Stats,
    /// The live counters behind [`Stats`].
    Counters:
    /// Bytes read.
    read: BytesByMode of ByteCounters,
    /// Bytes written.
    written: BytesByMode of ByteCounters,
    /// Reads that were answered at once, bytes or the end of file.
    reads_served: u64 of Counter,
    /// Reads that found nothing and said "would block".
    reads_blocked: u64 of Counter,
    /// Reads that callers answered themselves from the page cache, with one system call.
    reads_from_cache: u64 of Counter,
    /// Writes that found no room and said "would block".
    writes_blocked: u64 of Counter,
    /// Read, write and sync operations submitted to the backend.
    ops: u64 of Counter,
    /// Syncs that succeeded.
    syncs: u64 of Counter,
    /// IO modes that the kernel refused, so that another one was taken, and files whose mode was
    /// not available.
    fallbacks: u64 of Counter,
    /// Files that were opened to go past the page cache.
    opened_direct: u64 of Counter,
    /// Files that were opened to go through the page cache without staying there.
    opened_uncached: u64 of Counter,
    /// Files that were opened to go through the page cache.
    opened_cached: u64 of Counter,
    /// Files whose reads and writes worker threads make, with io_uring too: those of FUSE file
    /// systems, of which the ring of Linux brings wrong bytes.
    opened_on_workers: u64 of Counter,
    /// Bytes that were read ahead and never consumed.
    read_ahead_wasted: u64 of Counter,
    /// Writes to the kernel that began because pages were full.
    flushes_full: u64 of Counter,
    /// Flushes of a file that were due by the interval.
    flushes_interval: u64 of Counter,
    /// Flushes for a sync.
    flushes_sync: u64 of Counter,
    /// Flushes that a caller asked for, or that a read had to wait for.
    flushes_asked: u64 of Counter,
    /// Flushes for a close that found bytes unwritten.
    flushes_close: u64 of Counter,
    /// Panics of the event callback, or of the code behind a waker, that were caught.
    callback_panics: u64 of Counter,
    /// Kinds of system calls that this process may not make and that another one stands in for, of
    /// all engines; [`Engine::refused_calls`](crate::Engine::refused_calls) names them.
    calls_refused: u64 of Counter,
    /// New files whose bytes became durable while nobody knows whether their name did: their
    /// directory could not be synced. See [`FileStats::name`].
    names_unknown: u64 of Counter,
    /// What the engine's thread did, for those who tune or debug it.
    driver: DriverStats of DriverCounters,
}

counters! {
    /// The internals of an engine: its thread, its ring and its doorbell.
    DriverStats,
    /// The live counters behind [`DriverStats`].
    DriverCounters:
    /// Turns of the driver's loop.
    turns: u64 of Counter,
    /// Times a caller had to wake the driver with a system call, or memory that the program freed
    /// did.
    doorbell_calls: u64 of Counter,
    /// Completions that belonged to no op, late or duplicate; dropped.
    stray_completions: u64 of Counter,
    /// Reads and writes that went through the ring of the io_uring backend.
    ring_ops: u64 of Counter,
    /// Of those, the ones whose memory is not registered with the ring: writes of several pages,
    /// and all of them where the kernel allows no more locked memory.
    ring_unregistered: u64 of Counter,
    /// Times the io_uring backend entered the kernel to submit, to wait, or both.
    ring_enters: u64 of Counter,
    /// Rings that the kernel refused while in use (1 at most): the worker threads do everything
    /// since.
    rings_lost: u64 of Counter,
}

/// What was done for one file so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FileStats {
    /// How the bytes go: what was asked for, or what the engine chose for [`IoMode::Auto`], as far
    /// as the kernel lets them. Small files and unaligned ends go through the page cache all the
    /// same.
    pub mode: IoMode,
    /// Why it is that mode.
    pub mode_reason: ModeReason,
    /// Whether the name of a new file is durable.
    pub name: NameState,
    /// Whether worker threads make its reads and writes, with io_uring too, as for any file of a
    /// FUSE file system: the ring of Linux brings wrong bytes of those that do direct IO.
    pub on_workers: bool,
    /// Reads that were answered at once, bytes or the end of file.
    pub reads_served: u64,
    /// Reads that found nothing and said "would block".
    pub reads_blocked: u64,
    /// Reads that the caller answered itself from the page cache, with one system call.
    pub reads_from_cache: u64,
    /// Writes that found no room and said "would block".
    pub writes_blocked: u64,
    /// Bytes read.
    pub read: BytesByMode,
    /// Bytes written.
    pub written: BytesByMode,
    /// Bytes that were read ahead and never consumed.
    pub read_ahead_wasted: u64,
    /// Cache modes that the kernel refused, so that another one was used, and 1 more if the mode
    /// asked for could not be had.
    pub fallbacks: u64,
}

/// Whether the name of a file survives a power cut, as its bytes below the durable mark do.
///
/// The first sync of a file that its open made syncs the directory as well: the one that got the
/// name, which is held from the open on, wherever it is moved meanwhile. A directory that cannot be
/// synced does not harm the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum NameState {
    /// The open made no file, or is not over: the name is as durable as it was before.
    #[default]
    NotNew,
    /// The file is new, and no sync has covered its name. Still so after a sync that found no
    /// descriptor for the directory: the next one tries again.
    Pending,
    /// The name survives.
    Durable,
    /// Nobody knows, and this is why. `EACCES`: the directory may not be read. `ESTALE`: it has the
    /// name no more. Others are those of the directory's `fsync(2)`: `EINVAL` where a file system
    /// has none, `EIO`.
    Unknown(Errno),
}

impl NameState {
    /// In two bytes: an errno is below 4096.
    pub(crate) fn code(self) -> u16 {
        match self {
            Self::NotNew => 0,
            Self::Pending => 1,
            Self::Durable => 2,
            Self::Unknown(errno) => 3 + errno.0 as u16,
        }
    }

    /// What [`code`](Self::code) gave.
    pub(crate) fn from_code(code: u16) -> Self {
        match code {
            0 => Self::NotNew,
            1 => Self::Pending,
            2 => Self::Durable,
            errno => Self::Unknown(Errno(i32::from(errno - 3))),
        }
    }
}

impl Counters {
    /// A file that was opened in `mode`.
    pub fn opened(&self, mode: IoMode) {
        let counter = match mode {
            IoMode::Direct => &self.opened_direct,
            IoMode::Uncached => &self.opened_uncached,
            IoMode::Auto | IoMode::Cached => &self.opened_cached,
        };
        counter.add(1);
    }
}

impl FileStats {
    /// What is counted behind a lock, in the order of the fields: all but `reads_served`.
    pub(crate) fn counters(&mut self) -> [&mut u64; 11] {
        [
            &mut self.reads_blocked,
            &mut self.reads_from_cache,
            &mut self.writes_blocked,
            &mut self.read.direct,
            &mut self.read.uncached,
            &mut self.read.cached,
            &mut self.written.direct,
            &mut self.written.uncached,
            &mut self.written.cached,
            &mut self.read_ahead_wasted,
            &mut self.fallbacks,
        ]
    }
}

/// A statistic: exact when it is read at rest, never a synchronisation.
#[derive(Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Counts `n` more.
    pub fn add(&self, n: u64) {
        // Relaxed: nothing is ordered by a statistic.
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// Counts `n` more, where nobody else writes at the same time.
    #[inline]
    pub fn bump(&self, n: u64) {
        // Relaxed, as in `add`.
        let sum = self.0.load(Ordering::Relaxed).wrapping_add(n);
        self.0.store(sum, Ordering::Relaxed);
    }

    /// What was counted; from zero again.
    pub fn take(&self) -> u64 {
        self.0.swap(0, Ordering::Relaxed)
    }

    /// What was counted.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
