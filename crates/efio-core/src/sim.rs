//! An engine over a simulated disk, driven step by step: no thread, no clock, one seed.

pub use crate::config::Config;

pub use crate::backend::{Foreign, SimDisk, SimInode, SimMemory, SimOpen, SimOptions, SimStore};

use crate::backend::Memory;
use crate::command::Command;
use crate::driver::Driver;
use crate::engine::Engine;
use crate::event::Event;
use crate::file::File;
use crate::op::OpenToken;
use crate::options::OpenOptions;
use crate::shared::Shared;
use crate::shutdown_report::ShutdownReport;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Returns the bytes of page memory that an engine uses, and those that it has mapped.
pub fn memory(engine: &Engine) -> (usize, usize) {
    let pool = &engine.shared.pool;
    (pool.used(), pool.mapped())
}

/// Cancels an open on request, as the future of an open does when it is dropped.
pub struct CancelsOpen(Arc<OpenToken>);

/// Opens a file as a future does, but with events.
///
/// # Errors
///
/// As for [`Engine::open`].
pub fn open_while_wanted(
    engine: &Engine,
    path: impl AsRef<Path>,
    options: &OpenOptions,
) -> io::Result<(File, CancelsOpen)> {
    let wanted = Arc::new(OpenToken::new());
    let shared = &engine.shared;
    let fd = shared.open(path.as_ref(), options, Some(Arc::clone(&wanted)))?;
    Ok((File::new(Arc::clone(shared), fd), CancelsOpen(wanted)))
}

impl CancelsOpen {
    /// Cancels the open; the caller closes the file next. Returns `false` if the open has begun to
    /// truncate the file.
    pub fn cancel(&self) -> bool {
        self.0.cancel()
    }
}

/// The real driver and plans over a [`SimDisk`], in virtual time.
pub struct Simulation {
    engine: Arc<Engine>,
    shared: Arc<Shared>,
    driver: Driver<SimDisk>,
    memory: Arc<Memory>,
    now: Duration,
    /// Bytes of page memory in use after the last turn.
    used: usize,
}

impl Simulation {
    /// Creates an engine over an empty disk.
    ///
    /// # Errors
    ///
    /// As for [`Builder::start`](crate::Builder::start), except for threads.
    pub fn new(config: Config, seed: u64, options: SimOptions) -> io::Result<Self> {
        let (store, memory) = (SimStore::default(), SimMemory::new());
        Self::on_disk(config, seed, options, store, &memory)
    }

    /// Creates an engine over the files of `store`, with pages in slabs of `memory`.
    ///
    /// # Errors
    ///
    /// As for [`Builder::start`](crate::Builder::start), except for threads.
    pub fn on_disk(
        config: Config,
        seed: u64,
        options: SimOptions,
        store: SimStore,
        memory: &SimMemory,
    ) -> io::Result<Self> {
        let memory = Memory::new(memory, seed, options.no_memory);
        let shared = Shared::with_memory(config, Arc::clone(&memory) as _)?;
        let driver = Driver::new(Arc::clone(&shared), SimDisk::new(seed, options, store));
        let engine = Arc::new(Engine::without_driver(Arc::clone(&shared)));
        Ok(Self {
            engine,
            shared,
            driver,
            memory,
            now: Duration::ZERO,
            used: 0,
        })
    }

    /// Passes events to `callback` at the end of the turn in which they happen, instead of the
    /// queue.
    pub fn on_event(&mut self, callback: impl Fn(Event) + Send + Sync + 'static) {
        self.driver.on_event(Arc::new(callback));
    }

    /// Returns the engine; a callback may keep it.
    pub fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    /// Returns the files.
    pub fn store(&mut self) -> &SimStore {
        self.driver.backend_mut().store()
    }

    /// Advances the clock by `time`, then runs one turn of the driver. Returns whether the driver
    /// may have more to do at once.
    pub fn turn(&mut self, time: Duration) -> bool {
        self.now += time;
        self.driver.backend_mut().set_time(self.now);
        self.driver.unwatch_memory();
        let more = self.driver.turn(self.now);
        // The driver sleeps until the next turn.
        self.shared.inbox.doorbell().disarm();
        self.used = self.shared.pool.used();
        self.driver.watch_memory();
        more
    }

    /// Whether a file waits for memory, enough of it was freed since the last turn, and the driver
    /// was not notified (F94).
    pub fn is_overslept(&self) -> bool {
        let missing = self.driver.watched_memory();
        let is_back = missing.is_some_and(|missing| self.memory_used() + missing <= self.used);
        is_back && !self.shared.inbox.doorbell().is_notified()
    }

    /// Hangs the disk until [`stop_faults`](Self::stop_faults) (F45).
    pub fn hang(&mut self) {
        self.driver.backend_mut().hang();
    }

    /// Refuses all ops until [`stop_faults`](Self::stop_faults) (F39).
    pub fn refuse(&mut self) {
        self.driver.backend_mut().refuse();
    }

    /// Leaves the disk room for `room` bytes more.
    pub fn fill_up(&mut self, room: u64) {
        self.driver.backend_mut().fill_up(room);
    }

    /// Ends all faults.
    pub fn stop_faults(&mut self) {
        self.driver.backend_mut().stop_faults();
        self.memory.stop_faults();
    }

    /// Returns the numbers of ops in flight and of open kernel files.
    pub fn at_work(&mut self) -> (usize, usize) {
        self.driver.backend_mut().at_work()
    }

    /// Returns the bytes of page memory in use.
    pub fn memory_used(&self) -> usize {
        self.shared.pool.used()
    }

    /// Returns the bytes of page memory that are mapped.
    pub fn memory_mapped(&self) -> usize {
        self.shared.pool.mapped()
    }

    /// Begins a shutdown as [`Engine::shutdown`] does.
    pub fn begin_shutdown(&mut self, timeout: Duration) {
        self.shared.stop();
        let command = Command::Shutdown(timeout);
        self.shared.command(command).expect("there is memory");
    }

    /// Returns the report once the shutdown is complete.
    pub fn report(&mut self) -> Option<ShutdownReport> {
        self.driver.finished()
    }

    /// Kills the process: what the kernel was given stays.
    pub fn kill(mut self) {
        self.driver.backend_mut().kill();
    }

    /// Cuts the power: what was synced stays, and a random part of the rest.
    pub fn power_cut(mut self) {
        self.driver.backend_mut().power_cut();
    }
}
