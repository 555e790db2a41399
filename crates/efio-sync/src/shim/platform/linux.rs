//! futex(2), membarrier(2) and eventfd(2).

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::ptr;
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering, compiler_fence};
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
///
/// A program may close it by its number, for example with `closefrom(3)` as a daemon, and get the
/// number for a file of its own. So the number is one of the last below 1024, which select(2) still
/// takes and few programs reach. The file has a mark, which is checked before anything is written
/// to it and before it is closed. Both are rare; nothing else that efio does with it changes
/// another file, unless that got the number since the last write.
#[derive(Debug)]
pub struct WakeFd {
    fd: AtomicI32,
    /// What `F_GETSIG` returns for it: a number that no file has unless a program sets it, and that
    /// means nothing without `O_ASYNC`. 0: the kernel took none, and a loss cannot be detected.
    mark: libc::c_int,
}

/// The mark of a file, which libc does not name everywhere.
const F_SETSIG: libc::c_int = 10;
const F_GETSIG: libc::c_int = 11;

impl WakeFd {
    pub fn new() -> io::Result<Self> {
        /// Real-time signals: eventfds that follow each other have different ones.
        const MARKS: std::ops::Range<u32> = 34..64;
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let fd = fresh()?;
        // Relaxed: a number to begin with.
        let number = NEXT.fetch_add(1, Ordering::Relaxed) % MARKS.len() as u32;
        let mark = (MARKS.start + number) as libc::c_int;
        // SAFETY: no pointers, and a descriptor of ours.
        let marked = unsafe { libc::fcntl(fd, F_SETSIG, mark) } == 0;
        Ok(Self {
            fd: AtomicI32::new(fd),
            mark: if marked { mark } else { 0 },
        })
    }

    /// Returns whether other code closed it, so that the number is another file's, or free.
    pub fn is_lost(&self) -> bool {
        // SAFETY: no pointers; the call reads a number of whatever file has the descriptor now.
        self.mark != 0 && unsafe { libc::fcntl(self.as_raw_fd(), F_GETSIG) } != self.mark
    }

    /// Puts a new descriptor in the place of one that is lost; returns whether it did. Only the
    /// sleeper calls it, while no thread waits for the descriptor.
    pub fn repair(&self) -> bool {
        if !self.is_lost() {
            return false;
        }
        let Ok(fd) = fresh() else { return false };
        // SAFETY: no pointers, and a descriptor of ours.
        unsafe { libc::fcntl(fd, F_SETSIG, self.mark) };
        // Release: pairs with the load in `as_raw_fd`. A thread that still has the old number finds
        // it lost.
        self.fd.store(fd, Ordering::Release);
        true
    }

    /// Makes the descriptor readable.
    pub fn write(&self) {
        if self.is_lost() {
            return;
        }
        let one = 1u64.to_ne_bytes();
        // SAFETY: eight readable bytes. EAGAIN means that the counter is full, hence readable.
        while unsafe { libc::write(self.as_raw_fd(), one.as_ptr().cast(), one.len()) } < 0
            && io::Error::last_os_error().kind() == io::ErrorKind::Interrupted
        {}
    }

    /// Makes the descriptor unreadable. Returns whether it was readable.
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

impl Drop for WakeFd {
    fn drop(&mut self) {
        if !self.is_lost() {
            // SAFETY: the descriptor is ours, and no thread uses it any more.
            unsafe { libc::close(*self.fd.get_mut()) };
        }
    }
}

/// An eventfd with a number out of the way.
fn fresh() -> io::Result<RawFd> {
    // SAFETY: no pointers; the result is checked.
    let low = unsafe { libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC) };
    if low < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: no pointers; a new number for a file of ours, or none.
    let high = unsafe { libc::fcntl(low, libc::F_DUPFD_CLOEXEC, last_numbers()) };
    if high < 0 {
        return Ok(low);
    }
    // SAFETY: ours, and no other code has its number.
    unsafe { libc::close(low) };
    Ok(high)
}

/// The first of the last 64 numbers that there are, or that are below 1024.
fn last_numbers() -> RawFd {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: room for the answer.
    unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) };
    (limit.rlim_cur.min(1024) as RawFd - 64).max(0)
}

impl AsFd for WakeFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: open as long as it is not lost; a user of the number of a lost one gets what it
        // names by then, as with any number that other code closed.
        unsafe { BorrowedFd::borrow_raw(self.as_raw_fd()) }
    }
}

impl AsRawFd for WakeFd {
    fn as_raw_fd(&self) -> RawFd {
        // Acquire: pairs with the store in `repair`.
        self.fd.load(Ordering::Acquire)
    }
}
