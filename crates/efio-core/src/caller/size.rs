//! How long a file is, with everything that was accepted: the kernel is asked once it has all of it.

use super::{EAGAIN, EBADF};
use crate::answer::{Answer, answer};
use crate::command::Command;
use crate::fd::{Asker, Attention, Fd, OpenState, Waiting};
use crate::shared::Shared;
use efio_sync::SpinLock;
use std::io;
use std::task::Waker;

/// A question to the driver whose answer nobody has fetched.
#[derive(Default)]
pub struct SizeQuestion(SpinLock<Option<Box<Asked>>>);

struct Asked {
    /// What the answer includes.
    accepted: u64,
    answer: Answer<u64>,
}

impl SizeQuestion {
    /// The next call asks anew.
    pub fn forget(&self) {
        drop(self.take());
    }

    fn take(&self) -> Option<Box<Asked>> {
        self.0.lock().take()
    }

    fn keep(&self, asked: Box<Asked>) {
        let old = self.0.lock().replace(asked);
        // Outside of the lock: with it goes a waker, whose drop is somebody else's code.
        drop(old);
    }
}

impl Shared {
    /// The size of `fd`, or "would block".
    pub fn size_for(&self, fd: Fd, question: &SizeQuestion, asker: Asker<'_>) -> io::Result<u64> {
        self.open_for(fd, asker)?;
        self.flush_for(fd, asker)?;
        let accepted = self.progress(fd)?.accepted;
        let asked = question.take().filter(|asked| asked.accepted == accepted);
        let asked = match asked {
            Some(asked) => asked,
            None => self.ask_size(fd, accepted)?,
        };
        let waker = match asker {
            Asker::Task(waker) => waker,
            // The event comes behind the answer.
            Asker::Loop => Waker::noop(),
        };
        match asked.answer.get(waker) {
            Some(result) => Ok(result?),
            None => {
                question.keep(asked);
                Err(EAGAIN.into())
            }
        }
    }

    /// Whether the kernel has opened the file, or its error; else "would block".
    pub(super) fn open_for(&self, fd: Fd, asker: Asker<'_>) -> io::Result<()> {
        self.with_ends(fd, |slot, _| {
            let look = || match slot.open_state() {
                OpenState::Pending => None,
                OpenState::Open => Some(Ok(())),
                OpenState::Refused => Some(Err(slot.failure().map_or(EBADF, |f| f.errno).into())),
            };
            self.look_or_wait(fd, slot, Waiting::OPENED, Attention::NONE, asker, look)
        })
    }

    fn ask_size(&self, fd: Fd, accepted: u64) -> io::Result<Box<Asked>> {
        // Under custody, so that the file is open when the driver hears of it or its close comes later.
        self.with_ends(fd, |_, _| {
            let (promise, answer) = answer();
            self.command(Command::TellSize(fd, promise));
            Ok(Box::new(Asked { accepted, answer }))
        })
    }
}
