//! Calls for tasks: the same as for event loops, but a waker is woken instead of an event. And the
//! readiness of a file, which starts no IO.

use super::{EBADF, EINVAL};
use crate::error::Errno;
use crate::event::Readiness;
use crate::fd::{Fd, Interest, Notify, Requests};
use crate::oneshot::Receiver;
use crate::shared::Shared;
use std::io::{self, ErrorKind, IoSlice, IoSliceMut};
use std::task::{Context, Poll, Waker};

impl Shared {
    /// Polls the open. Ready once the kernel has opened the file or failed to.
    pub fn poll_open(&self, fd: Fd, waker: &Waker) -> Poll<io::Result<()>> {
        self.polled(self.open_for(fd, Notify::Waker(waker)))
    }

    /// Attempts to read; `Pending`: `cx` is woken.
    pub fn poll_read(
        &self,
        fd: Fd,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        self.polled(self.read_for(fd, buf, Notify::Waker(cx.waker())))
    }

    /// The vectored form of [`poll_read`](Self::poll_read).
    pub fn poll_read_vectored(
        &self,
        fd: Fd,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        self.polled(self.read_vectored(fd, bufs, Notify::Waker(cx.waker())))
    }

    /// Attempts to write; `Pending`: `cx` is woken.
    pub fn poll_write(&self, fd: Fd, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.polled(self.write_for(fd, buf, Notify::Waker(cx.waker())))
    }

    /// The vectored form of [`poll_write`](Self::poll_write).
    pub fn poll_write_vectored(
        &self,
        fd: Fd,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.polled(self.write_vectored(fd, bufs, Notify::Waker(cx.waker())))
    }

    /// Polls a flush. Ready once everything accepted before the first poll is written.
    pub fn poll_flush(&self, fd: Fd, waker: &Waker) -> Poll<io::Result<()>> {
        self.polled(self.flush_for(fd, Notify::Waker(waker)))
    }

    /// Polls a sync. Ready once every byte below `mark` is durable and every requested sync
    /// complete. Requests one if none is pending.
    pub fn poll_sync(&self, fd: Fd, mark: u64, waker: &Waker) -> Poll<io::Result<()>> {
        self.polled(self.with_file(fd, |slot, _| {
            if mark > slot.marks.accepted() {
                return Err(EINVAL.into());
            }
            let check = || {
                if let Some(failure) = slot.report_failure() {
                    return Some(Err(failure.into()));
                }
                let answered = slot.syncs_are_answered();
                let durable = slot.marks.progress().durable;
                // A mark beyond ours: that sync started after ours was requested.
                let done = durable > mark || (durable == mark && answered);
                done.then_some(Ok(()))
            };
            let mut bits = Requests::NONE;
            if check().is_none() && slot.syncs_are_answered() {
                slot.request_sync(slot.marks.accepted());
                bits = Requests::SYNC;
            }
            self.check_or_register(
                fd,
                slot,
                Interest::SYNCED,
                bits,
                Notify::Waker(waker),
                check,
            )
        }))
    }

    /// Polls for data. Ready once a read would return at once. Starts a run as a read does.
    pub fn poll_readable(&self, fd: Fd, waker: &Waker) -> Poll<io::Result<()>> {
        let in_memory = |ready: Readiness| ready.readable;
        if self.poll(fd).is_ok_and(in_memory) {
            return Poll::Ready(Ok(()));
        }
        let notify = Notify::Waker(waker);
        let found = self.available_for(fd, notify).map(drop);
        match self.polled(found) {
            // The next read returns an error of the file; this poll one of the descriptor.
            Poll::Ready(Err(_)) if self.poll(fd).is_ok_and(in_memory) => Poll::Ready(Ok(())),
            polled => polled,
        }
    }

    /// Polls for room. Ready once a write would return at once.
    pub fn poll_writable(&self, fd: Fd, waker: &Waker) -> Poll<io::Result<()>> {
        self.polled(self.with_file(fd, |slot, caller| {
            if !caller.may_write {
                return Err(EBADF.into());
            }
            let room = self.room(caller);
            let check = || (slot.failure().is_some() || room(slot)).then_some(Ok(()));
            let (bit, bits) = (Interest::ROOM, Requests::WANT_ROOM);
            self.check_or_register(fd, slot, bit, bits, Notify::Waker(waker), check)
        }))
    }

    /// Closes the file on the first poll, which sets `closing`. Ready once it is closed.
    pub fn poll_closed(
        &self,
        fd: Fd,
        closing: &mut Option<Receiver<()>>,
        waker: &Waker,
    ) -> Poll<io::Result<()>> {
        let receiver = match closing {
            Some(receiver) => receiver,
            none => none.insert(self.close_with_result(fd)?),
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

    /// Returns what calls would do now, without starting IO.
    pub fn poll(&self, fd: Fd) -> io::Result<Readiness> {
        self.with_file(fd, |slot, caller| {
            let readable = caller.may_read && self.is_readable(fd, slot, caller);
            let failed = slot.failure().is_some();
            let writable = caller.may_write && (failed || self.room(caller)(slot));
            Ok(Readiness { readable, writable })
        })
    }

    /// Converts "would block" to `Pending`, or to `ESHUTDOWN` after the driver has ended, when no
    /// wake-up follows.
    pub fn polled<T>(&self, result: io::Result<T>) -> Poll<io::Result<T>> {
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
