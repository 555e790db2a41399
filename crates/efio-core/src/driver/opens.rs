//! Opens, from the call until the file is served, in the order that [`Precedence`] decides.
//!
//! ```text
//!  open ─► (path queue) ─► Op::Open ─► (held) ─► (Op::Empty) ─► served
//! ```
//!
//! The steps in brackets happen only when another open of the path is pending, or when bytes or a
//! truncation are due in the file from before.

use super::Driver;
use super::file::OpenFile;
use super::ops::Purpose;
use crate::backend::Backend;
use crate::command::OpenCommand;
use crate::error::Errno;
use crate::event::EventKind;
use crate::fd::{DRIVER, Interest, OpenState, Slot};
use crate::mode_status::ModeStatus;
use crate::op::{FileFacts, FileId, Op, OpenSpec, OpenToken, Outcome};
use crate::plan::Ticket;
use crate::stats::NameState;
use crate::trace;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::fd::AsRawFd;
use std::sync::Arc;

/// An empty table of opens keeps at most this capacity.
const MAX_IDLE_CAPACITY: usize = 256;

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
    /// Until it is submitted.
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
        let OpenCommand {
            fd,
            spec,
            may_read,
            prefetch,
            wakers,
            user_data,
        } = command;
        let index = fd.index() as usize;
        if self.files.len() <= index {
            self.files.resize_with(index + 1, || None);
        }
        let mut file = OpenFile::new(fd, &spec, may_read, &self.limits);
        file.wakers = wakers;
        file.user_data = user_data;
        if prefetch {
            if let Some(slot) = self.shared.table.get(fd.index()) {
                file.start_run(slot, (1, 0, 0), self.now);
            }
        }
        trace::opening(fd, &spec);
        let opening = Opening::new(self.precedence.next_ticket(), spec);
        let (path, has_effects) = (opening.path, opening.has_effects);
        self.openings.insert(fd.index(), Box::new(opening));
        self.files[index] = Some(Box::new(file));
        self.live += 1;
        if self.precedence.enter(path, fd.index(), has_effects) {
            self.submit_open(fd.index());
        }
        if self.deadline.is_some() {
            self.close_for_shutdown(fd);
        }
    }

    fn submit_open(&mut self, index: u32) {
        let Some(opening) = self.openings.get_mut(&index) else {
            return;
        };
        let Some(mut spec) = opening.spec.take() else {
            return;
        };
        if opening.truncates {
            let (truncation, ticket) = self.precedence.truncation();
            spec.truncation = truncation;
            opening.at_kernel = Some(ticket);
        }
        self.submit(index, Purpose::Open, Op::Open(spec));
    }

    /// Resumes the opens that waited and are released.
    pub(super) fn resume_opens(&mut self) {
        while let Some(index) = self.precedence.next_released(self.now) {
            self.submit_open(index);
            self.with_file(index, |driver, slot, file| {
                driver.try_serve(slot, file);
                driver.drive(slot, file);
            });
        }
    }

    /// Handles the completion of an open.
    pub(super) fn on_open(
        &mut self,
        slot: &Slot,
        file: &mut OpenFile<B::File>,
        outcome: Outcome<B::File>,
    ) {
        let index = file.fd.index();
        let outcome = match outcome {
            Outcome::NotYet(spec) => {
                if self.retry_open(file, spec) {
                    return;
                }
                Outcome::Failed(Errno(libc::EBUSY))
            }
            outcome => outcome,
        };
        let Some(opening) = self.openings.get_mut(&index) else {
            unreachable!("it was about to be opened")
        };
        if opening.has_effects {
            self.precedence.handle_answered(opening.path);
        }
        let (kernel, facts) = match outcome {
            Outcome::Opened(kernel, facts) => (Arc::new(kernel), facts),
            Outcome::Failed(errno) => {
                if opening.at_kernel.is_some() {
                    self.precedence.truncation_answered();
                }
                if let Some(ticket) = opening.closed {
                    self.precedence.handle_identified(ticket);
                }
                return self.on_open_error(slot, file, errno);
            }
            Outcome::Done(_) | Outcome::Synced(_) | Outcome::NotYet(_) => {
                unreachable!("an open gives a file or an error")
            }
        };
        let id = B::id(&kernel);
        // Bytes that were due before it may have made the file longer since.
        let at_kernel = opening.at_kernel;
        let has_grown = at_kernel.is_some_and(|at| self.precedence.may_have_grown(id, at));
        let truncation_due =
            facts.truncation_due && !opening.is_cancelled() && (facts.size > 0 || has_grown);
        if at_kernel.is_some() {
            self.precedence.truncation_answered();
        }
        if truncation_due {
            self.precedence.add_due(id, index, opening.ticket);
        }
        let closed = opening.closed;
        opening.arrival = Some(Arrival {
            kernel,
            facts,
            id,
            truncation_due,
        });
        file.life.has_due |= truncation_due;
        if let Some(ticket) = closed {
            self.add_due_bytes(slot, file, id, ticket);
            self.precedence.handle_identified(ticket);
        }
        self.try_serve(slot, file);
    }

    /// Makes later opens of a file that was closed at `ticket` wait until its bytes are written. A
    /// truncation that is due makes them wait already.
    fn add_due_bytes(
        &mut self,
        slot: &Slot,
        file: &mut OpenFile<B::File>,
        id: FileId,
        ticket: Ticket,
    ) {
        if !file.life.has_due && !file.is_written(slot.marks.accepted()) {
            file.life.has_due = true;
            self.precedence.add_due(id, file.fd.index(), ticket);
        }
    }

    /// Handles a close: opens from now on wait until what is due in the file is written.
    pub(super) fn on_close(&mut self, slot: &Slot, file: &mut OpenFile<B::File>) {
        let ticket = self.precedence.next_ticket();
        let Some(opening) = self.openings.get_mut(&file.fd.index()) else {
            if let Some(id) = file.kernel.as_ref().map(|kernel| B::id(kernel)) {
                self.add_due_bytes(slot, file, id, ticket);
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
                    self.settle(file, id);
                }
                self.add_due_bytes(slot, file, id, ticket);
            }
            None if is_cancelled => {}
            None => {
                let has_bytes = slot.marks.accepted() > 0;
                if has_bytes && !opening.has_effects {
                    opening.has_effects = true;
                    let (path, index) = (opening.path, file.fd.index());
                    self.precedence.add_effects(path, index);
                }
                if opening.truncates || has_bytes {
                    self.precedence.handle_closed_unidentified(ticket, self.now);
                }
            }
        }
    }

    fn settle(&mut self, file: &mut OpenFile<B::File>, id: FileId) {
        file.life.has_due = false;
        self.precedence.settle(id, file.fd.index());
    }

    /// Releases the opens that wait for a closed file, once all of it is written or lost.
    pub(super) fn settle_written(&mut self, slot: &Slot, file: &mut OpenFile<B::File>) {
        if !file.life.has_due || !file.is_written(slot.marks.accepted()) {
            return;
        }
        if let Some(id) = file.kernel.as_ref().map(|kernel| B::id(kernel)) {
            self.settle(file, id);
        }
    }

    /// Attempts to serve a file that the kernel has opened, unless it has to wait for another one.
    pub(super) fn try_serve(&mut self, slot: &Slot, file: &mut OpenFile<B::File>) {
        let index = file.fd.index();
        let Some(opening) = self.openings.get_mut(&index) else {
            return;
        };
        let Some(arrival) = &mut opening.arrival else {
            return;
        };
        let (id, ticket) = (arrival.id, opening.ticket);
        if self.precedence.is_behind(id, index, ticket, self.now) {
            return self.precedence.hold(id, index, ticket);
        }
        if arrival.truncation_due {
            let token = opening.token.as_ref();
            if token.is_none_or(|open| open.claim()) {
                let op = Op::Empty {
                    file: Arc::clone(&arrival.kernel),
                };
                file.busy += 1;
                return self.submit(index, Purpose::Empty, op);
            }
        }
        self.serve(slot, file);
    }

    /// Handles the completion of the truncation for an open.
    pub(super) fn on_empty(
        &mut self,
        slot: &Slot,
        file: &mut OpenFile<B::File>,
        outcome: Outcome<B::File>,
    ) {
        let opening = self.openings.get_mut(&file.fd.index());
        let Some(arrival) = opening.and_then(|opening| opening.arrival.as_mut()) else {
            unreachable!("it is not served before")
        };
        match outcome {
            // Retried after the pause.
            Outcome::Failed(errno) if errno.is_transient() => {}
            Outcome::Failed(errno) => {
                let id = arrival.id;
                let opening = self.take_opening(file);
                let arrival = opening.and_then(|opening| opening.arrival);
                let kernel = arrival.and_then(|arrival| Arc::into_inner(arrival.kernel));
                self.settle(file, id);
                if let Some(kernel) = kernel {
                    file.busy += 1;
                    self.submit(file.fd.index(), Purpose::Discard, Op::Close(kernel));
                }
                self.on_open_error(slot, file, errno);
            }
            _ => {
                arrival.facts.size = 0;
                self.serve(slot, file);
            }
        }
    }

    /// Starts to serve the file.
    fn serve(&mut self, slot: &Slot, file: &mut OpenFile<B::File>) {
        let Some(opening) = self.take_opening(file) else {
            return;
        };
        let Some(Arrival {
            kernel, facts, id, ..
        }) = opening.arrival
        else {
            unreachable!("the kernel has opened it")
        };
        if file.life.has_due && opening.closed.is_none() {
            self.settle(file, id);
        }
        let fell_back = u64::from(facts.fell_back);
        self.shared.counters.fallbacks.add(fell_back);
        slot.count(fell_back, |stats| &mut stats.fallbacks);
        let mut status = ModeStatus::at_open(file.io_mode(), file.appends(), facts.dio_align);
        status.on_workers = facts.on_workers;
        let on_workers = u64::from(facts.on_workers);
        self.shared.counters.opened_on_workers.add(on_workers);
        slot.set_mode_status(status);
        self.shared.counters.opened(status.mode);
        if facts.is_new {
            slot.set_name(NameState::Pending);
        }
        trace::opened(file.fd, &facts);
        file.on_opened(kernel, facts);
        if let Some(kernel) = file.kernel_to_read() {
            let kernel = B::read_now(kernel);
            let mut caller = slot.caller.acquire(DRIVER);
            if caller.generation == file.fd.generation() {
                caller.kernel = kernel;
                caller.reads_now = file.io_caps.reads_cached();
            }
        }
        slot.set_open_state(OpenState::Open);
        self.emit(file, EventKind::Opened);
        self.notify(slot, file, Interest::OPENED, None);
    }

    /// Removes the pending open: the file is served now, or never. Releases the capacity of a burst
    /// of opens.
    fn take_opening(&mut self, file: &OpenFile<B::File>) -> Option<Box<Opening<B::File>>> {
        let opening = self.openings.remove(&file.fd.index());
        if self.openings.is_empty() && self.openings.capacity() > MAX_IDLE_CAPACITY {
            self.openings = HashMap::new();
        }
        opening
    }

    /// Fails a file that the kernel did not open.
    fn on_open_error(&mut self, slot: &Slot, file: &mut OpenFile<B::File>, errno: Errno) {
        self.take_opening(file);
        let errno = errno.as_failure();
        let mut failure = file.write().handle_open_error(errno);
        file.life.handle_open_error(errno);
        self.fail(slot, file, &mut failure);
        slot.set_open_state(OpenState::Refused);
        trace::failed(file.fd, &failure);
        self.emit(file, EventKind::Failed(failure));
        self.on_failure_emitted(file);
        self.notify_all(slot, file);
        self.answer_sizes(slot, file);
    }
}
