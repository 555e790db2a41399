//! What callers and the driver of one engine share.

use crate::command::{AtCommand, Command};
use crate::config::Config;
use crate::error::Errno;
use crate::event::{EventQueue, catch_panic};
use crate::fd::{FdTable, Requests, Slot};
use crate::inbox::Inbox;
use crate::page::{KernelMemory, PagePool, SlabSource};
use crate::stats::Counters;
use crate::sys::fork::ForkGuard;
use crate::sys::name::Directories;
use crate::workdir::WorkingDirectory;
use efio_queue::{PushError, SegQueue};
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
    /// News for the driver.
    pub inbox: Inbox<EventFd>,
    /// Positional ops for the driver, in the order in which they take their places in the sequence
    /// of each file: pushed with custody of it.
    pub positional: SegQueue<AtCommand>,
    /// News for the callers.
    pub events: EventQueue,
    /// Statistics.
    pub counters: Arc<Counters>,
    /// Where relative paths begin.
    pub working_directory: WorkingDirectory,
    /// The directories that are held for new files.
    pub directories: Arc<Directories>,
    stopped: AtomicBool,
    abandoned: AtomicBool,
    fork_guard: ForkGuard,
}

impl Shared {
    /// The state of a new engine.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a limit out of range; what the kernel says to the first memory and the
    /// two eventfds.
    pub fn new(config: Config) -> io::Result<Arc<Self>> {
        Self::with_memory(config, Arc::new(KernelMemory))
    }

    /// The state of a new engine whose pages lie in memory from `source`.
    ///
    /// # Errors
    ///
    /// As for [`new`](Self::new).
    pub fn with_memory(config: Config, source: Arc<dyn SlabSource>) -> io::Result<Arc<Self>> {
        config.validate()?;
        let birthplace = ForkGuard::here()?;
        Ok(Arc::new(Self {
            table: FdTable::new(config.max_files),
            pool: PagePool::new(config.memory_budget, source)?,
            inbox: Inbox::new(bell()?),
            positional: SegQueue::new(),
            events: EventQueue::new(birthplace)?,
            counters: Arc::default(),
            working_directory: WorkingDirectory::default(),
            directories: Arc::default(),
            stopped: AtomicBool::new(false),
            abandoned: AtomicBool::new(false),
            fork_guard: birthplace,
            config,
        }))
    }

    /// Gives the driver something to look at; `ENOMEM` when there is no memory for it.
    pub fn command(&self, command: Command) -> Result<(), Errno> {
        self.try_command(command).map_err(|_| Errno(libc::ENOMEM))
    }

    /// The same; the command comes back when there is no memory for it.
    pub fn try_command(&self, command: Command) -> Result<(), Command> {
        if self.inbox.send(command)? {
            self.counters.doorbell_calls.add(1);
        }
        Ok(())
    }

    /// Bytes that one file may have accepted and not yet written: as many as all files together
    /// leave free. So each of those that take what they can get ends up with the same, and leaves
    /// as much for one more; who needs little takes nothing from the others (Choudhury & Hahne,
    /// "Dynamic queue length thresholds", IEEE/ACM ToN 6(2), 1998).
    pub fn share(&self) -> usize {
        self.pool.free().min(self.config.write_behind())
    }

    /// Gives the driver a positional op.
    ///
    /// # Errors
    ///
    /// It comes back: there is no memory to queue it.
    pub fn send_at(&self, command: AtCommand) -> Result<(), AtCommand> {
        self.positional
            .push(command)
            .map_err(PushError::into_inner)?;
        if self.inbox.bell().ring() {
            self.counters.doorbell_calls.add(1);
        }
        Ok(())
    }

    /// Makes the driver look at a file, unless it is going to already.
    #[inline]
    pub fn request(&self, index: u32, slot: &Slot, bits: Requests) {
        if self.inbox.request(index, slot, bits) {
            self.counters.doorbell_calls.add(1);
        }
    }

    /// Fails in a forked child: the engine is the parent's (F51).
    #[inline]
    pub fn check_process(&self) -> Result<(), Errno> {
        if self.fork_guard.is_child() {
            Err(Errno(libc::ESHUTDOWN))
        } else {
            Ok(())
        }
    }

    /// No file can be opened from now on.
    pub fn stop(&self) {
        // Release: pairs with `is_stopped`.
        self.stopped.store(true, Ordering::Release);
    }

    /// There is no driver any more. What callers asked for and nobody will hear is dropped, and
    /// with it the promises of answers; who waits is woken, to hear of the end.
    pub fn abandon(&self) {
        // AcqRel: with `is_abandoned` on the same word. Either that one comes later and says so,
        // or it came earlier, and what its caller left in the queue and in the lists is found now.
        self.abandoned.swap(true, Ordering::AcqRel);
        while self.inbox.pop().is_some() {}
        let mut wakers = Vec::new();
        for slot in (0..).map_while(|index| self.table.get(index)) {
            slot.waiters.clear(&mut wakers);
        }
        for waker in wakers {
            // The driver's own thread, on its way out: nobody is left to count.
            let _ = catch_panic(|| waker.wake());
        }
    }

    /// Whether nobody will ever answer. Asked after something was left for the driver.
    pub fn is_abandoned(&self) -> bool {
        // AcqRel: with `abandon`, see there.
        self.abandoned.fetch_or(false, Ordering::AcqRel)
    }

    /// Whether the engine was shut down.
    pub fn is_stopped(&self) -> bool {
        // Acquire: pairs with `stop`.
        self.stopped.load(Ordering::Acquire)
    }
}

/// What wakes the driver. Where it cannot be written or read, everybody would wait for ever: the
/// engine does not start there (F71).
fn bell() -> io::Result<EventFd> {
    let bell = EventFd::new()?;
    bell.wake();
    if bell.clear() {
        return Ok(bell);
    }
    let why = "this process may not write to an eventfd, or not read it";
    Err(io::Error::new(io::ErrorKind::Unsupported, why))
}
