//! Opens, from the call until the file is served, in the order that `Precedence` decides.
//!
//! ```text
//!  open ─► (path queue) ─► Op::Open ─► (held) ─► (Op::Empty) ─► served
//! ```
//!
//! The steps in brackets happen only when another open of the path is pending, or when bytes or a
//! truncation are due in the file from before.

use super::lists::List;
use super::ops::Purpose;
use super::{Driven, Driver};
use crate::backend::Backend;
use crate::command::OpenCommand;
use crate::error::Errno;
use crate::event::EventKind;
use crate::fd::{DRIVER, Interest, OpenState};
use crate::op::{FileFacts, FileId, Op, OpenSpec, OpenToken, Outcome};
use crate::plan::Ticket;
use crate::stats::NameState;
use crate::trace;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::fd::AsRawFd;
use std::sync::Arc;

/// A pending open.
pub struct Opening<F> {
    ticket: Ticket,
    /// A hash of its path.
    path: u64,
    has_effects: bool,
    truncates: bool,
    token: Option<Arc<OpenToken>>,
    /// When it was submitted, if it truncates the file.
    at_kernel: Option<Ticket>,
    /// While it is not submitted.
    spec: Option<Box<OpenSpec>>,
    /// When the caller closed it, if it did.
    closed: Option<Ticket>,
    /// From when the kernel has opened it.
    arrival: Option<Arrival<F>>,
}

/// What the kernel opened.
struct Arrival<F> {
    kernel: Arc<F>,
    facts: FileFacts,
    id: FileId,
    /// It has to be truncated to 0 bytes before it is served.
    truncation_due: bool,
}

impl<F> Opening<F> {
    /// Creates an open that was requested at `ticket`.
    pub fn new(ticket: Ticket, spec: OpenSpec) -> Self {
        Self {
            ticket,
            path: path_hash(&spec),
            has_effects: spec.has_effects(),
            truncates: spec.truncates(),
            token: spec.token.clone(),
            at_kernel: None,
            spec: Some(Box::new(spec)),
            closed: None,
            arrival: None,
        }
    }

    /// Returns whether the open was cancelled before it truncated the file.
    fn is_cancelled(&self) -> bool {
        let token = self.token.as_ref();
        token.is_some_and(|open| open.is_cancelled())
    }
}

/// Returns a hash of the path of a file. Two paths with the same hash wait for each other without
/// need.
fn path_hash(spec: &OpenSpec) -> u64 {
    let mut hasher = DefaultHasher::new();
    spec.path.hash(&mut hasher);
    let directory = spec.beneath.as_ref().map(|directory| directory.as_raw_fd());
    directory.hash(&mut hasher);
    hasher.finish()
}

impl<B: Backend> Driver<B> {
    pub(super) fn open(&mut self, command: OpenCommand) {
        let (fd, prefetch) = (command.fd, command.prefetch);
        trace::opening(fd, &command.spec);
        let ticket = self.io.precedence.next_ticket();
        self.files.insert(command, ticket);
        self.with_file(fd, |driven| driven.begin_open(prefetch));
        if self.io.deadline.is_some() {
            self.close_for_shutdown(fd);
        }
    }

    /// Resumes the opens that waited and are released.
    pub(super) fn resume_opens(&mut self) {
        while let Some(index) = self.io.precedence.next_released(self.io.now) {
            if let Some((fd, _)) = self.files.at(index) {
                self.with_file(fd, |driven| driven.resume());
            }
        }
    }
}

