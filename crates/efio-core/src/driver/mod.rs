//! The driver: one thread, one loop, one step of which is [`Driver::turn`].
//!
//! ```text
//!  inbox of requests ─┐
//!  interval timers ───┼─► the file's plans ──► ops ──► backend
//!  completions ───────┘          │
//!                                └──────────► events
//! ```
//!
//! A turn never blocks and reads no clock: the time is an argument, `now`, so that a simulation can
//! drive it with a disk and a time of its own.
//!
//! | type | what it is | its methods |
//! |---|---|---|
//! | [`Driver`] | the files, and beside them their IO | what concerns several files |
//! | [`Io`] | backend, ops, waiting lists, notifications | what concerns no file |
//! | [`Driven`] | a file, its slot and the `Io`, borrowed for a step | what concerns one file |
//! | [`OpenFile`] | the plans of a file, without IO | inputs and outputs |

mod complete;
mod driven;
mod file;
mod files;
mod incoming;
mod io;
mod lists;
mod losses;
mod memory_waiters;
mod notify;
mod opens;
mod ops;
mod outgoing;
mod positional;
mod reclaim;
mod retry;
mod shutdown;
mod size;

use crate::backend::Backend;
use crate::command::Command;
use crate::current::CurrentDriver;
use crate::event::{Callback, Outbox};
use crate::fd::{Fd, Requests, Slot};
use crate::op::{Completion, Request};
use crate::plan::Precedence;
use crate::shared::Shared;
use crate::slot_map::SlotMap;
use crate::sys::signals::Mask;
use file::{Limits, OpenFile};
use files::Files;
use losses::Losses;
use memory_waiters::MemoryWaiters;
use ops::Purpose;
use reclaim::{HighWater, Readers};
use retry::Retries;
use size::Sizes;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// How long the driver polls the inbox after the last completion, while ops are in flight. A
/// deferrable request waits no longer than that.
const MAX_POLL: Duration = Duration::from_millis(2);

/// The driver of an engine over backend `B`.
pub struct Driver<B: Backend> {
    files: Files<B::File>,
    io: Io<B>,
}

/// What the driver has beside its files.
struct Io<B: Backend> {
    shared: Arc<Shared>,
    backend: B,
    limits: Limits,
    /// The ops in flight: of which file, and what for.
    ops: SlotMap<(Fd, Purpose)>,
    /// Requests that the backend had no room for.
    backlog: VecDeque<Request<B::File>>,
    sizes: Sizes,
    /// The order of opens and closes.
    precedence: Precedence,
    losses: Losses,
    /// When to flush which file, in order: the interval is the same for all.
    timers: VecDeque<(Duration, Fd)>,
    retries: Retries,
    /// Files that wait for memory.
    memory_waiters: MemoryWaiters,
    /// Files with pages that were read ahead.
    readers: Readers,
    high_water: HighWater,
    /// Kept for its memory.
    completions: Vec<Completion<B::File>>,
    /// When an op completed last.
    last_completion: Duration,
    outbox: Outbox,
    now: Duration,
    /// Set by a shutdown: when to stop waiting for files to close.
    deadline: Option<Duration>,
}

/// A file, and what a step of it borrows with it.
struct Driven<'a, B: Backend> {
    io: &'a mut Io<B>,
    slot: &'a Slot,
    file: &'a mut OpenFile<B::File>,
}

impl<B: Backend> Driver<B> {
    /// Creates a driver with no files.
    pub fn new(shared: Arc<Shared>, backend: B) -> Self {
        Self {
            files: Files::new(Arc::clone(&shared)),
            io: Io::new(shared, backend),
        }
    }

    /// Delivers events to `callback` instead of the queue from now on.
    pub fn on_event(&mut self, callback: Callback) {
        self.io.outbox = Outbox::for_callback(callback);
    }

    /// Sets the signal mask of the thread while the callback runs.
    pub fn set_callback_mask(&mut self, mask: Mask) {
        self.io.outbox.mask = Some(mask);
    }

