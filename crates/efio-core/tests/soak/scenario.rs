//! One engine, some actors, and an end: all drawn from a seed.

use crate::client::{Client, WaitMode};
use crate::contended::{ContendedFile, SharedReaders};
use crate::dispatch::{Dispatcher, Executor};
use crate::event_loop::{self, Trigger};
use crate::faults::{self, End};
use crate::harness::Harness;
use crate::logs;
use crate::session::Session;
use crate::tracker::{Call, CallTracker};
use crate::walker::Walker;
use crate::watchdog;
use efio_core::{BackendKind, Engine, Errno, Fd, ShutdownReport};
use fastrand::Rng;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

/// The kinds of actors.
pub const KINDS: [&str; 6] = [
    "walkers",
    "contended",
    "failures",
    "readers",
    "frozen",
    "log",
];

/// How the scenario ends.
#[derive(Clone, Copy, Debug)]
enum Ending {
    /// The actors finish, then the engine is shut down.
    Quiet,
    /// The engine is shut down while the actors run.
    Sudden(Duration),
}

/// An actor on a thread or on tokio's runtime.
enum Running {
    Thread(JoinHandle<()>),
    Task(tokio::task::JoinHandle<()>),
}

pub struct Scenario<'a> {
    harness: &'a Harness,
    random: Rng,
    session: Arc<Session>,
    /// `None` with a callback.
    trigger: Option<Trigger>,
    running: Vec<Running>,
    contended: Vec<Arc<ContendedFile>>,
    shared: Vec<Arc<SharedReaders>>,
    names: u32,
    frozen: bool,
}

/// Runs a scenario; returns how many bytes were compared.
pub fn run(harness: &Harness, seed: u64, is_wanted: &dyn Fn(&str) -> bool) -> u64 {
    let mut random = Rng::with_seed(seed);
    let frozen = harness.disk.is_some() && is_wanted("frozen") && random.u8(..4) == 0;
    let trigger = [Trigger::Level, Trigger::Edge, Trigger::OneShot].get(random.usize(..4));
    let dir = match &harness.disk {
        Some(disk) if frozen => disk.join(&format!("scenario-{seed}")),
        _ => harness.dir.join(&format!("scenario-{seed}")),
    };
    std::fs::create_dir(&dir).unwrap();
    let (dispatcher, executor) = <(Arc<Dispatcher>, Arc<Executor>)>::default();
    let mut title = format!("EFIO_SOAK_SEED={seed} repeats it: ");
    let engine = start(
        &mut random,
        trigger.is_none(),
        &dispatcher,
        &executor,
        &mut title,
    );
    let session = Arc::new(Session::new(
        engine,
        dispatcher,
        Arc::clone(&executor),
        dir.clone(),
    ));
    let ending = match random.u8(..8) {
        0..4 => Ending::Quiet,
        4 => Ending::Sudden(Duration::ZERO),
        5 => Ending::Sudden(Duration::from_millis(random.u64(1..300))),
        _ => Ending::Sudden(Duration::from_secs(60)),
    };
    let millis = random.u64(200..2500);
    let _ = write!(
        title,
        ", {trigger:?}, {ending:?}, {millis} ms, frozen {frozen}"
    );
    if std::env::var_os("EFIO_SOAK_SHOW").is_some() {
        println!("{title}");
    }
    watchdog::watch(Some((&session, title)));
    let mut scenario = Scenario {
        harness,
        random,
        session,
        trigger: trigger.copied(),
        running: Vec::new(),
        contended: Vec::new(),
        shared: Vec::new(),
        names: 0,
        frozen,
    };
    scenario.spawn_actors(is_wanted);
    std::thread::scope(|scope| {
        let session = &scenario.session;
        if let Some(disk) = harness.disk.as_ref().filter(|_| frozen) {
            scope.spawn(|| faults::freeze(session, disk, seed));
        }
        if let Some(&trigger) = trigger {
            scope.spawn(move || event_loop::run(session, trigger));
        } else {
            session.executor.run();
        }
        std::thread::sleep(Duration::from_millis(millis));
        let running = std::mem::take(&mut scenario.running);
        end(harness, session, ending, running);
    });
    executor.clear();
    let compared = scenario
        .session
        .compared
        .load(std::sync::atomic::Ordering::Relaxed);
    watchdog::watch(None);
    scenario.check_contended();
    drop(scenario);
    let _ = std::fs::remove_dir_all(dir);
    compared
}

