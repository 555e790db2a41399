//! Runs a plan: several engines, one after the other, on one disk, and the clock.

use super::client::{Client, Open};
use super::steps::{Closing, Plan, Step};
use efio_core::sim::{SimMemory, SimStore, Simulation};
use efio_core::{Engine, Stats};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use std::os::fd::AsRawFd;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

/// More turns than anything takes to become idle.
const TIMEOUT: u32 = 5_000;

pub struct Harness<'a> {
    plan: &'a Plan,
    memory: &'a SimMemory,
    pub store: SimStore,
    pub simulation: Simulation,
    restarts: u64,
    /// Set if the client waits for edges of the event descriptor; otherwise it reads the level.
    edges: Option<Edges>,
    /// Shared with the callback.
    client: Arc<Mutex<Client>>,
}

/// A poll set that watches the event descriptor for edges, as mio does.
struct Edges(Poll, Events);

impl Edges {
    fn of(engine: &Engine) -> Self {
        let poll = Poll::new().expect("a set");
        let fd = engine.events().as_raw_fd();
        let mut source = SourceFd(&fd);
        let registry = poll.registry();
        let registered = registry.register(&mut source, Token(0), Interest::READABLE);
        registered.expect("a descriptor that can be watched");
        Self(poll, Events::with_capacity(1))
    }

    /// Whether there was an edge since the last call.
    fn has_edge(&mut self) -> bool {
        let Self(poll, events) = self;
        poll.poll(events, Some(Duration::ZERO)).expect("a poll");
        !events.is_empty()
    }
}

impl<'a> Harness<'a> {
    pub fn new(plan: &'a Plan, memory: &'a SimMemory) -> Self {
        let store = SimStore::default();
        let simulation = start(plan, 0, &store, memory);
        let engine = Arc::clone(simulation.engine());
        let client = Client::new(engine, store.clone(), plan);
        let mut harness = Self {
            plan,
            memory,
            store,
            simulation,
            restarts: 0,
            edges: None,
            client: Arc::new(Mutex::new(client)),
        };
        harness.subscribe();
        harness
    }

    /// Ends the engine by `end`, and starts the next one on the same disk.
    pub fn restart(&mut self, end: impl FnOnce(Simulation)) {
        self.restarts += 1;
        let next = start(self.plan, self.restarts, &self.store, self.memory);
        end(std::mem::replace(&mut self.simulation, next));
        let engine = Arc::clone(self.simulation.engine());
        self.client().use_engine(engine);
        self.subscribe();
    }

    /// In a plan with callbacks: lets the client handle each event as it is delivered, and make a
    /// call.
    fn subscribe(&mut self) {
        // In an eighth of the seeds the client takes events only after an edge (F82).
        let waits_for_edges = self.plan.seed % 8 == 3;
        self.edges = waits_for_edges.then(|| Edges::of(self.simulation.engine()));
        let Some(inside) = &self.plan.inside else {
            return;
        };
        self.client().inside = inside.iter().rev().cloned().collect();
        let client = Arc::clone(&self.client);
        self.simulation.on_event(move |event| {
            let Ok(mut client) = client.lock() else {
                return;
            };
            client.handle_event(event);
            client.call_inside();
        });
    }

