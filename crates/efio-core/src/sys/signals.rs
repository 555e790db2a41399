//! Signal masks of the library's own threads.

/// Blocks every signal in the calling thread.
///
/// The application's handlers run on the application's threads, and a write beyond
/// `RLIMIT_FSIZE` gives `EFBIG` instead of killing the process with `SIGXFSZ` (F44).
pub fn block_all() {
    // SAFETY: `set` is initialised by `sigfillset` before it is read; both calls touch nothing
    // else of ours.
    unsafe {
        let mut set = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
        libc::sigfillset(set.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_SETMASK, set.as_ptr(), std::ptr::null_mut());
    }
}
