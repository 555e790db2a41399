//! The routes that a file has left: each refusal of the kernel takes one away.

use crate::error::Errno;
use crate::op::Route;

/// How the bytes of one file may travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Routes {
    /// The route of what is not direct.
    pub buffered: Route,
    /// Alignment of direct IO; 0 when there is none.
    pub block: u32,
}

impl Routes {
    /// The route for `len` bytes at `offset` of the file that begin `start` bytes into memory that
    /// is aligned itself: direct when all three are multiples of the block.
    pub fn choose(self, offset: u64, start: usize, len: usize) -> Route {
        let block = u64::from(self.block);
        let aligned = |value: u64| value % block == 0;
        if block > 0 && aligned(offset) && aligned(start as u64) && aligned(len as u64) {
            Route::Direct
        } else {
            self.buffered
        }
    }

    /// Gives `route` up when `errno` says that the kernel does not know it; whether it does.
    pub fn give_up(&mut self, route: Route, errno: Errno) -> bool {
        match (route, errno.0) {
            (Route::Direct, libc::EINVAL) => self.block = 0,
            (Route::Uncached, libc::EOPNOTSUPP) => self.buffered = Route::Cached,
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
    fn only_what_is_aligned_in_all_respects_goes_direct() {
        let mut routes = Routes {
            buffered: Route::Uncached,
            block: 4096,
        };
        assert_eq!(routes.choose(8192, 4096, 4096), Route::Direct);
        assert_eq!(routes.choose(8193, 4096, 4096), Route::Uncached);
        assert_eq!(routes.choose(8192, 512, 4096), Route::Uncached);
        assert_eq!(routes.choose(8192, 4096, 4095), Route::Uncached);
        assert!(!routes.give_up(Route::Uncached, Errno(libc::EINVAL)));
        assert!(routes.give_up(Route::Direct, Errno(libc::EINVAL)));
        assert_eq!(routes.choose(8192, 4096, 4096), Route::Uncached);
        assert!(routes.give_up(Route::Uncached, Errno(libc::EOPNOTSUPP)));
        assert_eq!(routes.choose(8192, 4096, 4096), Route::Cached);
        assert!(!routes.give_up(Route::Cached, Errno(libc::EOPNOTSUPP)));
    }
}
