//! Whole lines from many threads: decides what happens to a line that finds no room, which thread
//! waits, and until when. [`State`] writes the bytes.

use super::WhenBehind;
use super::state::State;
use crate::current::is_driver_thread;
use crate::error::Errno;
use crate::event::Event;
use crate::options::OpenOptions;
use crate::shared::Shared;
use crate::sys::fork::ForkGuard;
use efio_sync::shim::deadline::Deadline;
use std::io::{self, ErrorKind};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

/// The state that the writers, the guard and the engine's thread share.
pub struct Log {
    state: Mutex<State>,
    /// Notified when the state has changed: room, an error, the end.
    changed: Condvar,
    when_behind: WhenBehind,
    fork_guard: ForkGuard,
    /// To refuse to wait on the engine's own thread.
    shared: OnceLock<Arc<Shared>>,
}

impl Log {
    pub fn new(when_behind: WhenBehind) -> io::Result<Self> {
        Ok(Self {
            state: Mutex::default(),
            changed: Condvar::new(),
            when_behind,
            fork_guard: ForkGuard::here()?,
            shared: OnceLock::new(),
        })
    }

    /// Fails in a forked child (F68): the log belongs to the parent, and a thread that does not
    /// exist in the child may have held the lock.
    pub fn check_process(&self) -> Result<(), Errno> {
        if self.fork_guard.is_child() {
            return Err(Errno(libc::ESHUTDOWN));
        }
        Ok(())
    }

    /// Opens the file, and waits for the open.
    pub fn begin(
        &self,
        shared: &Arc<Shared>,
        path: PathBuf,
        options: OpenOptions,
        timeout: Duration,
    ) -> io::Result<()> {
        let _ = self.shared.set(Arc::clone(shared));
        self.lock().begin(shared, path, options)?;
        self.wait_for_open(timeout)
    }

    pub fn lock(&self) -> MutexGuard<'_, State> {
        // A thread that panicked did so between two changes, each of which is complete.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Handles an event of the engine, on its thread.
    pub fn handle_event(&self, event: &Event) {
        self.lock().handle_event(event);
        self.changed.notify_all();
    }

    /// Accepts a line, whole or not at all.
    pub fn write(&self, line: &[u8]) -> io::Result<usize> {
        self.check_process()?;
        let mut state = self.lock();
        let mut deadline = None;
        loop {
            match state.put(line) {
                Ok(()) => return Ok(line.len()),
                Err(error) if error.kind() != ErrorKind::WouldBlock => {
                    if self.when_behind != WhenBehind::Refuse {
                        state.drop_line(line, error.raw_os_error());
                    }
                    return Err(error);
                }
                Err(full) => match self.when_behind {
                    WhenBehind::Refuse => return Err(full),
                    WhenBehind::Drop => {
                        state.drop_line(line, None);
                        return Ok(line.len());
                    }
                    WhenBehind::Block(timeout) => {
                        let deadline = *deadline.get_or_insert_with(|| Deadline::after(timeout));
                        state = match self.wait(state, deadline) {
                            Ok(state) => state,
                            Err(error) => {
                                self.lock().drop_line(line, None);
                                return Err(error);
                            }
                        };
                    }
                },
            }
        }
    }

    /// Waits until the state changes, or it is time to open the path again; `TimedOut` when the
    /// deadline has passed.
    fn wait<'a>(
        &'a self,
        state: MutexGuard<'a, State>,
        deadline: Deadline,
    ) -> io::Result<MutexGuard<'a, State>> {
        if self
            .shared
            .get()
            .is_some_and(|shared| is_driver_thread(shared))
        {
            return Err(Errno(libc::EDEADLK).into());
        }
        let left = deadline.left();
        if left.is_some_and(|left| left.is_zero()) {
            return Err(ErrorKind::TimedOut.into());
        }
        let retry = state.next_retry();
        let state = match left.into_iter().chain(retry).min() {
            None => self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner),
            Some(left) => {
                let woken = self.changed.wait_timeout(state, left);
                woken.unwrap_or_else(PoisonError::into_inner).0
            }
        };
        Ok(state)
    }

    /// Waits until the kernel has all lines that were accepted before, whatever others log
    /// meanwhile.
    pub fn flush(&self, timeout: Duration) -> io::Result<()> {
        self.check_process()?;
        let deadline = Deadline::after(timeout);
        let mut state = self.lock();
        let mark = state.taken();
        while !state.is_written(mark)? {
            state = self.wait(state, deadline)?;
        }
        Ok(())
    }

    /// Opens the path anew. Later lines go to the new file, and those accepted before to the file
    /// that was open.
    pub fn reopen(&self, timeout: Duration) -> io::Result<()> {
        self.check_process()?;
        self.lock().open_anew()?;
        self.wait_for_open(timeout)
    }

    fn wait_for_open(&self, timeout: Duration) -> io::Result<()> {
        let deadline = Deadline::after(timeout);
        let mut state = self.lock();
        while state.is_opening() {
            state = self.wait(state, deadline)?;
        }
        state
            .take_open_error()
            .map_or(Ok(()), |errno| Err(errno.into()))
    }

    /// Ends the log: refuses all later lines, and waits until the accepted ones are durable.
    pub fn close(&self, timeout: Duration) -> io::Result<()> {
        self.check_process()?;
        let deadline = Deadline::after(timeout);
        let mut state = self.lock();
        state.stop_taking();
        loop {
            match state.is_durable() {
                Ok(true) => break,
                Ok(false) => {}
                Err(error) => {
                    state.give_up();
                    return Err(error);
                }
            }
            state = self
                .wait(state, deadline)
                .inspect_err(|_| self.lock().give_up())?;
        }
        state.end()
    }
}