/// An engine with small limits.
fn start(
    random: &mut Rng,
    is_callback: bool,
    dispatcher: &Arc<Dispatcher>,
    executor: &Arc<Executor>,
    title: &mut String,
) -> Engine {
    let backends = crate::common::fixtures::backends();
    let backend: BackendKind = backends[random.usize(..backends.len())];
    let budget = (4 << 20) << random.u8(..4);
    let page_min = 4096 << random.u8(..4);
    let page_max = page_min.max(4096 << random.u8(..10));
    let interval = Duration::from_micros(1 << random.u8(8..20));
    let share = |random: &mut Rng| (budget >> random.u8(1..8)).max(4096);
    let (write_behind, read_ahead) = (share(random), share(random));
    let workers = random.usize(1..5);
    let _ = write!(
        title,
        "{backend:?}, {budget} bytes of memory, pages {page_min} to {page_max}, \
         write-behind {write_behind}, read-ahead {read_ahead}, {interval:?}, {workers} workers"
    );
    let mut builder = Engine::builder()
        .backend(backend)
        .memory_budget(budget)
        .page_min(page_min)
        .page_max(page_max)
        .flush_interval(interval)
        .write_behind(write_behind)
        .read_ahead(read_ahead)
        .workers(workers);
    if is_callback {
        // Weak: the tasks own the session, which owns the engine, which owns this callback.
        let (dispatcher, executor): (Weak<Dispatcher>, Weak<Executor>) =
            (Arc::downgrade(dispatcher), Arc::downgrade(executor));
        builder = builder.on_event(move |event| {
            if let (Some(dispatcher), Some(executor)) = (dispatcher.upgrade(), executor.upgrade()) {
                dispatcher.deliver(event);
                executor.run();
            }
        });
    }
    builder.start().unwrap()
}

/// Ends the scenario, and checks what is on the disk.
fn end(harness: &Harness, session: &Arc<Session>, ending: Ending, running: Vec<Running>) {
    let tracker = session.trackers.add("the scenario".into());
    let (timeout, running) = match ending {
        Ending::Quiet => {
            session.stop();
            join(harness, &tracker, running);
            while !session.executor.is_done() {
                std::thread::sleep(Duration::from_millis(1));
            }
            (Duration::from_secs(60), Vec::new())
        }
        Ending::Sudden(timeout) => (timeout, running),
    };
    let engine = session.take_engine();
    let report = {
        let _guard = tracker.begin(Call::Shutdown, None);
        engine.shutdown(timeout).unwrap()
    };
    session.set_over();
    join(harness, &tracker, running);
    session.stop();
    let is_certain = report.is_clean() || matches!(ending, Ending::Quiet);
    // A file that is written beyond the limit of its size, or fills the small disk, fails while it
    // drains, and is reported.
    let is_too_large = |fd: &Fd| {
        let errnos = [libc::EFBIG, libc::ENOSPC].map(Errno);
        let mut failed = report.failed.iter();
        failed.any(|(other, failure)| other == fd && errnos.contains(&failure.errno))
    };
    let mut left = report.unfinished.iter().map(|(fd, _)| fd);
    let left_others = left.any(|fd| !is_too_large(fd));
    let lost_others = report.failed.iter().any(|(fd, _)| !is_too_large(fd));
    assert!(
        !(left_others || lost_others) || timeout < Duration::from_secs(60),
        "{report:?} after {timeout:?}"
    );
    session.executor.clear();
    check_records(session, &report);
    session.set_certain(is_certain);
}

fn join(harness: &Harness, tracker: &Arc<CallTracker>, running: Vec<Running>) {
    let _guard = tracker.begin(Call::Internal, None);
    for running in running {
        match running {
            Running::Thread(thread) => thread.join().unwrap(),
            Running::Task(task) => harness.runtime.block_on(task).unwrap(),
        }
    }
}

/// Checks that each file holds what was accepted, unless the report names it.
fn check_records(session: &Session, report: &ShutdownReport) {
    let is_left = |fd: &Fd| report.unfinished.iter().any(|(left, _)| left == fd);
    for record in &*session.records.lock().unwrap() {
        let record = record.lock().unwrap();
        if record.fds.is_empty() || record.fds.iter().any(is_left) {
            continue;
        }
        let bytes =
            std::fs::read(&record.path).unwrap_or_else(|e| panic!("{:?}: {e}", record.path));
        let name = || format!("{:?} after the end, {report:?}", record.path);
        session.compare(name, &bytes, &record.bytes);
    }
}

