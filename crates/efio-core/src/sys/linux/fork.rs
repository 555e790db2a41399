//! A word that the kernel wipes in a child.

use crate::sys::fork::mark_by_handler;
use crate::sys::memory::{Mapping, PAGE_BYTES};
use std::io;
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

/// Returns the word of [`ForkGuard`](crate::sys::fork::ForkGuard).
///
/// # Errors
///
/// `ENOMEM`.
pub fn fork_mark() -> io::Result<&'static AtomicU32> {
    static MARK: AtomicPtr<AtomicU32> = AtomicPtr::new(std::ptr::null_mut());
    // Acquire: pairs with the exchange below. No lock: another thread may hold it at a fork.
    let mut mark = MARK.load(Ordering::Acquire);
    if mark.is_null() {
        let Ok(page) = wiped_page() else {
            // Before Linux 4.14, and in sandboxes.
            return mark_by_handler();
        };
        let fresh = page.base().cast().as_ptr();
        // AcqRel: publishes the page, or sees that of the thread which was first.
        match MARK.compare_exchange(mark, fresh, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => {
                // It stays mapped as long as the process runs.
                std::mem::forget(page);
                mark = fresh;
            }
            Err(theirs) => mark = theirs,
        }
    }
    // SAFETY: a mapping that is never unmapped, aligned for anything; zero is a valid atomic, and
    // the kernel makes it zero again in a child.
    Ok(unsafe { &*mark })
}

fn wiped_page() -> io::Result<Mapping> {
    let page = Mapping::new(PAGE_BYTES)?;
    // SAFETY: advice on a mapping of our own, whose content we can do without in a child.
    let result = unsafe {
        libc::madvise(
            page.base().as_ptr().cast(),
            PAGE_BYTES,
            libc::MADV_WIPEONFORK,
        )
    };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(page)
}
