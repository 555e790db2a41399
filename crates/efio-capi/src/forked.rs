//! What a forked child cannot use. It has none of the parent's other threads, and what one of them
//! was changing at the fork stays half changed (F68).
//!
//! ```text
//!  fork ─ prepare: are there other threads? ─ child: yes → the generation goes up, and each of our
//!                                                     locks that one of them holds is marked
//! ```
//!
//! | the parent had | the child |
//! |---|---|
//! | one thread | uses everything as the parent did |
//! | several threads | may call everything; a call that would wait for ever gives `ESHUTDOWN` |
//!
//! In the second case POSIX allows almost no call.

use crate::ffi::error;
use efio_sync::{SpinLock, SpinLockGuard};
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// Forks of a process with several threads, between the first process and this one.
static GENERATION: AtomicU32 = AtomicU32::new(0);
/// Whether there were several threads when the last fork began.
static SEVERAL_THREADS: AtomicBool = AtomicBool::new(false);

/// Registers the handlers when the program is loaded: before the first fork, and without a lock,
/// which another thread could hold at a fork.
#[used]
#[unsafe(link_section = ".init_array")]
static REGISTER: extern "C" fn() = register;

extern "C" fn register() {
    // SAFETY: the handlers may run at any time: they take no lock and allocate nothing.
    unsafe { libc::pthread_atfork(Some(prepare), None, Some(in_child)) };
}

/// In the parent, before a fork.
unsafe extern "C" fn prepare() {
    SEVERAL_THREADS.store(!is_alone(), Ordering::Relaxed);
}

/// In the child, before `fork` returns there.
unsafe extern "C" fn in_child() {
    if SEVERAL_THREADS.load(Ordering::Relaxed) {
        // Relaxed, here and elsewhere: a fork copies all memory, and this is the only thread.
        GENERATION.fetch_add(1, Ordering::Relaxed);
        crate::library::after_fork();
        crate::callback::after_fork();
    }
}

/// Whether the process has one thread. Each has a directory in /proc, which counts as a link.
fn is_alone() -> bool {
    let mut stat = std::mem::MaybeUninit::<libc::stat>::uninit();
    // SAFETY: a path that ends with a zero, and room for the result, which is read on success only.
    unsafe {
        libc::stat(c"/proc/self/task".as_ptr(), stat.as_mut_ptr()) == 0
            && stat.assume_init().st_nlink == 2 + 1
    }
}

/// Says whether a forked child uses what the parent made, when the parent had several threads.
pub struct ForkGuard(AtomicU32);

impl ForkGuard {
    /// For something that this process makes.
    pub fn new() -> Self {
        // Refers to the handlers, so that a static library brings them along.
        debug_assert!(REGISTER as usize != 0);
        Self(AtomicU32::new(GENERATION.load(Ordering::Relaxed)))
    }

    /// Whether this is a child, and a thread that it does not have may have been inside.
    #[inline]
    pub fn is_child(&self) -> bool {
        self.0.load(Ordering::Relaxed) != GENERATION.load(Ordering::Relaxed)
    }

    /// Declares that no thread of the parent was inside: this process uses it from now on.
    pub fn adopt(&self) {
        self.0
            .store(GENERATION.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    /// Fails with `ESHUTDOWN` in a child; see [`is_child`](Self::is_child).
    #[inline]
    pub fn check(&self) -> io::Result<()> {
        if self.is_child() {
            return Err(error(libc::ESHUTDOWN));
        }
        Ok(())
    }
}

/// A spin lock around a value, for objects that C holds.
pub struct ForkedLock<T> {
    lock: SpinLock<T>,
    fork: ForkGuard,
}

impl<T> ForkedLock<T> {
    /// An open lock.
    pub fn new(value: T) -> Self {
        let (lock, fork) = (SpinLock::new(value), ForkGuard::new());
        Self { lock, fork }
    }

    /// Waits for the lock.
    ///
    /// # Errors
    ///
    /// `ESHUTDOWN` in a forked child when another thread of the parent held it.
    pub fn lock(&self) -> io::Result<SpinLockGuard<'_, T>> {
        if self.fork.is_child() {
            // No call of ours forks, so the thread that forked does not hold it.
            if self.lock.is_locked() {
                return Err(error(libc::ESHUTDOWN));
            }
            self.fork.adopt();
        }
        Ok(self.lock.lock())
    }

    /// Whether a thread of the parent holds it, whose change of the value never ends here.
    pub fn is_lost(&self) -> bool {
        self.fork.is_child() && self.lock.is_locked()
    }
}