impl<B: Backend> Driven<'_, B> {
    fn begin_open(&mut self, prefetch: bool) {
        let index = self.file.fd().index();
        if prefetch {
            let (limits, now) = (self.io.limits.read, self.io.now);
            (self.file.incoming()).start(self.slot, limits, (1, 0, 0), now);
        }
        let Some(opening) = self.file.opening() else {
            unreachable!("it is about to be opened")
        };
        let (path, has_effects) = (opening.path, opening.has_effects);
        if self.io.precedence.enter(path, index, has_effects) {
            self.submit_open();
        }
    }

    /// Submits the open, if it is not submitted.
    fn submit_open(&mut self) {
        let Some(opening) = self.file.opening() else {
            return;
        };
        let Some(mut spec) = opening.spec.take() else {
            return;
        };
        if opening.truncates && opening.at_kernel.is_none() {
            let (truncation, ticket) = self.io.precedence.truncation();
            spec.truncation = truncation;
            opening.at_kernel = Some(ticket);
        }
        self.submit(Purpose::Open, Op::Open(spec));
    }

    /// Continues a file whose pause is over, or whose open is released.
    pub fn resume(&mut self) {
        self.submit_open();
        self.try_serve();
        self.answer_sizes();
        self.drive();
    }

    /// Handles the completion of an open.
    pub fn on_open(&mut self, outcome: Outcome<B::File>) {
        let fd = self.file.fd();
        let Some(opening) = self.file.opening() else {
            unreachable!("it was about to be opened")
        };
        let outcome = match outcome {
            Outcome::NotYet(spec) if self.io.retries.handle_open(fd, self.io.now) => {
                opening.spec = Some(spec);
                return;
            }
            Outcome::NotYet(_) => Outcome::Failed(Errno(libc::EBUSY)),
            outcome => outcome,
        };
        if opening.has_effects {
            self.io.precedence.handle_answered(opening.path);
        }
        let (kernel, facts) = match outcome {
            Outcome::Opened(kernel, facts) => (Arc::new(kernel), facts),
            Outcome::Failed(errno) => {
                if opening.at_kernel.is_some() {
                    self.io.precedence.truncation_answered();
                }
                if let Some(ticket) = opening.closed {
                    self.io.precedence.handle_identified(ticket);
                }
                return self.on_open_error(errno);
            }
            Outcome::Done(_) | Outcome::Synced(_) | Outcome::NotYet(_) => {
                unreachable!("an open gives a file or an error")
            }
        };
        let id = B::id(&kernel);
        // Bytes that were due before it may have made the file longer since.
        let at_kernel = opening.at_kernel;
        let has_grown = at_kernel.is_some_and(|at| self.io.precedence.may_have_grown(id, at));
        let truncation_due =
            facts.truncation_due && !opening.is_cancelled() && (facts.size > 0 || has_grown);
        if at_kernel.is_some() {
            self.io.precedence.truncation_answered();
        }
        let (closed, ticket) = (opening.closed, opening.ticket);
        opening.arrival = Some(Arrival {
            kernel,
            facts,
            id,
            truncation_due,
        });
        if truncation_due {
            self.file.lists().enter(List::Due);
            self.io.precedence.add_due(id, fd.index(), ticket);
        }
        if let Some(ticket) = closed {
            self.add_due_bytes(id, ticket);
            self.io.precedence.handle_identified(ticket);
        }
        self.try_serve();
    }

    /// Makes later opens of a file that was closed at `ticket` wait until its bytes are written. A
    /// truncation that is due makes them wait already.
    fn add_due_bytes(&mut self, id: FileId, ticket: Ticket) {
        if !self.file.is_written(self.slot.marks.accepted()) && self.file.lists().enter(List::Due) {
            let index = self.file.fd().index();
            self.io.precedence.add_due(id, index, ticket);
        }
    }

    /// Handles a close: opens from now on wait until what is due in the file is written.
    pub fn on_close(&mut self) {
        let ticket = self.io.precedence.next_ticket();
        let index = self.file.fd().index();
        let Some(opening) = self.file.opening() else {
            if let Some(id) = self.file.kernel().map(|kernel| B::id(kernel)) {
                self.add_due_bytes(id, ticket);
            }
            return;
        };
        opening.closed = Some(ticket);
        let is_cancelled = opening.is_cancelled();
        match &mut opening.arrival {
            Some(arrival) => {
                let id = arrival.id;
                if is_cancelled && arrival.truncation_due {
                    arrival.truncation_due = false;
                    self.settle(id);
                }
                self.add_due_bytes(id, ticket);
            }
            None if is_cancelled => {}
            None => {
                let has_bytes = self.slot.marks.accepted() > 0;
                if has_bytes && !opening.has_effects {
                    opening.has_effects = true;
                    self.io.precedence.add_effects(opening.path, index);
                }
                if opening.truncates || has_bytes {
                    let (precedence, now) = (&mut self.io.precedence, self.io.now);
                    precedence.handle_closed_unidentified(ticket, now);
                }
            }
        }
    }

    fn settle(&mut self, id: FileId) {
        self.file.lists().leave(List::Due);
        self.io.precedence.settle(id, self.file.fd().index());
    }

    /// Releases the opens that wait for a closed file, once all of it is written or lost.
    pub fn settle_written(&mut self) {
        if !self.file.lists().is_in(List::Due) || !self.file.is_written(self.slot.marks.accepted())
        {
            return;
        }
        if let Some(id) = self.file.kernel().map(|kernel| B::id(kernel)) {
            self.settle(id);
        }
    }

    /// Attempts to serve a file that the kernel has opened, unless it has to wait for another one.
    pub fn try_serve(&mut self) {
        let index = self.file.fd().index();
        let Some(opening) = self.file.opening() else {
            return;
        };
        let Some(arrival) = &opening.arrival else {
            return;
        };
        let (id, ticket) = (arrival.id, opening.ticket);
        if self.io.precedence.is_behind(id, index, ticket, self.io.now) {
            return self.io.precedence.hold(id, index, ticket);
        }
        if arrival.truncation_due {
            let token = opening.token.as_ref();
            if token.is_none_or(|open| open.claim()) {
                let op = Op::Empty {
                    file: Arc::clone(&arrival.kernel),
                };
                return self.submit(Purpose::Empty, op);
            }
        }
        self.serve();
    }

    /// Handles the completion of the truncation for an open.
    pub fn on_empty(&mut self, outcome: Outcome<B::File>) {
        let opening = self.file.opening().as_mut();
        let Some(arrival) = opening.and_then(|opening| opening.arrival.as_mut()) else {
            unreachable!("it is not served before")
        };
        match outcome {
            // Retried after the pause.
            Outcome::Failed(errno) if errno.is_transient() => {}
            Outcome::Failed(errno) => {
                let id = arrival.id;
                let opening = self.file.opening().take();
                let arrival = opening.and_then(|opening| opening.arrival);
                let kernel = arrival.and_then(|arrival| Arc::into_inner(arrival.kernel));
                self.settle(id);
                if let Some(kernel) = kernel {
                    self.submit(Purpose::Discard, Op::Close(kernel));
                }
                self.on_open_error(errno);
            }
            _ => {
                arrival.facts.size = 0;
                self.serve();
            }
        }
    }

    /// Starts to serve the file.
    fn serve(&mut self) {
        let Some(opening) = self.file.opening().take() else {
            return;
        };
        let Some(Arrival {
            kernel, facts, id, ..
        }) = opening.arrival
        else {
            unreachable!("the kernel has opened it")
        };
        if self.file.lists().is_in(List::Due) && opening.closed.is_none() {
            self.settle(id);
        }
        let (file, slot, counters) = (&mut *self.file, self.slot, &self.io.shared.counters);
        let fell_back = u64::from(facts.fell_back);
        counters.fallbacks.add(fell_back);
        slot.count(fell_back, |stats| &mut stats.fallbacks);
        counters.opened_on_workers.add(u64::from(facts.on_workers));
        if facts.is_new {
            slot.set_name(NameState::Pending);
        }
        trace::opened(file.fd(), &facts);
        let status = file.handle_opened(kernel, facts);
        slot.set_mode_status(status);
        counters.opened(status.mode);
        if let Some(kernel) = file.kernel_to_read() {
            let kernel = B::read_now(kernel);
            let mut caller = slot.caller.acquire(DRIVER);
            if caller.generation == file.fd().generation() {
                caller.kernel = kernel;
                caller.reads_now = file.io_caps().reads_cached();
            }
        }
        slot.set_open_state(OpenState::Open);
        self.emit(EventKind::Opened);
        self.notify(Interest::OPENED, None);
    }

    /// Fails a file that the kernel did not open.
    fn on_open_error(&mut self, errno: Errno) {
        *self.file.opening() = None;
        let errno = errno.as_failure();
        self.file.life().handle_open_error(errno);
        let result = self.file.write().handle_open_error(errno);
        self.apply_write_error(result);
    }
}
