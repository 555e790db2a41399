//! Opens, from the call to the first op of the file: in the order that [`Precedence`] gives them.
//!
//! ```text
//!  open ─► (lane) ─► Op::Open ─► (held) ─► (Op::Empty) ─► served
//! ```
//!
//! What is in brackets happens only where another open of the path, or something that is owed to the
//! file, is in the way.

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

/// The room for so many opens stays.
const MAX_IDLE_CAPACITY: usize = 256;

/// A file that is not served yet.
pub struct Opening<F> {
    ticket: Ticket,
    /// Names its path.
    path: u64,
    has_effects: bool,
    truncates: bool,
    token: Option<Arc<OpenToken>>,
    /// Since when it is at the kernel, if it cuts off the file.
    at_kernel: Option<Ticket>,
    /// Until it goes to the backend.
    spec: Option<Box<OpenSpec>>,
    /// When it was closed, if it was.
    closed: Option<Ticket>,
    /// Once the kernel has opened it.
    arrival: Option<Arrival<F>>,
}

/// What the kernel opened.
struct Arrival<F> {
    kernel: Arc<F>,
    facts: FileFacts,
    id: FileId,
    /// It is still to be cut off.
    truncation_due: bool,
}

impl<F> Opening<F> {
    /// An open that was asked for at `turn`.
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

    /// Whether nobody wants the file any more, and nothing of it was cut off.
    fn is_cancelled(&self) -> bool {
        let token = self.token.as_ref();
        token.is_some_and(|open| open.is_cancelled())
    }
}

/// A number for the path of a file. Two paths with one number wait for each other without need.
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
        } = command;
        let index = fd.index() as usize;
        if self.files.len() <= index {
            self.files.resize_with(index + 1, || None);
        }
        let mut file = OpenFile::new(fd, &spec, may_read, &self.limits);
        file.wakers = wakers;
        if prefetch {
            if let Some(slot) = self.shared.table.get(fd.index()) {
                file.incoming().start(slot, 1, 0, 0);
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
        self.place_unmatched();
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

    /// Opens that waited and need not any more.
    pub(super) fn resume_opens(&mut self) {
        while let Some(index) = self.precedence.next_released(self.now) {
            self.submit_open(index);
            self.with_file(index, |driver, slot, file| {
                driver.try_serve(slot, file);
                driver.drive(slot, file);
            });
        }
    }

    /// The backend's answer to an open.
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
        // What was still to be written before it.
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

    /// Bytes of a file that was closed at `turn` keep later opens of it back until they are written;
    /// unless it is to be cut off first, which does so by itself.
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

    /// The file was closed: opens from now on are behind what it owes.
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

    /// Nothing is owed any more by a file that is closed, once all of it is written or lost.
    pub(super) fn settle_written(&mut self, slot: &Slot, file: &mut OpenFile<B::File>) {
        if !file.life.has_due || !file.is_written(slot.marks.accepted()) {
            return;
        }
        if let Some(id) = file.kernel.as_ref().map(|kernel| B::id(kernel)) {
            self.settle(file, id);
        }
    }

    /// The kernel has opened the file: it is served, unless it is behind another one.
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

    /// The file was cut off for its open.
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
            // After the pause that began.
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

    /// The file is there, as it was asked for.
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
                caller.reads_now = file.reads_cached();
            }
        }
        slot.set_open_state(OpenState::Open);
        self.emit(file, EventKind::Opened);
        self.notify(slot, file, Interest::OPENED, None);
    }

    /// The file is served now, or never. Many that were opened together leave no memory behind.
    fn take_opening(&mut self, file: &OpenFile<B::File>) -> Option<Box<Opening<B::File>>> {
        let opening = self.openings.remove(&file.fd.index());
        if self.openings.is_empty() && self.openings.capacity() > MAX_IDLE_CAPACITY {
            self.openings = HashMap::new();
        }
        opening
    }

    /// There is no such file for the caller.
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
