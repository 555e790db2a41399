//! Blocking calls: they sleep on the caller's thread.

use crate::driver::is_driver_thread;
use crate::error::Errno;
use crate::fd::{About, Fd, Interest, Notify};
use crate::shared::Shared;
use efio_sync::shim::deadline::Deadline;
use efio_sync::{Doorbell, Parker};
use std::io;
use std::sync::Arc;
use std::task::{Poll, Wake, Waker};
use std::time::Duration;

/// A thread that sleeps and is woken like a task.
struct Sleeper(Doorbell<Parker>);

impl Wake for Sleeper {
    fn wake(self: Arc<Self>) {
        self.0.notify();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.notify();
    }
}

impl Shared {
    /// Polls until ready. Fails with `TimedOut` after `timeout`, and with `EDEADLK` in a callback,
    /// whose thread is the driver's and would wait for itself.
    pub fn block_on<T>(
        &self,
        timeout: Option<Duration>,
        mut poll: impl FnMut(&Waker) -> Poll<io::Result<T>>,
    ) -> io::Result<T> {
        self.check_process()?;
        if is_driver_thread(self) {
            return Err(Errno(libc::EDEADLK).into());
        }
        let deadline = Deadline::within(timeout);
        let sleeper = Arc::new(Sleeper(Doorbell::new(Parker::new())));
        let waker = Waker::from(Arc::clone(&sleeper));
        loop {
            if let Poll::Ready(result) = poll(&waker) {
                return result;
            }
            let left = deadline.left();
            if left.is_some_and(|left| left.is_zero()) {
                return Err(io::ErrorKind::TimedOut.into());
            }
            sleeper.0.wait(left);
        }
    }

    /// Calls [`block_on`](Self::block_on) with a poll of the file `fd`.
    pub fn wait<T>(
        &self,
        fd: Fd,
        timeout: Option<Duration>,
        mut poll: impl FnMut(&Self, &Waker) -> Poll<io::Result<T>>,
    ) -> io::Result<T> {
        let mut last = None;
        let result = self.block_on(timeout, |waker| {
            last.get_or_insert_with(|| waker.clone());
            poll(self, waker)
        });
        if let (Err(error), Some(waker)) = (&result, last) {
            if error.kind() == io::ErrorKind::TimedOut {
                // Calls that time out again and again must not accumulate wakers.
                self.forget_waker(fd, &waker);
            }
        }
        result
    }

    /// Removes `waker` and its questions from the file `fd`.
    fn forget_waker(&self, fd: Fd, waker: &Waker) {
        if let Some(slot) = self.table.get(fd.index()) {
            slot.waiters.remove(waker, Interest::ALL);
            let notify = Notify::Waker(waker);
            // Fails if the file is closed: nothing is left then.
            let _ = self.with_file(fd, |slot, caller| {
                let flush = caller
                    .asked
                    .then(|| slot.take_question(About::Flush, notify));
                let size = caller
                    .asked
                    .then(|| slot.take_question(About::Size, notify));
                let end = caller.asked.then(|| slot.take_question(About::End, notify));
                Ok((flush, size, end))
            });
        }
    }
}
