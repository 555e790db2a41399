//! Detects a forked child.
//!
//! A child has the memory of its parent but none of its threads: an engine there would wait for a
//! driver that does not exist, a lock that another thread held stays locked for ever, and its
//! descriptors are the parent's. So each engine has a guard with the process that created it, and
//! every call checks it before it takes anything: two loads.
//!
//! A process is identified by a number in a word that is reset to 0 in each child:
//!
//! | system | what resets it |
//! |---|---|
//! | Linux | the kernel, which wipes the page of the word (`MADV_WIPEONFORK`) |
//! | others, and where the kernel does not | a handler of pthread_atfork(3), which misses a child that is created without the C library |

use super::platform;
use std::io;
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};

/// Remembers the process in which an engine was created.
#[derive(Clone, Copy, Debug)]
pub struct ForkGuard {
    mark: &'static AtomicU32,
    number: u32,
}

impl ForkGuard {
    /// Creates the guard of this process.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub fn here() -> io::Result<Self> {
        /// The next number: no ancestor of this process has it.
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

    /// Whether this is another process than that of the guard.
    #[inline]
    pub fn is_child(&self) -> bool {
        self.mark.load(Ordering::Relaxed) != self.number
    }
}

/// Ends a forked child whose only thread is one of the engine's: it has nothing to do there, and
/// must not touch what it has of the parent.
pub fn end_child() -> ! {
    // SAFETY: ends the process, and runs no code before.
    unsafe { libc::_exit(0) }
}

/// Returns a word that a handler resets to 0 in each child.
///
/// # Errors
///
/// Those of `pthread_atfork(3)`: `ENOMEM`.
pub(super) fn mark_by_handler() -> io::Result<&'static AtomicU32> {
    /// The handler was not registered yet.
    const UNTRIED: i32 = -1;
    /// The result of the registration, which lasts for the life of the process, and its children's.
    static REGISTERED: AtomicI32 = AtomicI32::new(UNTRIED);
    // Relaxed: two threads that register both do no harm, a lock that one waits at would.
    let mut error = REGISTERED.load(Ordering::Relaxed);
    if error == UNTRIED {
        // SAFETY: the handler may run in any child at any time: it only stores a number.
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

    /// Forks, and checks in the child that `guard` detects it, before and after the child has its
    /// own guard.
    fn child_of(guard: ForkGuard) -> i32 {
        // SAFETY: the child does nothing but loads and stores, and leaves by `_exit`.
        match unsafe { libc::fork() } {
            0 => {
                let before = guard.is_child();
                let own = ForkGuard::here().is_ok_and(|own| !own.is_child());
                let answer = before && own && guard.is_child();
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
    fn a_guard_detects_a_child_but_not_in_the_process_that_created_it() {
        let guard = ForkGuard::here().unwrap();
        let again = ForkGuard::here().unwrap();
        assert_eq!(guard.number, again.number);
        assert_eq!(child_of(guard), 0);
        assert!(!guard.is_child());
    }

    #[test]
    fn a_handler_detects_a_child_as_well() {
        let mark = mark_by_handler().unwrap();
        mark.store(7, Ordering::Relaxed);
        let guard = ForkGuard { mark, number: 7 };
        assert_eq!(child_of(guard), 0);
        assert!(!guard.is_child());
    }
}
