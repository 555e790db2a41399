//! Knowing that this is a forked child.
//!
//! A child has the memory of its parent but none of its threads: an engine there would wait for a
//! driver that does not exist, a lock that another thread held stays locked for ever, and its
//! descriptors are the parent's. So each engine remembers the process that it was born in, and
//! every call looks there before it takes anything: two loads.
//!
//! A process is known by a number in a word that is 0 again in each child:
//!
//! | | who makes it 0 |
//! |---|---|
//! | Linux | the kernel, which wipes the page of the word (`MADV_WIPEONFORK`) |
//! | else, and where the kernel does not | a handler of pthread_atfork(3); it misses a child made past the C library |

use super::platform;
use std::io;
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};

/// The process that something was made in.
#[derive(Clone, Copy, Debug)]
pub struct ForkGuard {
    mark: &'static AtomicU32,
    number: u32,
}

impl ForkGuard {
    /// This process.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub fn here() -> io::Result<Self> {
        /// No process that this one descends from has the number.
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let mark = platform::fork_mark()?;
        // Relaxed, all of them: a fork copies all memory, and nothing is read through the number.
        let number = match mark.load(Ordering::Relaxed) {
            0 => {
                let fresh = NEXT.fetch_add(1, Ordering::Relaxed);
                let taken = mark.compare_exchange(0, fresh, Ordering::Relaxed, Ordering::Relaxed);
                taken.map_or_else(|theirs| theirs, |_| fresh)
            }
            number => number,
        };
        Ok(Self { mark, number })
    }

    /// Whether this is another process than the one that was marked.
    #[inline]
    pub fn is_child(&self) -> bool {
        self.mark.load(Ordering::Relaxed) != self.number
    }
}

/// Ends a forked child whose only thread is one of the engine's: it has nothing to do there, and what
/// it has of the parent must not be touched.
pub fn end_child() -> ! {
    // SAFETY: ends the process, and runs nothing before.
    unsafe { libc::_exit(0) }
}

/// A word that a handler makes 0 in each child.
///
/// # Errors
///
/// What `pthread_atfork(3)` says: `ENOMEM`.
pub(super) fn mark_by_handler() -> io::Result<&'static AtomicU32> {
    /// Nobody tried yet.
    const UNTRIED: i32 = -1;
    /// What the registration gave: it lasts for the life of the process, and its children's.
    static REGISTERED: AtomicI32 = AtomicI32::new(UNTRIED);
    // Relaxed: two threads that register both do no harm, a lock that one waits at would.
    let mut error = REGISTERED.load(Ordering::Relaxed);
    if error == UNTRIED {
        // SAFETY: the handler may run in any child at any time: all that it does is a store.
        error = unsafe { libc::pthread_atfork(None, None, Some(wipe)) };
        REGISTERED.store(error, Ordering::Relaxed);
    }
    match error {
        0 => Ok(&WORD),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}

static WORD: AtomicU32 = AtomicU32::new(0);

/// Runs in each child, before `fork` returns there.
unsafe extern "C" fn wipe() {
    WORD.store(0, Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Forks, and asks the child whether it is elsewhere, before and after it has a mark of its own.
    fn child_of(home: ForkGuard) -> i32 {
        // SAFETY: the child does nothing but loads and stores, and leaves by `_exit`.
        match unsafe { libc::fork() } {
            0 => {
                let before = home.is_child();
                let own = ForkGuard::here().is_ok_and(|own| !own.is_child());
                let answer = before && own && home.is_child();
                // SAFETY: ends the child at once.
                unsafe { libc::_exit(i32::from(!answer)) }
            }
            child => {
                let mut status = 0;
                // SAFETY: waits for the child made above.
                assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
                status
            }
        }
    }

    #[test]
    fn a_child_is_elsewhere_and_at_home_in_what_it_makes() {
        let home = ForkGuard::here().unwrap();
        let again = ForkGuard::here().unwrap();
        assert_eq!(home.number, again.number);
        assert_eq!(child_of(home), 0);
        assert!(!home.is_child());
    }

    #[test]
    fn a_handler_tells_a_child_as_well() {
        let mark = mark_by_handler().unwrap();
        mark.store(7, Ordering::Relaxed);
        let home = ForkGuard { mark, number: 7 };
        assert_eq!(child_of(home), 0);
        assert!(!home.is_child());
    }
}
