//! The faults of a simulated disk, and how often they happen.

use super::random::Random;
use crate::error::Errno;
use crate::op::CacheMode;

/// The frequencies of faults, in thousandths, and the abilities of the file system.
#[derive(Clone, Debug)]
pub struct SimOptions {
    /// Transfers that move fewer bytes than asked.
    pub short: u32,
    /// Opens, transfers and syncs that fail with EINTR, or with EAGAIN.
    pub transient: u32,
    /// Of the files with such a failure, those whose ops all fail with EAGAIN from then on, until
    /// they are mended (F60, F61).
    pub busy: u32,
    /// Opens that fail.
    pub open_errors: u32,
    /// Reads that fail with EIO.
    pub read_errors: u32,
    /// Writes that fail: EIO, ENOSPC, EDQUOT, EFBIG.
    pub write_errors: u32,
    /// Syncs that fail with EIO once and then succeed, with the dirty bytes lost (F30).
    pub sync_errors: u32,
    /// Syncs of new files that do not reach the directory (F62).
    pub name_errors: u32,
    /// Closes that fail with EIO (F33).
    pub close_errors: u32,
    /// Errors of a read or write that last: a bad sector, a file that takes no more writes.
    pub lasting: u32,
    /// Completions that come a second time, some of them late (F43).
    pub duplicates: u32,
    /// Submissions that are refused for the moment.
    pub refusals: u32,
    /// Turns at which every transfer that was submitted since the last turn fails with EAGAIN,
    /// without having begun (F42).
    pub aborted: u32,
    /// Turns at which the disk begins to hang for a while (F45).
    pub stalls: u32,
    /// Slabs of page memory that the kernel refuses (F36).
    pub no_memory: u32,
    /// Reads that find their bytes in the kernel's memory without waiting.
    pub cached: u32,
    /// Of the others, those that return 0 bytes instead of `EAGAIN`, as on Linux 5.10 (F64).
    pub early_ends: u32,
    /// Whether only a read can find where a file ends, as on `/proc` (F65).
    pub vague_sizes: bool,
    /// Alignment of direct IO in bytes; 0 without direct IO.
    pub dio_align: u32,
    /// Whether `RWF_DONTCACHE` is known.
    pub uncached: bool,
    /// The most bytes of all files together.
    pub capacity: u64,
    /// The longest latency of an op, in turns of `reap`.
    pub latency: u64,
}

impl Default for SimOptions {
    fn default() -> Self {
        Self {
            short: 0,
            transient: 0,
            busy: 0,
            open_errors: 0,
            read_errors: 0,
            write_errors: 0,
            sync_errors: 0,
            name_errors: 0,
            close_errors: 0,
            lasting: 0,
            duplicates: 0,
            refusals: 0,
            aborted: 0,
            stalls: 0,
            no_memory: 0,
            cached: 0,
            early_ends: 0,
            vague_sizes: false,
            dio_align: 4096,
            uncached: true,
            capacity: u64::MAX,
            latency: 8,
        }
    }
}

impl SimOptions {
    /// Returns the same disk without faults.
    #[must_use]
    pub fn without_faults(&self) -> Self {
        Self {
            dio_align: self.dio_align,
            uncached: self.uncached,
            vague_sizes: self.vague_sizes,
            capacity: self.capacity,
            ..Self::default()
        }
    }

    /// Returns how many of `len` bytes a transfer moves. Direct transfers stop between sectors.
    pub(super) fn transferred(
        &self,
        random: &mut Random,
        cache_mode: CacheMode,
        len: usize,
    ) -> usize {
        let sector = if cache_mode == CacheMode::Direct {
            512
        } else {
            1
        };
        if len > sector && random.happens(self.short) {
            random.part_of(len, sector)
        } else {
            len
        }
    }

    /// Returns the error of a transfer that fails before it begins, to be retried as it is or in
    /// another cache mode.
    pub(super) fn hindrance(&self, random: &mut Random, cache_mode: CacheMode) -> Option<Errno> {
        if cache_mode == CacheMode::Uncached && !self.uncached {
            return Some(Errno(libc::EOPNOTSUPP));
        }
        self.interruption(random, &[libc::EINTR, libc::EAGAIN])
    }

    /// Returns one of the transient errors, if one happens.
    pub(super) fn interruption(&self, random: &mut Random, errors: &[i32]) -> Option<Errno> {
        random
            .happens(self.transient)
            .then(|| Errno(random.one_of(errors)))
    }
}
