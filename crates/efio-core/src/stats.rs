//! Counters of an engine.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// What an engine has done so far.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct Stats {
            $($(#[$doc])* pub $name: u64,)*
        }

        /// The live counters behind [`Stats`].
        #[derive(Default)]
        pub struct Counters {
            $($(#[$doc])* pub $name: Counter,)*
        }

        impl Counters {
            /// All of them, each read once.
            pub fn snapshot(&self) -> Stats {
                Stats { $($name: self.$name.get(),)* }
            }
        }
    };
}

counters! {
    /// Reads that found nothing and said "would block".
    reads_blocked,
    /// Writes that found no room and said "would block".
    writes_blocked,
    /// Bytes read past the page cache.
    read_direct,
    /// Bytes read through the page cache.
    read_buffered,
    /// Reads that callers answered themselves from the page cache, with one system call.
    reads_from_cache,
    /// Bytes written past the page cache.
    written_direct,
    /// Bytes written through the page cache.
    written_buffered,
    /// Read, write and sync operations submitted to the backend.
    ops,
    /// Syncs that succeeded.
    syncs,
    /// Routes that the kernel refused, so that another one was taken, and files whose mode could
    /// not be had.
    fallbacks,
    /// Bytes that were read ahead and never consumed.
    read_ahead_wasted,
    /// Flushes of a file that were due by the interval.
    interval_flushes,
    /// Completions that belonged to no op, late or duplicate; dropped.
    stray_completions,
    /// Times a caller had to wake the driver with a system call.
    doorbell_calls,
    /// Panics of the event callback, or of the code behind a waker, that were caught.
    callback_panics,
    /// Turns of the driver's loop.
    turns,
    /// Reads and writes that went through the ring of the io_uring backend.
    ring_ops,
    /// Of those, the ones whose memory is not registered with the ring: writes of several pages,
    /// and all of them where the kernel allows no more locked memory.
    ring_unregistered,
    /// Times the io_uring backend entered the kernel to submit, to wait, or both.
    ring_enters,
    /// Rings that the kernel refused under way (1 at most): the worker threads do everything since.
    rings_lost,
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

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
