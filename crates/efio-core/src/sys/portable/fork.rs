//! Knowing that this is a forked child.
//!
//! A child has the memory of its parent but none of its threads: an engine there would wait for a
//! driver that does not exist, and its pipes and its open files are the parent's. So a handler of
//! pthread_atfork(3) counts in each child, every engine remembers the count at its birth, and every
//! call looks whether it is still that: one load. A child made past the C library is not noticed.

use std::io;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// Forks between the first process that had an engine and this one.
static FORKS: AtomicU32 = AtomicU32::new(0);

/// The count of forks at the time of the mark.
#[derive(Debug)]
pub struct Birthplace {
    forks: u32,
}

impl Birthplace {
    /// Marks this process.
    ///
    /// # Errors
    ///
    /// What `pthread_atfork(3)` says: `ENOMEM`.
    pub fn here() -> io::Result<Self> {
        /// What the registration gave: it lasts for the life of the process, and its children's.
        static REGISTERED: OnceLock<i32> = OnceLock::new();
        // SAFETY: the handler may run in any child at any time: it does nothing but an atomic add.
        let register = || unsafe { libc::pthread_atfork(None, None, Some(count)) };
        match *REGISTERED.get_or_init(register) {
            // Relaxed, as below: a process sees its own count, and a fork copies all memory.
            0 => Ok(Self {
                forks: FORKS.load(Ordering::Relaxed),
            }),
            error => Err(io::Error::from_raw_os_error(error)),
        }
    }

    /// Whether this is another process than the one that was marked.
    #[inline]
    pub fn is_elsewhere(&self) -> bool {
        FORKS.load(Ordering::Relaxed) != self.forks
    }
}

/// Runs in each child, before `fork` returns there.
unsafe extern "C" fn count() {
    FORKS.fetch_add(1, Ordering::Relaxed);
}
