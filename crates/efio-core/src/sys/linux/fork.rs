//! Knowing that this is a forked child.
//!
//! A child has the memory of its parent but none of its threads: an engine there would wait for a
//! driver that does not exist, and its eventfds and its open files are the parent's. So each engine
//! remembers where it was born, in a page that the kernel wipes in a child (`MADV_WIPEONFORK`), and
//! every call looks there first: one load.

use crate::sys::memory::Mapping;
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicU32, Ordering};

/// One page with a mark that does not survive a fork.
pub struct Birthplace {
    page: Mapping,
}

// SAFETY: the page is only reached through the atomic in `mark`.
unsafe impl Sync for Birthplace {}

impl fmt::Debug for Birthplace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Birthplace(elsewhere: {})", self.is_elsewhere())
    }
}

impl Birthplace {
    /// Marks this process.
    ///
    /// # Errors
    ///
    /// What `mmap(2)` and `madvise(2)` say; `EINVAL` before Linux 4.14.
    pub fn here() -> io::Result<Self> {
        const PAGE: usize = 4096;
        let page = Mapping::new(PAGE)?;
        // SAFETY: advice on a mapping of our own, whose content we can do without in a child.
        let result =
            unsafe { libc::madvise(page.base().as_ptr().cast(), PAGE, libc::MADV_WIPEONFORK) };
        if result < 0 {
            return Err(io::Error::last_os_error());
        }
        let place = Self { page };
        // Relaxed, as below: a process sees its own mark, and a fork copies all memory.
        place.mark().store(1, Ordering::Relaxed);
        Ok(place)
    }

    /// Whether this is another process than the one that was marked.
    #[inline]
    pub fn is_elsewhere(&self) -> bool {
        self.mark().load(Ordering::Relaxed) == 0
    }

    fn mark(&self) -> &AtomicU32 {
        // SAFETY: the page is mapped as long as `self` lives, aligned for anything, and zero is a
        // valid atomic.
        unsafe { self.page.base().cast::<AtomicU32>().as_ref() }
    }
}
