//! Sizes of files, which only the kernel knows.

use super::Driver;
use super::file::OpenFile;
use super::ops::Purpose;
use crate::answer::Promise;
use crate::backend::Backend;
use crate::error::Errno;
use crate::event::EventKind;
use crate::fd::{Fd, Slot};
use crate::op::{Op, Outcome};
use std::collections::HashMap;

/// Who asked and is not answered, by the key of the op.
#[derive(Default)]
pub struct Sizes {
    asked: HashMap<u32, Promise<u64>>,
    last: u32,
}

impl<B: Backend> Driver<B> {
    /// Somebody wants to know how long a file is.
    pub(super) fn ask_size(&mut self, fd: Fd, promise: Promise<u64>) {
        let mut promise = Some(promise);
        self.with_file(fd.index(), |driver, slot, file| {
            if file.fd == fd {
                driver.submit_size(slot, file, promise.take());
            }
        });
        // Closed meanwhile.
        self.answer_size(promise, Err(Errno(libc::EBADF)));
    }

    fn submit_size(
        &mut self,
        slot: &Slot,
        file: &mut OpenFile<B::File>,
        promise: Option<Promise<u64>>,
    ) {
        let Some(kernel) = file.kernel() else {
            // The kernel's file is about to be closed.
            let errno = slot.failure().map_or(Errno(libc::EBADF), |f| f.errno);
            return self.answer_size(promise, Err(errno));
        };
        self.sizes.last = self.sizes.last.wrapping_add(1);
        let key = self.sizes.last;
        self.sizes
            .asked
            .extend(promise.map(|promise| (key, promise)));
        file.busy += 1;
        let index = file.fd.index();
        self.submit(index, Purpose::Size(key), Op::Size { file: kernel });
    }

    /// The kernel has said it. Event loops are told to repeat their call.
    pub(super) fn sized(
        &mut self,
        slot: &Slot,
        file: &mut OpenFile<B::File>,
        key: u32,
        outcome: Outcome<B::File>,
    ) {
        let promise = self.sizes.asked.remove(&key);
        let result = match outcome {
            Outcome::Done(len) => Ok(len as u64),
            Outcome::Failed(errno) if errno.is_transient() => {
                return self.submit_size(slot, file, promise);
            }
            Outcome::Failed(errno) => Err(errno),
            Outcome::Opened(..) => unreachable!("a size opens nothing"),
        };
        self.answer_size(promise, result);
        self.tell(file, EventKind::Readable);
    }

    fn answer_size(&mut self, promise: Option<Promise<u64>>, result: Result<u64, Errno>) {
        let waker = promise.and_then(|promise| promise.give(result));
        self.outbox.wakers.extend(waker);
    }
}