    /// The client, between turns.
    pub fn client(&self) -> MutexGuard<'_, Client> {
        self.client.lock().expect("a callback failed")
    }

    /// Runs a step, then handles the new events and checks all files.
    pub fn step(&mut self, step: &Step) {
        match *step {
            Step::Turns { count, ms } => {
                for _ in 0..count {
                    self.turn(ms.into());
                }
            }
            Step::Shutdown { ms, room } => self.shutdown(ms.into(), room),
            Step::Kill => self.kill(),
            Step::PowerCut => self.power_cut(),
            ref call => self.client().call(call),
        }
        self.handle_events();
    }

    pub fn turn(&mut self, ms: u64) -> bool {
        let budget = self.plan.config.memory_budget;
        let engine = &mut self.simulation;
        let more = engine.turn(Duration::from_millis(ms));
        let (used, mapped) = (engine.memory_used(), engine.memory_mapped());
        assert!(
            used <= mapped && mapped <= budget,
            "memory beyond the budget (F38): {used} of {mapped}"
        );
        more
    }

    /// Handles the pending events, and checks the marks.
    pub fn handle_events(&mut self) {
        let is_awake = self.edges.as_mut().is_none_or(Edges::has_edge);
        let mut client = self.client();
        let events = self.simulation.engine().events();
        for event in is_awake.then(|| events.drain()).into_iter().flatten() {
            assert!(self.plan.inside.is_none(), "events go to the callback");
            client.handle_event(event);
        }
        client.look_at_marks();
        let is_overslept = self.simulation.is_overslept();
        assert!(
            !is_overslept,
            "memory is available again, and the driver still sleeps (F94)"
        );
    }

    /// Stops the faults and asserts that every due event comes, everything drains and nothing is
    /// left.
    pub fn quiesce(&mut self) {
        self.client().inside.clear();
        self.simulation.stop_faults();
        self.wait_during_writes();
        self.settle();
        self.finish_futures();
        // A reader that continues frees the memory that others wait for.
        let count = self.client().files.len();
        for index in 0..count {
            self.read_while_others_stopped(index);
        }
        self.settle();
        for Open { path, oracle, .. } in &self.client().files {
            assert!(!oracle.readable.due, "{path}: no Readable came (F47)");
            assert!(!oracle.writable.due, "{path}: no Writable came (F38)");
            assert!(oracle.opened || oracle.failed.is_some());
            oracle.assert_syncs_reported();
        }
        for index in 0..count {
            let mut client = self.client();
            if client.files[index].file.is_some() {
                client.close(index, Closing::Close);
            }
        }
        self.settle();
        assert!(self.client().files.is_empty(), "files that never closed");
        let engine = &mut self.simulation;
        assert_eq!(engine.memory_used(), 0, "pages leaked");
        assert_eq!(engine.at_work(), (0, 0), "ops or kernel files leaked");
        assert_eq!(engine.engine().stats().callback_panics, 0);
    }

    /// Reads a file to its end while the readers of all others have stopped: the memory that was
    /// read ahead for them must not slow it down (F83).
    fn read_while_others_stopped(&mut self, index: usize) {
        let is_healthy = |open: &Open| open.oracle.failed.is_none();
        let is_healthy = self.client().files.iter().all(is_healthy);
        // Lets time pass since they stopped.
        for _ in 0..20 {
            self.turn(100);
        }
        self.handle_events();
        let before = self.simulation.engine().stats();
        self.read_to_the_end(index);
        let after = self.simulation.engine().stats();
        let read = |stats: Stats| stats.read.total();
        let (ops, bytes) = (after.ops - before.ops, read(after) - read(before));
        let config = &self.plan.config;
        let page = (config.read_ahead() / 2).clamp(4096, config.first_read);
        let page = 1u64 << page.ilog2();
        // Failed files keep their unwritten bytes.
        assert!(
            !is_healthy || ops <= 2 * (bytes / page) + 20,
            "{ops} reads for {bytes} bytes: stopped readers have the memory (F83)"
        );
    }

    /// Reads to the end twice: the bytes that were read ahead, then what the file holds now.
    fn read_to_the_end(&mut self, index: usize) {
        if !self.client().files[index].is_readable() {
            return;
        }
        let (mut ends, mut answers) = (0, 0);
        while ends < 2 {
            while self.client().read(index, 30_000) {}
            if self.client().files[index].oracle.failed.is_some() {
                return self.read_failed_file(index);
            }
            ends += u32::from(!self.client().files[index].oracle.readable.due);
            self.wait_for_readable(index);
            answers += 1;
            assert!(answers < 1_000, "a read that never ends");
        }
        let oracle = &mut self.client().files[index].oracle;
        let end = oracle.content.len();
        assert!(oracle.settle() >= end, "the current end of the file (F17)");
    }

    /// F92: returns bytes, the end of file or an error; it does not would-block for ever.
    fn read_failed_file(&mut self, index: usize) {
        for _ in 0..1_000 {
            while self.client().read(index, 30_000) {}
            if !self.client().files[index].oracle.readable.due {
                return;
            }
            self.wait_for_readable(index);
            let is_over = !self.client().read(index, 30_000);
            if is_over && !self.client().files[index].oracle.readable.due {
                return;
            }
        }
        panic!("a read after a failed write blocks for ever (F92)");
    }

    /// Turns until the due event comes.
    fn wait_for_readable(&mut self, index: usize) {
        for _ in 0..TIMEOUT {
            if !self.client().files[index].oracle.readable.due {
                return;
            }
            self.turn(10);
            self.handle_events();
        }
        panic!("no Readable came (F47)");
    }

    /// Turns until everything is idle.
    fn settle(&mut self) {
        let interval = self.plan.config.flush_interval.as_millis() as u64;
        let enough = 3 + interval / 100;
        let mut quiet = 0;
        for _ in 0..TIMEOUT {
            let more = self.turn(100);
            self.handle_events();
            let (ops, _) = self.simulation.at_work();
            quiet = if more || ops > 0 { 0 } else { quiet + 1 };
            if quiet > enough {
                return;
            }
        }
        panic!("does not become idle");
    }
}

/// Starts an engine on the disk.
fn start(plan: &Plan, restarts: u64, store: &SimStore, memory: &SimMemory) -> Simulation {
    let seed = plan.seed ^ restarts << 48;
    let (config, faults) = (plan.config.clone(), plan.faults.clone());
    let simulation = Simulation::on_disk(config, seed, faults, store.clone(), memory);
    simulation.expect("the limits are valid")
}
