//! A waker for a loop that sleeps in the kernel: a flag, and an eventfd for wakers on other
//! threads.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Wake, Waker};
use std::thread::{self, ThreadId};

/// What a loop is woken by.
pub struct Wakeup {
    notified: AtomicBool,
    owner: ThreadId,
    event: OwnedFd,
}

impl Wakeup {
    pub fn new() -> std::io::Result<Arc<Self>> {
        // SAFETY: no pointers; the result is checked and owned.
        let event = unsafe {
            match libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) {
                -1 => return Err(std::io::Error::last_os_error()),
                fd => OwnedFd::from_raw_fd(fd),
            }
        };
        Ok(Arc::new(Self {
            notified: AtomicBool::new(true),
            owner: thread::current().id(),
            event,
        }))
    }

    pub fn waker(self: &Arc<Self>) -> Waker {
        Arc::clone(self).into()
    }

    /// Whether somebody notified it since the last call.
    pub fn take(&self) -> bool {
        // Relaxed would lose what the waker wrote before: Acquire pairs with the Release in `wake`.
        self.notified.swap(false, Ordering::AcqRel)
    }

    pub fn is_notified(&self) -> bool {
        self.notified.load(Ordering::Acquire)
    }

    /// Readable after a notification from another thread.
    pub fn fd(&self) -> RawFd {
        self.event.as_raw_fd()
    }

    /// Makes the descriptor unreadable again.
    pub fn silence(&self) {
        let mut count = 0u64;
        // SAFETY: eight bytes to read into; that there is nothing to read is no harm.
        unsafe { libc::read(self.fd(), (&raw mut count).cast(), 8) };
    }
}

impl Wake for Wakeup {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let silent = !self.notified.swap(true, Ordering::AcqRel);
        if silent && thread::current().id() != self.owner {
            let one = 1u64;
            // SAFETY: eight bytes to write from. A full counter is readable as well.
            unsafe { libc::write(self.fd(), (&raw const one).cast(), 8) };
        }
    }
}

/// Waits until one of the descriptors can be read.
pub fn wait(fds: &[RawFd]) {
    let mut polls: Vec<_> = fds
        .iter()
        .map(|&fd| libc::pollfd {
            fd,
            events: libc::POLLIN,
            revents: 0,
        })
        .collect();
    // SAFETY: the vector holds as many as are said. An interruption is an early return.
    unsafe { libc::poll(polls.as_mut_ptr(), polls.len() as libc::nfds_t, -1) };
}
