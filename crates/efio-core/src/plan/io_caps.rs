//! The cache modes that a file has: each refusal of the kernel removes one.

use crate::error::Errno;
use crate::op::CacheMode;

/// The cache modes that are available for one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IoCaps {
    /// The mode of transfers that are not direct.
    pub buffered: CacheMode,
    /// Alignment of direct IO; 0 when there is none.
    pub dio_align: u32,
}

impl IoCaps {
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
            (CacheMode::Uncached, libc::EOPNOTSUPP) => self.buffered = CacheMode::Cached,
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
        let mut io_caps = IoCaps {
            buffered: CacheMode::Uncached,
            dio_align: 4096,
        };
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
    }
}
