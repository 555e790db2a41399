//! Sizes of files: only the kernel knows them, because others may write to the file too.

use super::ops::Purpose;
use super::{Driven, Driver, Io};
use crate::backend::Backend;
use crate::command::{SizeCommand, SizeListener};
use crate::error::Errno;
use crate::event::EventKind;
use crate::fd::Fd;
use crate::memory;
use crate::op::{Op, Outcome};
use crate::slot_map::{Key, SlotMap};
use std::sync::Arc;

/// Requests for a size that are not answered.
#[derive(Default)]
pub struct Sizes {
    in_flight: SlotMap<SizeCommand>,
    /// Requests that wait for bytes to be written first.
    waiting: Vec<SizeCommand>,
}

impl Sizes {
    /// Removes and returns the waiting requests that are `wanted`.
    fn extract(&mut self, wanted: impl Fn(&SizeCommand) -> bool) -> Vec<SizeCommand> {
        let waiting = std::mem::take(&mut self.waiting);
        let (wanted, rest) = waiting.into_iter().partition(wanted);
        self.waiting = rest;
        wanted
    }
}

impl<B: Backend> Driver<B> {
    /// Handles a request for the size of a file: flushes what was accepted before it, and asks the
    /// kernel then.
    pub(super) fn ask_size(&mut self, command: SizeCommand) {
        let SizeCommand { fd, after, .. } = command;
        self.io.sizes.waiting.push(command);
        let driven = self.with_file(fd, |driven| {
            driven.file.write().flush(after);
            driven.answer_sizes();
            driven.drive();
        });
        if driven.is_none() {
            // Closed meanwhile.
            self.io.forget_sizes(fd);
        }
    }
}

impl<B: Backend> Driven<'_, B> {
    /// Asks the kernel for the requests whose bytes are written. In a file that failed, the others
    /// get its error.
    pub fn answer_sizes(&mut self) {
        if self.io.sizes.waiting.is_empty()
            || self.io.retries.is_paused(self.file.fd(), self.io.now)
        {
            return;
        }
        let (fd, written) = (self.file.fd(), self.file.written());
        let failure = self.slot.failure().map(|failure| failure.errno);
        let is_due =
            |asked: &SizeCommand| asked.fd == fd && (asked.after <= written || failure.is_some());
        for command in self.io.sizes.extract(is_due) {
            match failure {
                Some(errno) if command.after > written => self.answer_size(command, Err(errno)),
                _ => self.submit_size(command),
            }
        }
    }

    fn submit_size(&mut self, command: SizeCommand) {
        let Some(kernel) = self.file.kernel().map(Arc::clone) else {
            // The kernel's file is about to be closed.
            let errno = self.slot.failure().map_or(Errno(libc::EBADF), |f| f.errno);
            return self.answer_size(command, Err(errno));
        };
        let key = memory::grow(&mut self.io.sizes.in_flight).insert(command);
        self.submit(Purpose::Size(key), Op::Size { file: kernel });
    }

    /// Handles the completion of a size op.
    pub fn on_size(&mut self, key: Key, outcome: Outcome<B::File>) {
        let Some(command) = self.io.sizes.in_flight.remove(key) else {
            return;
        };
        match outcome.transferred() {
            // Submitted again after the pause.
            Err(errno) if errno.is_transient() => self.io.sizes.waiting.push(SizeCommand {
                after: 0,
                ..command
            }),
            result => self.answer_size(command, result.map(|len| len as u64)),
        }
    }

    /// Sends the result, and notifies an event loop to repeat its call.
    fn answer_size(&mut self, command: SizeCommand, result: Result<u64, Errno>) {
        self.io.outbox.wakers.extend(command.sender.send(result));
        match command.listener {
            SizeListener::Event => self.emit(EventKind::Readable),
            SizeListener::Reader => self.notify_reader(),
            SizeListener::Waker => {}
        }
    }
}

impl<B: Backend> Io<B> {
    /// Completes the waiting requests of a closed file with `EBADF`. It has an event of its own.
    pub fn forget_sizes(&mut self, fd: Fd) {
        for command in self.sizes.extract(|asked| asked.fd == fd) {
            let waker = command.sender.send(Err(Errno(libc::EBADF)));
            self.outbox.wakers.extend(waker);
        }
    }
}
