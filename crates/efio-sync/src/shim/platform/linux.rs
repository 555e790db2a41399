//! futex(2), membarrier(2) and eventfd(2).

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;
use std::sync::atomic::{AtomicU32, Ordering, compiler_fence};
use std::time::Duration;

use crate::shim::kernel_time::seconds_and_nanos;

/// Sleeps while `word` is `expected`, at most `timeout`; may return early for no reason.
pub fn futex_wait(word: &AtomicU32, expected: u32, timeout: Option<Duration>) {
    let timeout = timeout.map(timespec);
    let timeout = timeout.as_ref().map_or(ptr::null(), ptr::from_ref);
    // SAFETY: the kernel reads one aligned u32 that lives through the call, and a timespec that is
    // null or lives through the call. Its errors (EAGAIN, EINTR, ETIMEDOUT) mean "return".
    unsafe {
        libc::syscall(
            libc::SYS_futex,
            word.as_ptr(),
            libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG,
            expected,
            timeout,
        );
    }
}

/// Wakes one thread that sleeps on `word`.
pub fn futex_wake_one(word: &AtomicU32) {
    // SAFETY: FUTEX_WAKE uses the address as a key and does not read through it.
    unsafe {
        libc::syscall(
            libc::SYS_futex,
            word.as_ptr(),
            libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG,
            1,
        );
    }
}

/// As the kernel wants it.
fn timespec(time: Duration) -> libc::timespec {
    let (seconds, nanos) = seconds_and_nanos(time);
    libc::timespec {
        tv_sec: seconds.into(),
        tv_nsec: nanos as _,
    }
}

/// Keeps the compiler from moving memory accesses across; the processor's part is done for us by
/// [`heavy_barrier`], which runs a full barrier on every processor that runs a thread of ours.
#[inline(always)]
pub fn light_barrier() {
    compiler_fence(Ordering::SeqCst);
}

/// A full barrier on every processor that runs a thread of this process; a thread that does not
/// run passes one when it is switched in. `false` when the kernel does not offer it (before 4.14,
/// or forbidden by a seccomp filter).
pub fn heavy_barrier() -> bool {
    let membarrier = |command: libc::c_int| {
        // SAFETY: no pointers, no effect on memory but ordering.
        unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) == 0 }
    };
    compiler_fence(Ordering::SeqCst);
    let done = membarrier(libc::MEMBARRIER_CMD_PRIVATE_EXPEDITED)
        // Not registered yet: once per process, and cheap to repeat.
        || (membarrier(libc::MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED)
            && membarrier(libc::MEMBARRIER_CMD_PRIVATE_EXPEDITED));
    compiler_fence(Ordering::SeqCst);
    done
}

/// A non-blocking, close-on-exec eventfd.
#[derive(Debug)]
pub struct WakeFd(OwnedFd);

impl WakeFd {
    pub fn new() -> io::Result<Self> {
        // SAFETY: no pointers; the result is checked.
        let fd = unsafe { libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: a fresh descriptor that nobody else knows.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Makes the descriptor readable.
    pub fn write(&self) {
        let one = 1u64.to_ne_bytes();
        // SAFETY: eight readable bytes. EAGAIN means that the counter is full, hence readable.
        while unsafe { libc::write(self.as_raw_fd(), one.as_ptr().cast(), one.len()) } < 0
            && io::Error::last_os_error().kind() == io::ErrorKind::Interrupted
        {}
    }

    /// Makes the descriptor unreadable. Says whether it was readable.
    pub fn clear(&self) -> bool {
        let mut count = [0u8; 8];
        loop {
            // SAFETY: eight writable bytes. EAGAIN means that the counter is zero.
            let read =
                unsafe { libc::read(self.as_raw_fd(), count.as_mut_ptr().cast(), count.len()) };
            if read >= 0 {
                return true;
            }
            if io::Error::last_os_error().kind() != io::ErrorKind::Interrupted {
                return false;
            }
        }
    }
}

impl AsFd for WakeFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for WakeFd {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}
