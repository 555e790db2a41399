//! An engine over a simulated disk, driven step by step: no thread, no clock, one seed.

use crate::backend::{SimDisk, SimOptions};
use crate::config::Config;
use crate::driver::Driver;
use crate::engine::Engine;
use crate::event::Event;
use crate::shared::Shared;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// The real driver and plans over a [`SimDisk`], in virtual time.
pub struct Simulation {
    engine: Arc<Engine>,
    shared: Arc<Shared>,
    driver: Driver<SimDisk>,
    now: Duration,
}

impl Simulation {
    /// A fresh engine over an empty disk.
    ///
    /// # Errors
    ///
    /// As for [`Builder::start`](crate::Builder::start), threads excepted.
    pub fn new(config: Config, seed: u64, options: SimOptions) -> io::Result<Self> {
        let shared = Shared::new(config)?;
        let driver = Driver::new(Arc::clone(&shared), SimDisk::new(seed, options));
        let engine = Arc::new(Engine::without_driver(Arc::clone(&shared)));
        Ok(Self {
            engine,
            shared,
            driver,
            now: Duration::ZERO,
        })
    }

    /// Events go to `callback` at the end of the turn that they happen in, instead of the queue.
    pub fn on_event(&mut self, callback: impl Fn(Event) + Send + Sync + 'static) {
        self.driver.on_event(Arc::new(callback));
    }

    /// The caller's side; a callback may hold on to it.
    pub fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    /// The disk.
    pub fn disk(&mut self) -> &mut SimDisk {
        self.driver.backend_mut()
    }

    /// Lets `time` pass, then lets the driver do one turn.
    pub fn turn(&mut self, time: Duration) {
        self.now += time;
        self.driver.turn(self.now);
    }

    /// Bytes of page memory that are in use.
    pub fn memory_used(&self) -> usize {
        self.shared.pool.used()
    }

    /// Bytes of page memory that are mapped.
    pub fn memory_mapped(&self) -> usize {
        self.shared.pool.mapped()
    }
}
