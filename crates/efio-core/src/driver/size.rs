//! Sizes of files: only the kernel knows them, because others may write to the file too.

use super::Driver;
use super::file::OpenFile;
use super::ops::Purpose;
use crate::backend::Backend;
use crate::command::{SizeCommand, SizeListener};
use crate::error::Errno;
use crate::event::EventKind;
use crate::fd::{Fd, Slot};
use crate::memory;
use crate::op::{Op, Outcome};
use crate::slot_map::{Key, SlotMap};

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
        let mut command = Some(command);
        self.with_file(fd.index(), |driver, slot, file| {
            if file.fd == fd {
                file.flush(after);
                driver.sizes.waiting.extend(command.take());
                driver.answer_sizes(slot, file);
                driver.drive(slot, file);
            }
        });
        // Closed meanwhile.
        if let Some(command) = command {
            self.answer_size(command, None, Err(Errno(libc::EBADF)));
        }
    }

    /// Asks the kernel for the requests whose bytes are written. In a file that failed, the others
    /// get its error.
    pub(super) fn answer_sizes(&mut self, slot: &Slot, file: &mut OpenFile<B::File>) {
        if self.sizes.waiting.is_empty() || self.retries.is_paused(file.fd, self.now) {
            return;
        }
        let (fd, written) = (file.fd, file.written());
        let failure = slot.failure().map(|failure| failure.errno);
        let due = self
            .sizes
            .extract(|asked| asked.fd == fd && (asked.after <= written || failure.is_some()));
        for command in due {
            match failure {
                Some(errno) if command.after > written => {
                    self.answer_size(command, Some((slot, file)), Err(errno));
                }
                _ => self.submit_size(slot, file, command),
            }
        }
    }

    /// Completes the waiting requests of a closed file with `EBADF`.
    pub(super) fn forget_sizes(&mut self, fd: Fd) {
        let gone = self.sizes.extract(|asked| asked.fd == fd);
        for command in gone {
            self.answer_size(command, None, Err(Errno(libc::EBADF)));
        }
    }

    fn submit_size(&mut self, slot: &Slot, file: &mut OpenFile<B::File>, command: SizeCommand) {
        let Some(kernel) = file.kernel() else {
            // The kernel's file is about to be closed.
            let errno = slot.failure().map_or(Errno(libc::EBADF), |f| f.errno);
            return self.answer_size(command, Some((slot, file)), Err(errno));
        };
        let key = memory::grow(&mut self.sizes.in_flight).insert(command);
        file.busy += 1;
        let index = file.fd.index();
        self.submit(index, Purpose::Size(key), Op::Size { file: kernel });
    }

    /// Handles the completion of a size op.
    pub(super) fn on_size(
        &mut self,
        slot: &Slot,
        file: &mut OpenFile<B::File>,
        key: Key,
        outcome: Outcome<B::File>,
    ) {
        let Some(command) = self.sizes.in_flight.remove(key) else {
            return;
        };
        let result = match outcome {
            Outcome::Done(len) => Ok(len as u64),
            Outcome::Failed(errno) if errno.is_transient() => {
                // Submitted again after the pause.
                return self.sizes.waiting.push(SizeCommand {
                    after: 0,
                    ..command
                });
            }
            Outcome::Failed(errno) => Err(errno),
            Outcome::Opened(..) | Outcome::Synced(_) | Outcome::NotYet(_) => {
                unreachable!("a size opens nothing")
            }
        };
        self.answer_size(command, Some((slot, file)), result);
    }

    /// Sends the result, and notifies an event loop to repeat its call. A closed file has its own
    /// event.
    fn answer_size(
        &mut self,
        command: SizeCommand,
        file: Option<(&Slot, &OpenFile<B::File>)>,
        result: Result<u64, Errno>,
    ) {
        let SizeCommand {
            listener, sender, ..
        } = command;
        self.outbox.wakers.extend(sender.send(result));
        match (listener, file) {
            (SizeListener::Event, Some((_, file))) => self.emit(file, EventKind::Readable),
            (SizeListener::Reader, Some((slot, file))) => self.notify_reader(slot, file),
            (SizeListener::Waker, _) | (_, None) => {}
        }
    }
}
