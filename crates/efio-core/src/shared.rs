//! The state that callers and the driver of one engine share.

use crate::catch_panic::catch_panic;
use crate::command::Command;
use crate::config::Config;
use crate::error::Errno;
use crate::event::EventQueue;
use crate::fd::{FdTable, Interest};
use crate::inbox::Inbox;
use crate::page::{KernelMemory, PagePool, SlabSource};
use crate::stats::{Counters, Stats};
use crate::sys::directories::Directories;
use crate::sys::fork::ForkGuard;
use crate::sys::refused;
use crate::workdir::WorkingDirectory;
use efio_sync::shim::atomic::{AtomicBool, Ordering};
use efio_sync::{Alarm, EventFd};
use std::io;
use std::sync::Arc;

/// The engine's shared state; see the picture in the crate's documentation.
pub struct Shared {
    /// The limits.
    pub config: Config,
    /// All descriptors.
    pub table: FdTable,
    /// The memory of all streams.
    pub pool: Arc<PagePool>,
    /// Commands for the driver.
    pub inbox: Inbox<EventFd>,
    /// Events for the callers.
    pub events: EventQueue,
    /// Statistics.
    pub counters: Arc<Counters>,
    /// The directory where relative paths begin.
    pub working_directory: WorkingDirectory,
    /// The directories that are kept open for new files.
    pub directories: Arc<Directories>,
    stopped: AtomicBool,
    abandoned: AtomicBool,
    fork_guard: ForkGuard,
}

impl Shared {
    /// Creates the state of a new engine.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a limit out of range, and the errors of mapping the first memory and of
    /// creating the two eventfds.
    pub fn new(config: Config) -> io::Result<Arc<Self>> {
        Self::with_memory(config, Arc::new(KernelMemory))
    }

    /// Creates the state of a new engine whose pages are in memory from `source`.
    ///
    /// # Errors
    ///
    /// As for [`new`](Self::new).
    pub fn with_memory(config: Config, source: Arc<dyn SlabSource>) -> io::Result<Arc<Self>> {
        config.validate()?;
        let fork_guard = ForkGuard::here()?;
        Ok(Arc::new(Self {
            table: FdTable::new(config.max_files),
            pool: PagePool::new(config.memory_budget, source)?,
            inbox: Inbox::new(alarm()?),
            events: EventQueue::new()?,
            counters: Arc::default(),
            working_directory: WorkingDirectory::default(),
            directories: Arc::default(),
            stopped: AtomicBool::new(false),
            abandoned: AtomicBool::new(false),
            fork_guard,
            config,
        }))
    }

    /// Sends the driver a command.
    ///
    /// # Errors
    ///
    /// `ENOMEM` if there is no memory to queue it.
    pub fn command(&self, command: Command) -> Result<(), Errno> {
        self.inbox.send(command).map_err(|_| Errno(libc::ENOMEM))
    }

    /// Returns how many bytes one file may have accepted and not yet written: as many as all files
    /// together leave free. So files that take all they can end up with equal shares, and leave as
    /// much for one more; a file that needs little takes nothing from the others (Choudhury &
    /// Hahne, "Dynamic queue length thresholds", IEEE/ACM ToN 6(2), 1998).
    ///
    /// With 60 MiB and two greedy files, each gets 20 MiB and 20 MiB stay free: a file may grow
    /// while it has less than what is free. A third one makes it 15 MiB for each, and 15 MiB free.
    pub fn share(&self) -> usize {
        self.pool.free().min(self.config.write_behind())
    }

    /// Fails in a forked child: the engine belongs to the parent (F51).
    #[inline]
    pub fn check_process(&self) -> Result<(), Errno> {
        if self.fork_guard.is_child() {
            Err(Errno(libc::ESHUTDOWN))
        } else {
            Ok(())
        }
    }

    /// Refuses all further opens.
    pub fn stop(&self) {
        // Release: pairs with `is_stopped`.
        self.stopped.store(true, Ordering::Release);
    }

    /// Marks the engine as one without a driver. Drops the queued commands, and with them the
    /// senders of their answers, and wakes all waiting tasks, which then see the end.
    pub fn abandon(&self) {
        // AcqRel: pairs with `is_abandoned` on the same word. Either that call comes later and
        // returns true, or it came earlier, and what its caller put in the queue and in the lists
        // is found now.
        self.abandoned.swap(true, Ordering::AcqRel);
        while self.inbox.pop().is_some() {}
        let mut wakers = Vec::new();
        for slot in (0..).map_while(|index| self.table.get(index)) {
            slot.take_waiters(Interest::ALL, u64::MAX, &mut wakers);
        }
        for waker in wakers {
            // This is the driver's thread as it ends: nobody reads the count of panics any more.
            let _ = catch_panic(|| waker.wake());
        }
    }

    /// Whether there is no driver any more. Callers ask after they have queued something for the
    /// driver.
    pub fn is_abandoned(&self) -> bool {
        // AcqRel: pairs with `abandon`, see there.
        self.abandoned.fetch_or(false, Ordering::AcqRel)
    }

    /// Returns the counters of the engine.
    pub fn stats(&self) -> Stats {
        let mut stats = self.counters.get();
        stats.calls_refused = refused::count().into();
        stats.driver.doorbell_calls = self.inbox.wake_ups() + self.pool.wake_ups() as u64;
        let open = self.table.iter();
        stats.reads_served += open.map(|slot| slot.reads_served.get()).sum::<u64>();
        stats
    }

    /// Whether the engine was shut down.
    pub fn is_stopped(&self) -> bool {
        // Acquire: pairs with `stop`.
        self.stopped.load(Ordering::Acquire)
    }
}

/// Creates the alarm that wakes the driver. Where an eventfd cannot be written or read, every
/// caller would wait for ever, so the engine does not start (F71).
fn alarm() -> io::Result<EventFd> {
    let alarm = EventFd::new()?;
    alarm.wake();
    if alarm.clear() {
        return Ok(alarm);
    }
    let why = "this process may not write to an eventfd, or not read it";
    Err(io::Error::new(io::ErrorKind::Unsupported, why))
}