impl Scenario<'_> {
    /// Starts the actors.
    fn spawn_actors(&mut self, is_wanted: &dyn Fn(&str) -> bool) {
        let drawn = |scenario: &mut Self, kind| is_wanted(kind) && scenario.random.u8(..3) > 0;
        if is_wanted("walkers") || is_wanted("frozen") {
            for _ in 0..self.random.usize(1..8) {
                self.walker();
            }
        }
        if drawn(self, "contended") {
            self.contended();
            self.share();
        }
        if drawn(self, "failures") {
            self.failures();
        }
        if drawn(self, "readers") {
            self.readers();
        }
        if drawn(self, "log") && !self.frozen {
            self.log();
        }
    }

    /// Draws a wait mode that this engine allows.
    fn wait_mode(&mut self) -> WaitMode {
        match self.random.u8(..3) {
            0 => WaitMode::Thread,
            1 => WaitMode::Task,
            _ if self.trigger.is_some() => WaitMode::Loop,
            _ => WaitMode::Callback,
        }
    }

    fn name(&mut self, what: &str) -> String {
        self.names += 1;
        format!("{what}-{}", self.names)
    }

    fn client(&mut self, wait_mode: WaitMode, name: &str) -> Client {
        Client::new(&self.session, wait_mode, name, self.random.u64(..))
    }

    fn spawn(&mut self, wait_mode: WaitMode, work: impl Future<Output = ()> + Send + 'static) {
        match wait_mode {
            WaitMode::Thread => {
                let work = move || futures::executor::block_on(work);
                self.running.push(Running::Thread(std::thread::spawn(work)));
            }
            WaitMode::Task => {
                let task = self.harness.runtime.spawn(work);
                self.running.push(Running::Task(task));
            }
            WaitMode::Loop | WaitMode::Callback => self.session.executor.spawn(work),
        }
    }

    fn walker(&mut self) {
        let (wait_mode, name) = (self.wait_mode(), self.name("walker"));
        let path = self.session.dir.join(&name);
        let client = self.client(wait_mode, &name);
        let walker = Walker::new(client, path, self.random.u64(..));
        self.spawn(wait_mode, walker.run());
    }

    /// Spawns several writers and several queriers of one file.
    fn contended(&mut self) {
        let name = self.name("contended");
        let (writers, queriers) = (self.random.usize(1..4), self.random.usize(2..5));
        let path = self.session.dir.join(&name);
        let contended = ContendedFile::new(&self.session, path, &mut self.random, writers);
        contended.expect_queriers(queriers);
        self.contended.push(Arc::clone(&contended));
        let two =
            |scenario: &mut Self| [WaitMode::Thread, WaitMode::Task][scenario.random.usize(..2)];
        for number in 0..writers {
            let wait_mode = two(self);
            let client = self.client(wait_mode, &format!("{name}: writer {number}"));
            let work = Arc::clone(&contended).write(client, number, self.random.u64(..));
            self.spawn(wait_mode, work);
        }
        for number in 0..queriers {
            let wait_mode = two(self);
            let client = self.client(wait_mode, &format!("{name}: querier {number}"));
            let work = Arc::clone(&contended).query(client, self.random.u64(..));
            self.spawn(wait_mode, work);
        }
    }

    /// Spawns several readers of one file.
    fn share(&mut self) {
        let name = self.name("shared");
        let readers = self.random.usize(2..4);
        let path = self.session.dir.join(&name);
        let shared = SharedReaders::new(&self.session, &path, &mut self.random, readers);
        self.shared.push(Arc::clone(&shared));
        for number in 0..readers {
            let wait_mode = [WaitMode::Thread, WaitMode::Task][self.random.usize(..2)];
            let client = self.client(wait_mode, &format!("{name}: reader {number}"));
            let work = Arc::clone(&shared).read(client, self.random.u64(..));
            self.spawn(wait_mode, work);
        }
    }

    fn failures(&mut self) {
        for _ in 0..self.random.usize(1..3) {
            let (wait_mode, name) = (self.wait_mode(), self.name("failing"));
            let client = self.client(wait_mode, &name);
            let (path, end) = match &self.harness.full {
                Some(full) if self.random.bool() => (full.join(&name), End::Full),
                _ => (self.harness.dir.join(&name), End::Limit),
            };
            let work = faults::overrun(client, path, end, self.random.u64(..));
            self.spawn(wait_mode, work);
        }
    }

    fn readers(&mut self) {
        let name = self.name("stopped");
        let path = self.session.dir.join(&name);
        std::fs::write(&path, vec![7; 1 << 20]).unwrap();
        let client = self.client(WaitMode::Thread, &name);
        let files = self.random.usize(1..20);
        self.spawn(WaitMode::Thread, faults::stop_reading(client, path, files));
    }

    fn log(&mut self) {
        let name = self.name("log");
        let path: &Path = &self.session.dir.join(&name);
        for work in logs::log(&self.session, path, &name, self.random.u64(..)) {
            self.running.push(Running::Thread(std::thread::spawn(work)));
        }
    }

    fn check_contended(&self) {
        if self.session.is_certain() {
            for contended in &self.contended {
                contended.check(&self.session);
            }
        }
        for shared in &self.shared {
            shared.check();
        }
    }
}
