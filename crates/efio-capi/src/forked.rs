//! Knowing what a forked child cannot use: it has none of the parent's other threads, and what one of
//! them was inside of stays as it was for ever (F68).
//!
//! ```text
//!  fork ─ prepare: are there other threads? ─ child: yes → the generation goes up, and each lock
//!                                                     of ours that one of them has is marked
//! ```
//!
//! A child of a process with one thread uses everything as its parent did. POSIX lets the child of one
//! with more threads call almost nothing; here it may, and is told `ESHUTDOWN` where it would wait.

use crate::ffi::error;
use efio_sync::{SpinLock, SpinLockGuard};
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// Forks of a process with several threads, between the first process and this one.
static GENERATION: AtomicU32 = AtomicU32::new(0);
/// Whether there were several threads when the last fork began.
static SEVERAL_THREADS: AtomicBool = AtomicBool::new(false);

/// The handlers have to be there before the first fork that matters, and a lock around their
/// registration would be one more that a child cannot have: so they come with the program.
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

/// Whether the kernel says that there is one thread: each has a directory, which counts as a link.
fn is_alone() -> bool {
    let mut facts = std::mem::MaybeUninit::<libc::stat>::uninit();
    // SAFETY: a path, and room for the answer, which is there then.
    unsafe {
        libc::stat(c"/proc/self/task".as_ptr(), facts.as_mut_ptr()) == 0
            && facts.assume_init().st_nlink == 2 + 1
    }
}

/// The process that something is usable in.
pub struct Home(AtomicU32);

impl Home {
    /// This one.
    pub fn here() -> Self {
        // Refers to the handlers, so that a static library brings them along.
        debug_assert!(REGISTER as usize != 0);
        Self(AtomicU32::new(GENERATION.load(Ordering::Relaxed)))
    }

    /// Whether a thread that is not here any more may have been inside.
    #[inline]
    pub fn is_child(&self) -> bool {
        self.0.load(Ordering::Relaxed) != GENERATION.load(Ordering::Relaxed)
    }

    /// From now on only threads of this process can be inside.
    pub fn adopt(&self) {
        self.0
            .store(GENERATION.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    /// Fails with `ESHUTDOWN` if it [`is_elsewhere`](Self::is_elsewhere).
    #[inline]
    pub fn check(&self) -> io::Result<()> {
        if self.is_child() {
            return Err(error(libc::ESHUTDOWN));
        }
        Ok(())
    }
}

/// A lock of ours around a value, for C.
pub struct ForkedLock<T> {
    lock: SpinLock<T>,
    home: Home,
}

impl<T> ForkedLock<T> {
    /// An open lock.
    pub fn new(value: T) -> Self {
        let (lock, home) = (SpinLock::new(value), Home::here());
        Self { lock, home }
    }

    /// Waits for the lock.
    ///
    /// # Errors
    ///
    /// `ESHUTDOWN` in a forked child when another thread of the parent had it.
    pub fn lock(&self) -> io::Result<SpinLockGuard<'_, T>> {
        if self.home.is_child() {
            // No call of ours forks, so the thread that forked does not have it.
            if self.lock.is_locked() {
                return Err(error(libc::ESHUTDOWN));
            }
            self.home.adopt();
        }
        Ok(self.lock.lock())
    }

    /// Whether a thread has it that is not here, and left the value as it happened to be.
    pub fn is_lost(&self) -> bool {
        self.home.is_child() && self.lock.is_locked()
    }
}
