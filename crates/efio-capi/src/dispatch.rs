//! Dispatch of the engine's events.
//!
//! ```text
//!                            ┌─ descriptors: opened, closed with an error or without
//!  driver ─► handle_event ───┼─ changes: for calls that wait, as `ef_close_immediate` does
//!                            ├─ caller: the function of `ef_set_cb_func`, for open, read and close
//!                            └─ queue: for `ef_next_event`, once the program has asked for it
//! ```
//!
//! A program that only polls takes no events, so none are kept for it.

use crate::callback::Caller;
use crate::descriptors::{DESCRIPTORS, Descriptor};
use crate::event::{Operation, Pending, QueuedEvent, queued_event};
use crate::event_queue::EventQueue;
use crate::ffi::error;
use efio_core::{Errno, Event, EventKind, Fd, ShutdownReport};
use std::collections::{HashMap, HashSet};
use std::ffi::c_int;
use std::io;
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// An open file.
struct OpenEntry {
    number: u32,
    /// The call that waits for its close.
    closing: Option<Arc<Closing>>,
}

/// A close that a call waits for.
#[derive(Default)]
struct Closing {
    result: Mutex<Option<Result<(), Errno>>>,
    done: Condvar,
}

impl Closing {
    fn lock(&self) -> MutexGuard<'_, Option<Result<(), Errno>>> {
        self.result.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn finish(&self, result: Result<(), Errno>) {
        *self.lock() = Some(result);
        self.done.notify_all();
    }

    fn wait(&self) -> Result<(), Errno> {
        let mut result = self.lock();
        loop {
            match *result {
                Some(result) => return result,
                None => {
                    result = self
                        .done
                        .wait(result)
                        .unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }
}

/// See the module. Each engine has its own.
pub struct Dispatch {
    /// The open files and their numbers. The lock is held during each open, so that the first event
    /// of a file finds its number.
    files: Mutex<HashMap<Fd, OpenEntry>>,
    queue: EventQueue<QueuedEvent>,
    /// Positional reads and writes in flight, by the engine's tokens.
    pending: Mutex<HashMap<u64, Pending>>,
    next_token: AtomicU64,
    /// Files whose failure was reported to the program.
    reported: Mutex<HashSet<Fd>>,
    /// The program takes events.
    is_watched: AtomicBool,
    /// The thread for callbacks.
    pub caller: Caller,
    changes: Mutex<u64>,
    changed: Condvar,
}

impl Dispatch {
    /// For a new engine.
    ///
    /// # Errors
    ///
    /// Those of eventfd(2).
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            files: Mutex::default(),
            queue: EventQueue::new()?,
            pending: Mutex::default(),
            next_token: AtomicU64::new(0),
            reported: Mutex::default(),
            is_watched: AtomicBool::new(false),
            caller: Caller::new(),
            changes: Mutex::default(),
            changed: Condvar::new(),
        })
    }

    fn files(&self) -> MutexGuard<'_, HashMap<Fd, OpenEntry>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens a file with `open` and gives it one of `limit` numbers.
    ///
    /// # Errors
    ///
    /// Those of `open`; `EMFILE` when all numbers are in use.
    pub fn register(
        &self,
        limit: u32,
        writable: bool,
        open: impl FnOnce() -> io::Result<Fd>,
    ) -> io::Result<c_int> {
        let number = DESCRIPTORS.take(limit)?;
        let mut files = self.files();
        let fd = match open() {
            Ok(fd) => fd,
            Err(error) => {
                DESCRIPTORS.give_back(number);
                return Err(error);
            }
        };
        let number_of_c = number as c_int;
        DESCRIPTORS.get(number_of_c)?.begin(fd, writable);
        let closing = None;
        files.insert(fd, OpenEntry { number, closing });
        Ok(number_of_c)
    }

    /// Closes a file with `close`, waits until that is done and the callback was called, and
    /// returns the first error of the file.
    pub fn close_and_wait(&self, fd: Fd, close: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        let closing = Arc::new(Closing::default());
        match self.files().get_mut(&fd) {
            Some(entry) => entry.closing = Some(Arc::clone(&closing)),
            None => return Err(error(libc::EBADF)),
        }
        match close() {
            // The engine has no such file, or is the parent's: no close is pending.
            Err(error) if matches!(error.raw_os_error(), Some(libc::EBADF | libc::ESHUTDOWN)) => {
                return Err(error);
            }
            // The error of a file that has failed before: its close is pending all the same.
            _ => {}
        }
        let result = closing.wait();
        if result.is_err() {
            self.mark_reported(fd);
        }
        self.caller.settle();
        result.map_err(io::Error::from)
    }

