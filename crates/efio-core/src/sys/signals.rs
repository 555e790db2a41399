//! Signal masks of the library's own threads.

use super::platform;
use std::mem::MaybeUninit;

/// What the kernel sends to a thread for what that thread does. Blocked they would end the process
/// past a handler that the program has for them: a crash reporter, a language run time, an emulator.
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

/// Blocks every signal but the faults in the calling thread; the mask before, which is the one of
/// the thread that made this one.
///
/// The application's handlers run on the application's threads, and a write beyond
/// `RLIMIT_FSIZE` gives `EFBIG` instead of killing the process with `SIGXFSZ` (F44).
pub fn block() -> Mask {
    let mut set = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: `set` is initialised by `sigfillset` before anything else looks at it.
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
    /// Runs code of the program with this mask: what it starts inherits it (F73).
    ///
    /// A direct write beyond `RLIMIT_FSIZE` that the ring made at once left `SIGXFSZ` pending for
    /// this thread. Unblocked it would end the process (F44), so it is taken back first.
    pub fn run<R>(self, code: impl FnOnce() -> R) -> R {
        /// Puts the mask back, also when the code panics.
        struct Back(Mask);
        impl Drop for Back {
            fn drop(&mut self) {
                self.0.replace();
            }
        }
        platform::drop_pending(libc::SIGXFSZ);
        let _back = Back(self.replace());
        code()
    }

    /// Makes it the mask of the calling thread; the one before.
    fn replace(self) -> Self {
        let mut before = MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: reads one set and fills the other: it fails for an unknown first argument only.
        unsafe {
            libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.0, before.as_mut_ptr());
            Self(before.assume_init())
        }
    }
}

/// The stack of a thread that runs code of the program: as large as `pthread_create(3)` makes it
/// by itself, which is `RLIMIT_STACK` as a rule, and at least what Rust gives (F74).
pub fn stack_size() -> usize {
    const LEAST: usize = 2 << 20;
    let mut attributes = MaybeUninit::<libc::pthread_attr_t>::uninit();
    let mut size = 0;
    // SAFETY: the attributes are initialised before they are looked at, and destroyed once.
    unsafe {
        if libc::pthread_attr_init(attributes.as_mut_ptr()) == 0 {
            libc::pthread_attr_getstacksize(attributes.as_ptr(), &raw mut size);
            libc::pthread_attr_destroy(attributes.as_mut_ptr());
        }
    }
    size.max(LEAST)
}
