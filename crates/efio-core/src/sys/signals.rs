//! Signal masks of the library's own threads.

use super::platform;
use std::mem::MaybeUninit;

/// The signals that the kernel sends to a thread for what that thread does. Blocked, they would end
/// the process without the program's handler for them: a crash reporter, a language run time, an
/// emulator.
const FAULTS: [libc::c_int; 7] = [
    libc::SIGSEGV,
    libc::SIGBUS,
    libc::SIGFPE,
    libc::SIGILL,
    libc::SIGSYS,
    libc::SIGTRAP,
    libc::SIGABRT,
];

/// The signal mask of a thread.
#[derive(Clone, Copy)]
pub struct Mask(libc::sigset_t);

/// Blocks every signal but the faults in the calling thread. Returns the mask before, which is that
/// of the thread that spawned this one.
///
/// The application's handlers run on the application's threads, and a write beyond
/// `RLIMIT_FSIZE` fails with `EFBIG` instead of killing the process with `SIGXFSZ` (F44).
pub fn block() -> Mask {
    let mut set = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: `sigfillset` initialises `set` before anything else reads it.
    let set = unsafe {
        libc::sigfillset(set.as_mut_ptr());
        for fault in FAULTS {
            libc::sigdelset(set.as_mut_ptr(), fault);
        }
        set.assume_init()
    };
    Mask(set).replace()
}

impl Mask {
    /// Runs code of the program with this mask: threads and processes that it starts inherit it
    /// (F73).
    ///
    /// A direct write beyond `RLIMIT_FSIZE` that the ring performed at once left `SIGXFSZ` pending
    /// for this thread. Unblocked, it would end the process (F44), so it is removed first.
    pub fn run<R>(self, code: impl FnOnce() -> R) -> R {
        /// Restores the mask, also when the code panics.
        struct Restore(Mask);
        impl Drop for Restore {
            fn drop(&mut self) {
                self.0.replace();
            }
        }
        platform::drop_pending(libc::SIGXFSZ);
        let _restore = Restore(self.replace());
        code()
    }

    /// Makes it the mask of the calling thread, and returns the one before.
    fn replace(self) -> Self {
        let mut before = MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: reads one set and fills the other; it fails only for an unknown first argument.
        unsafe {
            libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.0, before.as_mut_ptr());
            Self(before.assume_init())
        }
    }
}

/// Returns the stack size of a thread that runs code of the program: the default of
/// `pthread_create(3)`, which is `RLIMIT_STACK` as a rule, and at least that of Rust (F74).
pub fn stack_size() -> usize {
    const MIN_SIZE: usize = 2 << 20;
    let mut attributes = MaybeUninit::<libc::pthread_attr_t>::uninit();
    let mut size = 0;
    // SAFETY: the attributes are initialised before they are read, and destroyed once.
    unsafe {
        if libc::pthread_attr_init(attributes.as_mut_ptr()) == 0 {
            libc::pthread_attr_getstacksize(attributes.as_ptr(), &raw mut size);
            libc::pthread_attr_destroy(attributes.as_mut_ptr());
        }
    }
    size.max(MIN_SIZE)
}