    /// Handles an event of the engine, on its driver's thread.
    pub fn handle_event(&self, event: Event) {
        let entry = match event.kind {
            EventKind::Closed { .. } => self.files().remove(&event.fd),
            _ => self.files().get(&event.fd).map(|entry| OpenEntry {
                number: entry.number,
                closing: None,
            }),
        };
        let Some(OpenEntry { number, closing }) = entry else {
            return;
        };
        let Ok(descriptor) = DESCRIPTORS.get(number as c_int) else {
            return;
        };
        self.update(number as c_int, descriptor, &event.kind);
        let closed = match event.kind {
            EventKind::Closed { result } => Some(result),
            _ => None,
        };
        // Relaxed: see `watch`.
        if self.is_watched.load(Ordering::Relaxed) {
            let pending = |token| self.pending().remove(&token);
            let event = queued_event(number as c_int, event.user_data, event.kind, pending);
            self.queue.push(event);
        }
        if let Some(result) = closed {
            DESCRIPTORS.give_back(number);
            if let Some(closing) = closing {
                closing.finish(result);
            }
        }
    }

    /// Updates the descriptor, wakes calls that wait, and queues a call of the callback.
    fn update(&self, number: c_int, descriptor: &Descriptor, kind: &EventKind) {
        match *kind {
            EventKind::Opened => {
                descriptor.opened();
                self.caller.enqueue(number, Operation::Open as c_int);
            }
            EventKind::Readable => self.caller.enqueue(number, Operation::Read as c_int),
            EventKind::Writable => self.change(),
            EventKind::Failed(_) => {
                self.change();
                if !descriptor.is_opened() {
                    self.caller.enqueue(number, Operation::Open as c_int);
                }
            }
            EventKind::Closed { result } => {
                let is_reported = descriptor.close_done(result);
                self.change();
                if is_reported {
                    self.caller.enqueue(number, Operation::Close as c_int);
                }
            }
            _ => {}
        }
    }

    fn reported(&self) -> MutexGuard<'_, HashSet<Fd>> {
        self.reported.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Marks the failure of the file as reported to the program.
    pub fn mark_reported(&self, fd: Fd) {
        self.reported().insert(fd);
    }

    /// Removes from the report of a shutdown what was reported to the program before.
    pub fn remove_reported(&self, report: &mut ShutdownReport) {
        let reported = self.reported();
        report.unfinished.retain(|(fd, _)| !reported.contains(fd));
        report.failed.retain(|(fd, _)| !reported.contains(fd));
    }

    fn change(&self) {
        *self.changes.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.changed.notify_all();
    }

    /// Calls `attempt` until it returns a result: at once, then each time that a file was closed,
    /// has failed or has room again.
    pub fn wait_for<R>(&self, mut attempt: impl FnMut() -> Option<R>) -> R {
        let count = || *self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let before = count();
            if let Some(result) = attempt() {
                return result;
            }
            let mut changes = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
            while *changes == before {
                changes = self
                    .changed
                    .wait(changes)
                    .unwrap_or_else(PoisonError::into_inner);
            }
        }
    }

    fn pending(&self) -> MutexGuard<'_, HashMap<u64, Pending>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Submits a positional read or write with `start`, which gets the engine's token for it. Its
    /// completion is queued as an event.
    pub fn begin_at(
        &self,
        pending: Pending,
        start: impl FnOnce(u64) -> io::Result<()>,
    ) -> io::Result<()> {
        self.watch();
        // Relaxed: any number that no other op has will do.
        let token = self.next_token.fetch_add(1, Ordering::Relaxed);
        self.pending().insert(token, pending);
        start(token).inspect_err(|_| {
            self.pending().remove(&token);
        })
    }

    /// Begins to keep events, if need be, and returns the descriptor of their queue, which is
    /// readable while events are available.
    pub fn watch(&self) -> RawFd {
        // Relaxed: it orders nothing. An event that is handled meanwhile may be kept or not.
        self.is_watched.store(true, Ordering::Relaxed);
        self.queue.descriptor()
    }

    /// Takes the oldest event.
    pub fn next(&self) -> Option<QueuedEvent> {
        self.watch();
        self.queue.next()
    }
}
