//! The cache modes that a file has: each refusal of the kernel removes one.

use crate::error::Errno;
use crate::io_mode::IoMode;
use crate::op::CacheMode;

/// The cache modes that are available for one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IoCaps {
    /// Alignment of direct IO; 0 when there is none.
    pub dio_align: u32,
    /// The mode of transfers that are not direct,
    pub buffered: CacheMode,
    /// and of those of the write stream.
    pub written: CacheMode,
}

impl IoCaps {
    /// What a file has before it is open.
    pub const CACHED: Self = Self {
        dio_align: 0,
        buffered: CacheMode::Cached,
        written: CacheMode::Cached,
    };

    /// Returns what a file has at its open; `dio_align` is 0 without direct IO.
    ///
    /// | asked for | with direct IO | without |
    /// |---|---|---|
    /// | `Direct`, `Uncached` | uncached | uncached |
    /// | `Auto` | uncached | cached; appends uncached |
    /// | `Cached` | cached | cached |
    pub fn at_open(asked: IoMode, append: bool, dio_align: u32) -> Self {
        let is_uncached = match asked {
            IoMode::Direct | IoMode::Uncached => true,
            IoMode::Auto => dio_align > 0,
            IoMode::Cached => false,
        };
        let mode = |is_uncached| match is_uncached {
            true => CacheMode::Uncached,
            false => CacheMode::Cached,
        };
        Self {
            dio_align,
            buffered: mode(is_uncached),
            written: mode(is_uncached || (asked == IoMode::Auto && append)),
        }
    }

    /// Returns whether reads go through the page cache and leave their pages there.
    pub fn reads_cached(self) -> bool {
        self.dio_align == 0 && self.buffered == CacheMode::Cached
    }

    /// Returns the mode of a transfer of `len` bytes at `offset` of the file that begins `start`
    /// bytes into aligned memory: direct when all three are multiples of `dio_align`.
    ///
    /// With a `dio_align` of 4096:
    ///
    /// | offset | start | len | mode |
    /// |---|---|---|---|
    /// | 8192 | 4096 | 4096 | direct |
    /// | 8193 | 4096 | 4096 | buffered |
    /// | 8192 | 512 | 4096 | buffered |
    pub fn choose(self, offset: u64, start: usize, len: usize) -> CacheMode {
        let align = u64::from(self.dio_align);
        let aligned = |value: u64| value % align == 0;
        if align > 0 && aligned(offset) && aligned(start as u64) && aligned(len as u64) {
            CacheMode::Direct
        } else {
            self.buffered
        }
    }

    /// Removes `cache_mode` if `errno` means that the kernel does not support it for this file.
    /// Returns whether it does mean that.
    pub fn refuse(&mut self, cache_mode: CacheMode, errno: Errno) -> bool {
        match (cache_mode, errno.0) {
            (CacheMode::Direct, libc::EINVAL) => self.dio_align = 0,
            (CacheMode::Uncached, libc::EOPNOTSUPP) => {
                self.buffered = CacheMode::Cached;
                self.written = CacheMode::Cached;
            }
            _ => return false,
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// F28.
    #[test]
    fn only_fully_aligned_transfers_are_direct() {
        let mut io_caps = IoCaps::at_open(IoMode::Direct, false, 4096);
        assert_eq!(io_caps.choose(8192, 4096, 4096), CacheMode::Direct);
        assert_eq!(io_caps.choose(8193, 4096, 4096), CacheMode::Uncached);
        assert_eq!(io_caps.choose(8192, 512, 4096), CacheMode::Uncached);
        assert_eq!(io_caps.choose(8192, 4096, 4095), CacheMode::Uncached);
        assert!(!io_caps.refuse(CacheMode::Uncached, Errno(libc::EINVAL)));
        assert!(io_caps.refuse(CacheMode::Direct, Errno(libc::EINVAL)));
        assert_eq!(io_caps.choose(8192, 4096, 4096), CacheMode::Uncached);
        assert!(io_caps.refuse(CacheMode::Uncached, Errno(libc::EOPNOTSUPP)));
        assert_eq!(io_caps.choose(8192, 4096, 4096), CacheMode::Cached);
        assert!(!io_caps.refuse(CacheMode::Cached, Errno(libc::EOPNOTSUPP)));
        assert_eq!(io_caps, IoCaps::CACHED);
    }

    #[test]
    fn only_the_stream_of_an_append_differs() {
        for asked in [
            IoMode::Auto,
            IoMode::Direct,
            IoMode::Uncached,
            IoMode::Cached,
        ] {
            for (append, dio_align) in [(false, 0), (false, 4096), (true, 0), (true, 4096)] {
                let io_caps = IoCaps::at_open(asked, append, dio_align);
                let differs = asked == IoMode::Auto && append && dio_align == 0;
                assert_eq!(io_caps.written != io_caps.buffered, differs);
                let is_cached =
                    asked == IoMode::Cached || (asked == IoMode::Auto && dio_align == 0);
                assert_eq!(io_caps.buffered == CacheMode::Cached, is_cached);
            }
        }
    }
}
