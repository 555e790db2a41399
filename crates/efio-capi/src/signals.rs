//! The signal mask and the stack of the thread that runs the callback.

use std::mem::MaybeUninit;

/// Signals that the kernel sends to a thread for a fault of that thread. While they are blocked a
/// fault ends the process without the program's handler: that of a crash reporter, a language run
/// time, an emulator.
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

/// Blocks every signal but the faults in the calling thread: the program's handlers run on the
/// program's threads. Returns the mask before, inherited from the thread that made this one.
pub fn block() -> Mask {
    let mut set = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: `sigfillset` initialises `set` before it is read.
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
    /// Runs code of the program with this mask: its child processes inherit it (F73).
    pub fn run<R>(self, code: impl FnOnce() -> R) -> R {
        /// Puts the mask back, also when the code panics.
        struct Back(Mask);
        impl Drop for Back {
            fn drop(&mut self) {
                self.0.replace();
            }
        }
        let _back = Back(self.replace());
        code()
    }

    /// Makes it the mask of the calling thread; returns the one before.
    fn replace(self) -> Self {
        let mut before = MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: reads one set and fills the other; only an unknown first argument is an error.
        unsafe {
            libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.0, before.as_mut_ptr());
            Self(before.assume_init())
        }
    }
}

/// Returns the stack size of a thread that runs code of the program: the default of
/// `pthread_create(3)`, which is `RLIMIT_STACK` as a rule, and at least that of Rust (F74).
pub fn stack_size() -> usize {
    const MIN: usize = 2 << 20;
    let mut attributes = MaybeUninit::<libc::pthread_attr_t>::uninit();
    let mut size = 0;
    // SAFETY: the attributes are initialised before they are read, and destroyed once.
    unsafe {
        if libc::pthread_attr_init(attributes.as_mut_ptr()) == 0 {
            libc::pthread_attr_getstacksize(attributes.as_ptr(), &raw mut size);
            libc::pthread_attr_destroy(attributes.as_mut_ptr());
        }
    }
    size.max(MIN)
}
