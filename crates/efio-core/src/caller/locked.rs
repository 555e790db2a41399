//! The lock of an open file. A file's calls are methods of its holder, each in the module of its
//! topic.

use super::{EAGAIN, EBADF};
use crate::error::Errno;
use crate::fd::{About, CALLER, CallerState, Fd, Interest, Notify, Question, Requests, Slot};
use crate::shared::Shared;
use efio_sync::CasCellGuard;
use std::io;

/// The lock of the open file `fd`, held by the calling thread.
///
/// The fields drop in this order: the lock opens before the wakers of `displaced` are dropped,
/// because a waker's drop runs foreign code.
pub struct Locked<'a> {
    pub(super) shared: &'a Shared,
    pub(super) fd: Fd,
    pub(super) slot: &'a Slot,
    pub(super) state: CasCellGuard<'a, CallerState>,
    displaced: Displaced,
}

/// Questions that a call took out of the file.
#[derive(Default)]
#[expect(clippy::box_collection, reason = "one word, which the hot paths check")]
struct Displaced(Option<Box<Vec<Question>>>);

impl Drop for Displaced {
    #[inline(always)]
    fn drop(&mut self) {
        if self.0.is_some() {
            self.clear();
        }
    }
}

impl Displaced {
    fn extend(&mut self, questions: impl IntoIterator<Item = Question>) {
        self.0.get_or_insert_default().extend(questions);
    }

    #[cold]
    fn clear(&mut self) {
        self.0 = None;
    }
}

impl Shared {
    /// Takes the lock of the file `fd`, or fails with `EBADF`.
    ///
    /// It is inlined, and so are the hot calls: then the fields of the guard stay in registers.
    /// Passed through memory, they cost 4 ns of a write of 100 bytes that takes 12.
    #[inline(always)]
    pub fn lock(&self, fd: Fd) -> io::Result<Locked<'_>> {
        self.check_process()?;
        let slot = self.table.get(fd.index()).ok_or(EBADF)?;
        let state = slot.caller.acquire(CALLER);
        // A free slot has generation 0 here, which no file has.
        if state.generation != fd.generation() || fd.generation() == 0 {
            return Err(self.not_open().into());
        }
        Ok(Locked {
            shared: self,
            fd,
            slot,
            state,
            displaced: Displaced::default(),
        })
    }

    /// Reads from the slot of an open file what needs no lock.
    pub fn inspect<R>(&self, fd: Fd, read: impl FnOnce(&Slot) -> R) -> io::Result<R> {
        self.check_process()?;
        let slot = self.table.get(fd.index()).ok_or(EBADF)?;
        let is_current = || slot.generation() == fd.generation() && fd.generation() % 2 == 1;
        if !is_current() {
            return Err(self.not_open().into());
        }
        let seen = read(slot);
        // If `read` saw anything of the next file, this check sees that this one ended: `read`
        // loads with Acquire what is stored with Release, by `Slot::begin` too.
        if !is_current() {
            return Err(self.not_open().into());
        }
        Ok(seen)
    }

    /// Returns the error for a descriptor that is not open: `EBADF`, or `ESHUTDOWN` after the
    /// shutdown of the engine, which waits return too.
    #[cold]
    fn not_open(&self) -> Errno {
        if self.is_stopped() {
            Errno(libc::ESHUTDOWN)
        } else {
            EBADF
        }
    }
}

impl Locked<'_> {
    /// Requests something of the driver.
    #[inline]
    pub(super) fn request(&self, bits: Requests) {
        let index = self.fd.index();
        self.shared.inbox.request(index, self.slot, bits);
    }

    /// Ends the run, if there is one: its pages are free for other files.
    #[inline(always)]
    pub(super) fn end_run(&mut self) {
        if self.state.reading && self.state.end_run() {
            self.request(Requests::CONSUMED);
        }
    }

    /// Counts a read that returns "would block".
    pub(super) fn count_blocked_read(&self) {
        self.shared.counters.reads_blocked.add(1);
        self.slot.count(1, |stats| &mut stats.reads_blocked);
    }

    /// Counts a write that returns "would block".
    pub(super) fn count_blocked_write(&self) {
        self.shared.counters.writes_blocked.add(1);
        self.slot.count(1, |stats| &mut stats.writes_blocked);
    }

    /// Returns what `check` finds. If that is `None`, registers `notify` for `bit`, and sends the
    /// driver the requests `bits`. It checks again after the registration, so that no notification
    /// is lost in between.
    pub(super) fn check_or_register<R>(
        &mut self,
        bit: Interest,
        bits: Requests,
        notify: Notify<'_>,
        check: impl FnMut(&mut Self) -> Option<io::Result<R>>,
    ) -> io::Result<R> {
        self.check_or_register_until(bit, 0, bits, notify, check)
    }

    /// The same for a call that waits until `mark` bytes are written.
    pub(super) fn check_or_register_until<R>(
        &mut self,
        bit: Interest,
        mark: u64,
        bits: Requests,
        notify: Notify<'_>,
        mut check: impl FnMut(&mut Self) -> Option<io::Result<R>>,
    ) -> io::Result<R> {
        if let Some(found) = check(self) {
            return found;
        }
        let registration = self.slot.register_until(bit, mark, notify);
        if let Some(found) = check(self) {
            self.slot.deregister(registration);
            return found;
        }
        if bits != Requests::NONE {
            self.request(bits);
        }
        Err(EAGAIN.into())
    }

    /// Takes out the question of `notify`, if there is one.
    pub(super) fn take_question(&self, about: About, notify: Notify<'_>) -> Option<Question> {
        let asked = self.state.is_asked();
        asked.then(|| self.slot.take_question(about, notify))?
    }

    /// Keeps a question until its caller retries.
    pub(super) fn keep_question(&mut self, question: Question) {
        self.displaced.extend(self.slot.keep_question(question));
        self.state.set_asked(true);
    }

    /// Drops the questions of `notify` about any of these: its next call asks again.
    pub fn forget_questions(&mut self, about: &[About], notify: Notify<'_>) {
        for &about in about {
            self.displaced.extend(self.take_question(about, notify));
        }
    }

    /// Drops the question that `notify` has an answer of: the next call asks again.
    pub(super) fn forget_answer(&mut self, about: About, notify: Notify<'_>) {
        if self.state.is_asked() {
            let accepted = self.slot.marks.accepted();
            self.displaced
                .extend(self.slot.take_answer(about, notify, accepted));
        }
    }

    /// Drops everybody's questions about this.
    pub(super) fn forget_all_questions(&mut self, about: About) {
        if self.state.is_asked() {
            self.displaced.extend(self.slot.take_questions(about));
        }
    }
}
