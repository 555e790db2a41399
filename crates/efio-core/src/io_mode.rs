//! The modes of IO that a program can ask for.

/// How a file's bytes go between memory and disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
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