    /// Runs one step: drains the inbox, reaps completions, submits ops, and runs the callback for
    /// the events of the turn. `now` is the time since some fixed moment. Returns whether there may
    /// be more to do at once.
    pub fn turn(&mut self, now: Duration) -> bool {
        let shared = Arc::clone(&self.io.shared);
        let _driving = CurrentDriver::of(&shared);
        self.io.now = now;
        shared.counters.driver.turns.add(1);
        let had_updates = self.drain_inbox();
        while let Some(fd) = self.io.poll_timer() {
            self.with_file(fd, |driven| driven.on_timer());
        }
        while let Some(fd) = self.io.retries.poll_resumed(now) {
            self.with_file(fd, |driven| driven.resume());
        }
        let reaped = self.reap();
        if reaped {
            self.io.last_completion = now;
        }
        self.resume_opens();
        self.io.submit_backlog();
        if self.files.live() > 0 {
            shared.pool.keep_ready();
        }
        self.reclaim();
        self.grant_memory();
        self.io.release_slabs();
        self.io.flush_outbox();
        had_updates || reaped
    }

    /// Blocks until the doorbell rings, an op completes or a timer is due.
    ///
    /// | ops in flight | last completion | the driver | a deferrable request |
    /// |---|---|---|---|
    /// | none | any | sleeps until the next timer | rings the doorbell |
    /// | some | under 2 ms ago | wakes by itself before the 2 ms are over | rings nothing |
    /// | some | 2 ms ago or more: the disk is slow | sleeps until the next timer | rings |
    ///
    /// A request that is not deferrable rings in any case.
    pub fn wait(&mut self) {
        if self.watch_memory() {
            self.io.sleep();
        }
        self.unwatch_memory();
    }

    /// Returns the backend.
    pub fn backend_mut(&mut self) -> &mut B {
        &mut self.io.backend
    }

    fn drain_inbox(&mut self) -> bool {
        let mut had_updates = false;
        while let Some(command) = self.io.shared.inbox.pop() {
            had_updates = true;
            match command {
                Command::Requests(index) => self.handle_requests(index),
                Command::AllRequests => self.handle_all_requests(),
                Command::Open(command) => self.open(*command),
                Command::NotifyClosed(fd, sender) => {
                    self.with_file(fd, |driven| *driven.file.close_sender() = sender);
                }
                Command::Size(asked) => self.ask_size(asked),
                Command::Shutdown(timeout) => self.begin_shutdown(timeout),
            }
        }
        had_updates
    }

    /// Handles the requests of every file: there was no memory to queue which file has any.
    fn handle_all_requests(&mut self) {
        let shared = Arc::clone(&self.io.shared);
        let slots = (0..).map_while(|index| Some((index, shared.table.get(index)?)));
        for (index, slot) in slots {
            if slot.has_requests() {
                self.handle_requests(index);
            }
        }
    }

    /// Handles the requests of the file at `index`.
    fn handle_requests(&mut self, index: u32) {
        // The bits of a file that was closed may belong to the next file in the slot already.
        let Some((fd, slot)) = self.files.at(index) else {
            return;
        };
        let bits = slot.take_requests();
        if bits.intersects(Requests::WANT_ROOM.union(Requests::WANT_SHARE)) {
            self.reclaim_for_writer(fd);
        }
        self.with_file(fd, |driven| driven.handle_requests(bits));
    }

    /// Runs `act` with the file, if it is open, and returns its result.
    fn with_file<R>(&mut self, fd: Fd, act: impl FnOnce(&mut Driven<'_, B>) -> R) -> Option<R> {
        let (slot, file) = self.files.get_mut(fd)?;
        let io = &mut self.io;
        let mut driven = Driven { io, slot, file };
        let result = act(&mut driven);
        if driven.file.life().is_closed() {
            self.files.remove(fd);
        }
        if let Some(reader) = self.io.readers.short.take() {
            self.reclaim_for_reader(reader);
        }
        Some(result)
    }
}
