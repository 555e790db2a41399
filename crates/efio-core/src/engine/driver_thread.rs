//! The driver on its thread: how it starts, lives and ends.

use crate::backend::{self, Backend, BackendInfo, Selected};
use crate::current::CurrentDriver;
use crate::driver::Driver;
use crate::event::Callback;
use crate::shared::Shared;
use crate::shutdown_report::ShutdownReport;
use crate::sys;
use crate::sys::signals::{self, Mask};
use crate::trace;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Instant;

/// The program's code on the driver's thread, and the signal mask that it runs with.
type Program = (Option<Callback>, Option<Mask>);

/// A driver on its thread.
pub struct DriverThread {
    /// Where it reports how it ended.
    report: Receiver<ShutdownReport>,
    thread: JoinHandle<()>,
}

impl DriverThread {
    /// Starts the thread, and waits until it has a backend.
    pub fn start(
        shared: &Arc<Shared>,
        callback: Option<Callback>,
        keeps_signals_blocked: bool,
    ) -> io::Result<(Self, BackendInfo)> {
        let (started, start) = sync_channel(1);
        let (ended, report) = sync_channel(1);
        let theirs = Arc::clone(shared);
        let thread = thread::Builder::new()
            .name(format!("{}-driver", shared.config.thread_name))
            .stack_size(signals::stack_size())
            .spawn(move || {
                let mask = Some(signals::block()).filter(|_| !keeps_signals_blocked);
                driver_main(theirs, (callback, mask), &started, &ended);
            })?;
        // The thread is gone without a word when it panicked, which would be a bug of efio.
        let backend = start.recv().map_err(|_| died())??;
        Ok((Self { report, thread }, backend))
    }

    /// Waits for the end of a driver that is shutting down.
    pub fn wait(self) -> io::Result<ShutdownReport> {
        let report = self.report.recv().map_err(|_| died())?;
        if report.is_clean() {
            // It waits for nothing any more. With a disk that hangs it gives the backend a moment.
            let _ = self.thread.join();
        }
        Ok(report)
    }
}

/// The error for a driver that is gone without a word.
fn died() -> io::Error {
    io::Error::from_raw_os_error(libc::EIO)
}

/// The life of the driver thread: it makes the backend, because a ring belongs to the thread that
/// made it, and reports how that went; then it drives.
fn driver_main(
    shared: Arc<Shared>,
    program: Program,
    started: &SyncSender<io::Result<BackendInfo>>,
    report: &SyncSender<ShutdownReport>,
) {
    // The workers inherit it.
    sys::wake_without_preempting();
    let bell = Arc::clone(shared.inbox.doorbell());
    let selected = backend::start(&shared.config, bell, Arc::clone(&shared.counters));
    // Whoever starts the engine waits for one of the two answers.
    let backend = match selected {
        Ok((backend, info)) => {
            trace::backend(&info);
            let _ = started.send(Ok(info));
            backend
        }
        Err(error) => {
            let _ = started.send(Err(error));
            return;
        }
    };
    let end = match backend {
        Selected::Uring(backend) => drive(&shared, *backend, program),
        Selected::Pool(backend) => drive(&shared, backend, program),
    };
    // Nobody waits for the report of an engine that was dropped at its deadline.
    let _ = report.send(end);
}

fn drive<B: Backend>(
    shared: &Arc<Shared>,
    backend: B,
    (callback, mask): Program,
) -> ShutdownReport {
    // Dropped before the mark: what the callback owned may be an engine.
    let _driving = CurrentDriver::of(shared);
    let mut driver = Driver::new(Arc::clone(shared), backend);
    if let Some(callback) = callback {
        driver.on_event(callback);
    }
    if let Some(mask) = mask {
        driver.set_callback_mask(mask);
    }
    let start = Instant::now();
    loop {
        let more = driver.turn(start.elapsed());
        if let Some(report) = driver.finished() {
            trace::shut_down(&report);
            return report;
        }
        if !more {
            driver.wait();
        }
    }
}
