//! The one engine of the process, and how calls get to it.

use crate::callback::{SUBSCRIPTION, is_callback_thread};
use crate::descriptors::{DESCRIPTORS, Descriptor};
use crate::dispatch::Dispatch;
use crate::ffi::error;
use crate::forked::Home;
use crate::options::Options;
use crate::rundown::{Rundown, RundownGuard};
use efio_core::{Engine, ShutdownReport};
use std::ffi::c_int;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Duration;

static LIBRARY: Rundown<Library> = Rundown::new();
/// The options of the next engine. Held while the engine starts and ends.
static LIFE: Mutex<Option<Options>> = Mutex::new(None);

/// At the fork another thread had `LIFE`, and has it for ever.
static LIFE_IS_LOST: AtomicBool = AtomicBool::new(false);

/// In a forked child, before anything else runs there.
pub fn after_fork() {
    LIBRARY.forget_those_inside();
    if matches!(LIFE.try_lock(), Err(TryLockError::WouldBlock)) {
        LIFE_IS_LOST.store(true, Ordering::Relaxed);
    }
}

/// A running engine and its desk.
pub struct Library {
    home: Home,
    /// The engine.
    pub engine: Engine,
    /// Where its events go.
    pub desk: Arc<Dispatch>,
    /// How many files may be open at once.
    pub max_files: u32,
    /// Whether a close makes the file durable.
    pub durable_close: bool,
}

/// The running engine.
///
/// # Errors
///
/// `EBADF` before ef_init: no descriptor names a file then. `ESHUTDOWN` after ef_shutdown, and in
/// a forked child, where the engine is not, before any lock is taken.
#[inline]
pub fn library() -> io::Result<RundownGuard<'static, Library>> {
    let library = LIBRARY.enter().ok_or_else(not_running)?;
    library.home.check()?;
    Ok(library)
}

/// Whether an engine has run, and was shut down.
static ENDED: AtomicBool = AtomicBool::new(false);

#[cold]
fn not_running() -> io::Error {
    // Relaxed: it orders nothing; who was told of the shutdown sees it.
    let ended = ENDED.load(Ordering::Relaxed);
    error(if ended { libc::ESHUTDOWN } else { libc::EBADF })
}

/// Fails with `ESHUTDOWN` where the running engine is that of the parent.
pub fn check_process() -> io::Result<()> {
    LIBRARY
        .enter()
        .map_or(Ok(()), |library| library.home.check())
}

/// The running engine and a descriptor.
///
/// # Errors
///
/// Those of [`library`]; `EBADF` for a number that was never given out.
#[inline]
pub fn descriptor(
    number: c_int,
) -> io::Result<(RundownGuard<'static, Library>, &'static Descriptor)> {
    Ok((library()?, DESCRIPTORS.get(number)?))
}

impl Library {
    fn start(options: &Options) -> io::Result<Self> {
        let desk = Arc::new(Dispatch::new()?);
        let teller = Arc::clone(&desk);
        let engine = options
            .builder()
            .keep_signals_blocked(true)
            // What the desk knows the program has not asked for.
            .callback_reports_failures(false)
            .on_event(move |event| teller.handle_event(event))
            .start()
            .map_err(invalid)?;
        Ok(Self {
            home: Home::here(),
            engine,
            desk,
            max_files: options.max_files(),
            durable_close: options.durable_close(),
        })
    }

    /// Closes a file whose descriptor the caller has claimed.
    pub fn close(&self, descriptor: &Descriptor) -> io::Result<()> {
        if self.durable_close {
            self.engine.file(descriptor.fd()).close_sync()
        } else {
            self.engine.file(descriptor.fd()).close()
        }
    }
}

/// A limit out of range has a text in Rust, and a number in C.
fn invalid(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::InvalidInput => crate::ffi::error(libc::EINVAL),
        io::ErrorKind::Unsupported => crate::ffi::error(libc::ENOTSUP),
        _ => error,
    }
}

/// The lock of start and end.
///
/// # Errors
///
/// `EDEADLK` in a callback while another thread shuts the engine down and waits for the callback;
/// `ESHUTDOWN` in a forked child, see the top of `forked.rs`.
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
/// `EBUSY` when one is running; those of [`Options::set`].
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
/// `EINVAL` for an option out of range, `ENOTSUP` for a backend that is not to be had, `ESHUTDOWN`
/// in a forked child, `EDEADLK` as for [`life`]; what the kernel says to memory and threads.
pub fn start() -> io::Result<()> {
    let mut life = life()?;
    if LIBRARY.enter().is_some() {
        return Ok(());
    }
    let library = Library::start(life.get_or_insert_with(Options::new))?;
    if SUBSCRIPTION.is_wanted() {
        library.desk.caller.start()?;
    }
    LIBRARY.open(library);
    Ok(())
}

/// Writes what was accepted, ends the engine, and says what was left.
///
/// # Errors
///
/// `EBADF` when none is running; `EDEADLK` in a callback; `ESHUTDOWN` in a forked child.
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
    let Library { engine, desk, .. } = *library;
    let mut report = engine.shutdown(timeout);
    desk.caller.stop();
    DESCRIPTORS.forget_files();
    if let Ok(report) = &mut report {
        desk.strike_out(report);
    }
    report
}
