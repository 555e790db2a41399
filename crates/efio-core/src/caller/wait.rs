//! Polls of calls that may say "would block", and blocking calls, which sleep on the caller's
//! thread.

use super::Locked;
use crate::current::is_driver_thread;
use crate::error::Errno;
use crate::fd::{About, Fd, Interest, Notify};
use crate::oneshot::Receiver;
use crate::shared::Shared;
use efio_sync::shim::deadline::Deadline;
use efio_sync::{Doorbell, Parker};
use std::io::{self, ErrorKind};
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
                return Err(ErrorKind::TimedOut.into());
            }
            sleeper.0.wait(left);
        }
    }

    /// Calls [`block_on`](Self::block_on) with a poll of the file `fd`.
    pub fn wait<T>(
        &self,
        fd: Fd,
        timeout: Option<Duration>,
        mut poll: impl FnMut(&Waker) -> Poll<io::Result<T>>,
    ) -> io::Result<T> {
        let mut last = None;
        let result = self.block_on(timeout, |waker| {
            last.get_or_insert_with(|| waker.clone());
            poll(waker)
        });
        if let (Err(error), Some(waker)) = (&result, last) {
            if error.kind() == ErrorKind::TimedOut {
                // Calls that time out again and again must not accumulate wakers.
                self.forget_waker(fd, &waker);
            }
        }
        result
    }

    /// Removes `waker` and its questions from the file `fd`.
    fn forget_waker(&self, fd: Fd, waker: &Waker) {
        if let Some(slot) = self.table.get(fd.index()) {
            slot.remove_waiter(Interest::ALL, Notify::Waker(waker));
        }
        // Fails if the file is closed: nothing is left then.
        if let Ok(mut file) = self.lock(fd) {
            let all = [About::Flush, About::Size, About::End];
            file.forget_questions(&all, Notify::Waker(waker));
        }
    }

    /// Closes the file `fd` on the first poll, which sets `closing`. Ready once it is closed.
    pub fn poll_closed(
        &self,
        fd: Fd,
        closing: &mut Option<Receiver<()>>,
        waker: &Waker,
    ) -> Poll<io::Result<()>> {
        let receiver = match closing {
            Some(receiver) => receiver,
            none => none.insert(self.lock(fd)?.close_with_result()),
        };
        self.poll_oneshot(receiver, waker)
    }

    /// Polls a result from the driver. Ready once the driver has sent it.
    pub fn poll_oneshot<T: Copy>(
        &self,
        receiver: &Receiver<T>,
        waker: &Waker,
    ) -> Poll<io::Result<T>> {
        if let Err(errno) = self.check_process() {
            return Poll::Ready(Err(errno.into()));
        }
        let mut result = receiver.get(waker);
        if result.is_none() && self.is_abandoned() {
            // The driver sent its last results before it ended.
            result = receiver.get(waker).or(Some(Err(Errno(libc::ESHUTDOWN))));
        }
        match result {
            Some(result) => Poll::Ready(result.map_err(io::Error::from)),
            None => Poll::Pending,
        }
    }

    /// Polls a call of the file `fd`. "Would block" is `Pending`, or `ESHUTDOWN` after the driver
    /// has ended, when no wake-up follows.
    pub fn poll<T>(
        &self,
        fd: Fd,
        waker: &Waker,
        call: impl FnOnce(&mut Locked<'_>, Notify<'_>) -> io::Result<T>,
    ) -> Poll<io::Result<T>> {
        let result = self
            .lock(fd)
            .and_then(|mut file| call(&mut file, Notify::Waker(waker)));
        match result {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                if self.is_abandoned() {
                    return Poll::Ready(Err(Errno(libc::ESHUTDOWN).into()));
                }
                Poll::Pending
            }
            result => Poll::Ready(result),
        }
    }
}
