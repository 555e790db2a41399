//! What becomes of the engine's events.
//!
//! ```text
//!                    ┌─ descriptors: opened, closed with an error or without
//!  driver ─► tell ───┼─ changes: for calls that wait, as `ef_close_immediate` does
//!                    ├─ caller: the function of `ef_set_cb_func`, for open, read and close
//!                    └─ news: the queue of `ef_next_event`, if anybody ever asked for it
//! ```
//!
//! A program that only polls takes no events, so none are kept for it.

use crate::callback::Caller;
use crate::descriptors::{DESCRIPTORS, Descriptor};
use crate::event::{Operation, Pending, QueuedEvent, queued_event};
use crate::ffi::error;
use efio_core::model::SignalledQueue;
use efio_core::{Errno, Event, EventKind, Fd, ShutdownReport};
use efio_sync::EventFd;
use std::collections::{HashMap, HashSet};
use std::ffi::c_int;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// A file that is open.
struct OpenEntry {
    number: u32,
    /// Who waits for its close.
    closing: Option<Arc<Closing>>,
}

/// A close that somebody waits for.
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

/// See the module. It belongs to one engine.
pub struct Dispatch {
    /// The files that are open, and their numbers. A lock is held over each open, so that the first
    /// event of a file finds its number.
    files: Mutex<HashMap<Fd, OpenEntry>>,
    queue: SignalledQueue<QueuedEvent, EventFd>,
    /// Positional reads and writes under way, by the engine's tokens.
    pending: Mutex<HashMap<u64, Pending>>,
    next_token: AtomicU64,
    /// Files of whose failure the program has heard.
    heard: Mutex<HashSet<Fd>>,
    /// Somebody takes the news.
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
    /// What the kernel says to an eventfd.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            files: Mutex::default(),
            queue: SignalledQueue::new(EventFd::new()?),
            pending: Mutex::default(),
            next_token: AtomicU64::new(0),
            heard: Mutex::default(),
            is_watched: AtomicBool::new(false),
            caller: Caller::new(),
            changes: Mutex::default(),
            changed: Condvar::new(),
        })
    }

    fn files(&self) -> MutexGuard<'_, HashMap<Fd, OpenEntry>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens a file and gives it a number, of which there are `limit`.
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

    /// Closes a file with `close` and waits until the news of it is everywhere; its first error.
    pub fn close_and_wait(&self, fd: Fd, close: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        let closing = Arc::new(Closing::default());
        match self.files().get_mut(&fd) {
            Some(holding) => holding.closing = Some(Arc::clone(&closing)),
            None => return Err(error(libc::EBADF)),
        }
        match close() {
            // Closed by a forked child's parent, or not at all: there is nothing to wait for.
            Err(error) if matches!(error.raw_os_error(), Some(libc::EBADF | libc::ESHUTDOWN)) => {
                return Err(error);
            }
            // An error of the file that is known already comes again.
            _ => {}
        }
        let result = closing.wait();
        if result.is_err() {
            self.heard_of(fd);
        }
        self.caller.settle();
        result.map_err(io::Error::from)
    }

    /// An event of the engine; its driver calls this.
    pub fn handle_event(&self, event: Event) {
        let holding = match event.kind {
            EventKind::Closed { .. } => self.files().remove(&event.fd),
            _ => self.files().get(&event.fd).map(|holding| OpenEntry {
                number: holding.number,
                closing: None,
            }),
        };
        let Some(OpenEntry { number, closing }) = holding else {
            return;
        };
        let Ok(descriptor) = DESCRIPTORS.get(number as c_int) else {
            return;
        };
        self.update(number as c_int, descriptor, &event.kind);
        let closed = match event.kind {
            EventKind::Closed { error } => Some(error.map_or(Ok(()), Err)),
            _ => None,
        };
        // Relaxed: see `watch`.
        if self.is_watched.load(Ordering::Relaxed) {
            let pending = |token| self.pending().remove(&token);
            self.queue
                .push(queued_event(number as c_int, event.kind, pending));
        }
        if let Some(result) = closed {
            DESCRIPTORS.give_back(number);
            if let Some(closing) = closing {
                closing.finish(result);
            }
        }
    }

    /// Brings descriptor, waiting calls and callback up to date.
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
            EventKind::Closed { error } => {
                let is_news = descriptor.close_done(error.map_or(Ok(()), Err));
                self.change();
                if is_news {
                    self.caller.enqueue(number, Operation::Close as c_int);
                }
            }
            _ => {}
        }
    }

    /// The program was told that the file has failed.
    pub fn heard_of(&self, fd: Fd) {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.insert(fd);
    }

    /// Leaves in the report what the program has not heard of.
    pub fn strike_out(&self, report: &mut ShutdownReport) {
        let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        report.unfinished.retain(|(fd, _)| !heard.contains(fd));
        report.failed.retain(|(fd, _)| !heard.contains(fd));
    }

    fn change(&self) {
        *self.changes.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.changed.notify_all();
    }

    /// Calls `attempt` until it gives something, each time that a file was closed, failed or got
    /// room in between.
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

    /// Has `start` begin a positional read or write under the token that it is given. Its
    /// completion is news.
    pub fn begin_at(
        &self,
        pending: Pending,
        start: impl FnOnce(u64) -> io::Result<()>,
    ) -> io::Result<()> {
        self.watch();
        // Relaxed: any number that nobody else has will do.
        let token = self.next_token.fetch_add(1, Ordering::Relaxed);
        self.pending().insert(token, pending);
        start(token).inspect_err(|_| {
            self.pending().remove(&token);
        })
    }

    /// The descriptor that can be read while news waits. From now on there is news.
    pub fn watch(&self) -> RawFd {
        // Relaxed: which events are the first to be kept is nobody's business.
        self.is_watched.store(true, Ordering::Relaxed);
        self.queue.signal().as_raw_fd()
    }

    /// The oldest news.
    pub fn next(&self) -> Option<QueuedEvent> {
        self.watch();
        self.queue.next()
    }
}
