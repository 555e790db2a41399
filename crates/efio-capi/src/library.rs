//! The one engine of the process, and the access of calls to it.

use crate::callback::{SUBSCRIPTION, is_callback_thread};
use crate::closes::Closer;
use crate::dispatch::Dispatch;
use crate::ffi::error;
use crate::forked::ForkGuard;
use crate::numbers::Numbers;
use crate::options::Options;
use crate::rundown::{Rundown, RundownGuard};
use efio_core::{Engine, FileRef, ShutdownReport};
use std::ffi::c_int;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Duration;

static LIBRARY: Rundown<Library> = Rundown::new();
/// The options of the next engine. The lock is held while an engine starts and ends.
static LIFE: Mutex<Option<Options>> = Mutex::new(None);

/// At the fork another thread held `LIFE`, which nobody will release in this child.
static LIFE_IS_LOST: AtomicBool = AtomicBool::new(false);

/// In a forked child, before anything else runs there.
pub fn after_fork() {
    LIBRARY.reset_counters();
    if matches!(LIFE.try_lock(), Err(TryLockError::WouldBlock)) {
        LIFE_IS_LOST.store(true, Ordering::Relaxed);
    }
}

/// A running engine and the dispatch of its events.
pub struct Library {
    fork: ForkGuard,
    /// The engine.
    pub engine: Engine,
    /// The dispatch of its events.
    pub dispatch: Arc<Dispatch>,
    /// The numbers of its files.
    pub numbers: Numbers,
    durable_close: bool,
}

/// The running engine.
///
/// # Errors
///
/// `EBADF` before ef_init: no descriptor names a file then. `ESHUTDOWN` after ef_shutdown, and in
/// a forked child, which has no engine; before any lock is taken.
#[inline]
pub fn library() -> io::Result<RundownGuard<'static, Library>> {
    let library = LIBRARY.enter().ok_or_else(not_running)?;
    library.fork.check()?;
    Ok(library)
}

/// Whether an engine was shut down.
static ENDED: AtomicBool = AtomicBool::new(false);

#[cold]
fn not_running() -> io::Error {
    // Relaxed: it orders nothing. A thread to which the shutdown is known sees it.
    let ended = ENDED.load(Ordering::Relaxed);
    error(if ended { libc::ESHUTDOWN } else { libc::EBADF })
}

/// Fails with `ESHUTDOWN` where the running engine is that of the parent.
pub fn check_process() -> io::Result<()> {
    LIBRARY
        .enter()
        .map_or(Ok(()), |library| library.fork.check())
}

impl Library {
    fn start(options: &Options) -> io::Result<Self> {
        let numbers = Numbers::new(options.max_files());
        let dispatch = Arc::new(Dispatch::new(numbers, options.max_files())?);
        let of_driver = Arc::clone(&dispatch);
        let engine = options
            .builder()
            .keep_signals_blocked(true)
            // A failure counts as reported when a function has returned it, not when the dispatch
            // has handled it.
            .callback_reports_failures(false)
            .on_event(move |event| of_driver.handle_event(event))
            .start()
            .map_err(invalid)?;
        Ok(Self {
            fork: ForkGuard::new(),
            engine,
            dispatch,
            numbers,
            durable_close: options.durable_close(),
        })
    }

    /// Returns the open file of a number.
    ///
    /// # Errors
    ///
    /// `EBADF` for a number without one.
    #[inline]
    pub fn file(&self, number: c_int) -> io::Result<FileRef<'_>> {
        let fd = self.numbers.find(&self.engine, number);
        fd.map(|fd| self.engine.file(fd))
            .ok_or_else(|| error(libc::EBADF))
    }

    /// Closes the file of a number. Returns its error if it has failed before; it is closed all the
    /// same.
    ///
    /// # Errors
    ///
    /// `EBADF`: there is nothing to close.
    pub fn close(&self, number: c_int, closer: Closer) -> io::Result<io::Result<()>> {
        self.dispatch.closes.begin(number, closer, || {
            let file = self.file(number)?;
            Ok(if self.durable_close {
                file.close_sync()
            } else {
                file.close()
            })
        })
    }
}

/// Gives errors without an errno, which have a text in Rust, their number for C.
fn invalid(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::InvalidInput => crate::ffi::error(libc::EINVAL),
        io::ErrorKind::Unsupported => crate::ffi::error(libc::ENOTSUP),
        _ => error,
    }
}

/// Locks start and end.
///
/// # Errors
///
/// `EDEADLK` in a callback while another thread shuts the engine down and waits for the callback;
/// `ESHUTDOWN` in a forked child, see `forked.rs`.
fn life() -> io::Result<MutexGuard<'static, Option<Options>>> {
    check_process()?;
    if LIFE_IS_LOST.load(Ordering::Relaxed) {
        return Err(error(libc::ESHUTDOWN));
    }
    if !is_callback_thread() {
        return Ok(LIFE.lock().unwrap_or_else(PoisonError::into_inner));
    }
    match LIFE.try_lock() {
        Ok(guard) => Ok(guard),
        Err(TryLockError::Poisoned(poisoned)) => Ok(poisoned.into_inner()),
        Err(TryLockError::WouldBlock) => Err(error(libc::EDEADLK)),
    }
}

/// Sets an option of the next engine.
///
/// # Errors
///
/// `EBUSY` while an engine is running; those of [`Options::set`].
pub fn set_option(option: c_int, value: u64) -> io::Result<()> {
    let mut life = life()?;
    if LIBRARY.enter().is_some() {
        return Err(error(libc::EBUSY));
    }
    life.get_or_insert_with(Options::new).set(option, value)
}

/// Starts the engine unless it is running.
///
/// # Errors
///
/// `EINVAL` for an option out of range, `ENOTSUP` for a backend that is not available, `ESHUTDOWN`
/// in a forked child, `EDEADLK` as for [`life`]; those of the kernel for memory and threads.
pub fn start() -> io::Result<()> {
    let mut life = life()?;
    if LIBRARY.enter().is_some() {
        return Ok(());
    }
    let library = Library::start(life.get_or_insert_with(Options::new))?;
    if SUBSCRIPTION.is_wanted() {
        library.dispatch.caller.start()?;
    }
    LIBRARY.open(library);
    Ok(())
}

/// Writes what was accepted, ends the engine, and returns what was not written in time.
///
/// # Errors
///
/// `EBADF` when no engine is running; `EDEADLK` in a callback; `ESHUTDOWN` in a forked child.
pub fn stop(timeout: Duration) -> io::Result<ShutdownReport> {
    if is_callback_thread() {
        return Err(error(libc::EDEADLK));
    }
    let _life = life()?;
    check_process()?;
    let Some(library) = LIBRARY.close() else {
        return Err(error(libc::EBADF));
    };
    ENDED.store(true, Ordering::Relaxed);
    let Library {
        engine, dispatch, ..
    } = *library;
    let mut report = engine.shutdown(timeout);
    dispatch.caller.stop();
    if let Ok(report) = &mut report {
        dispatch.closes.remove_reported(report);
    }
    report
}
