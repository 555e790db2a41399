//! The routes that a file has left: each refusal of the kernel takes one away.

use crate::error::Errno;
use crate::op::CacheMode;

/// How the bytes of one file may travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IoCaps {
    /// The route of what is not direct.
    pub buffered: CacheMode,
    /// Alignment of direct IO; 0 when there is none.
    pub dio_align: u32,
}

impl IoCaps {
    /// The route for `len` bytes at `offset` of the file that begin `start` bytes into memory that
    /// is aligned itself: direct when all three are multiples of the block.
    pub fn choose(self, offset: u64, start: usize, len: usize) -> CacheMode {
        let align = u64::from(self.dio_align);
        let aligned = |value: u64| value % align == 0;
        if align > 0 && aligned(offset) && aligned(start as u64) && aligned(len as u64) {
            CacheMode::Direct
        } else {
            self.buffered
        }
    }

    /// Gives `route` up when `errno` says that the kernel does not know it; whether it does.
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
