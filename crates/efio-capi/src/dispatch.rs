//! Dispatch of the engine's events.
//!
//! ```text
//!                            ┌─ closes: for ef_close_status and ef_close_immediate
//!  driver ─► handle_event ───┼─ caller: the function of ef_set_cb_func, for open, read and close
//!                            └─ queue: for ef_next_event, once the program has asked for it
//! ```
//!
//! A program that only polls takes no events, so none are kept for it.

use crate::callback::Caller;
use crate::closes::Closes;
use crate::event::{self, Operation, Pending};
use crate::numbers::Numbers;
use efio_core::{Event, EventKind, EventQueue, Fd};
use std::collections::{HashMap, HashSet};
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// See the module. Each engine has its own.
pub struct Dispatch {
    numbers: Numbers,
    /// Files that the kernel has opened and not closed yet. Only the driver's thread uses it.
    opened: Mutex<HashSet<Fd>>,
    /// The closes.
    pub closes: Closes,
    /// The thread for callbacks.
    pub caller: Caller,
    queue: EventQueue,
    /// The program takes events.
    is_watched: AtomicBool,
    /// Positional reads and writes in flight, by the engine's tokens.
    pending: Mutex<HashMap<u64, Pending>>,
    next_token: AtomicU64,
}

impl Dispatch {
    /// For a new engine of at most `max_files` files.
    ///
    /// # Errors
    ///
    /// Those of [`EventQueue::new`].
    pub fn new(numbers: Numbers, max_files: u32) -> io::Result<Self> {
        Ok(Self {
            numbers,
            opened: Mutex::default(),
            // All files may be closed before the program asks for the first result.
            closes: Closes::new(max_files as usize),
            caller: Caller::new(),
            queue: EventQueue::new()?,
            is_watched: AtomicBool::new(false),
            pending: Mutex::default(),
            next_token: AtomicU64::new(0),
        })
    }

    fn opened(&self) -> MutexGuard<'_, HashSet<Fd>> {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Handles an event of the engine, on its driver's thread.
    pub fn handle_event(&self, event: Event) {
        let number = self.numbers.number(event.fd);
        let call = |operation: Operation| self.caller.enqueue(number, operation);
        match event.kind {
            EventKind::Opened => {
                self.opened().insert(event.fd);
                call(Operation::Open);
            }
            EventKind::Readable => call(Operation::Read),
            // The failure of a file that was never opened is that of its open.
            EventKind::Failed(_) if !self.opened().contains(&event.fd) => call(Operation::Open),
            EventKind::Closed { result } => {
                self.opened().remove(&event.fd);
                self.closes.finish(number, event.fd, result, |is_called| {
                    if is_called {
                        call(Operation::Close);
                    }
                    self.keep(event);
                });
                return;
            }
            _ => {}
        }
        self.keep(event);
    }

    fn keep(&self, event: Event) {
        // Relaxed: see `watch`.
        if self.is_watched.load(Ordering::Relaxed) {
            self.queue.push(event);
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
        self.queue.as_raw_fd()
    }

    /// Takes the oldest event, and delivers the bytes of an `ef_read_at`.
    pub fn next(&self) -> Option<event::Event> {
        self.watch();
        let event = self.queue.try_next()?;
        let number = self.numbers.number(event.fd);
        let pending = |token| self.pending().remove(&token);
        Some(event::Event::new(number, event, pending))
    }
}
