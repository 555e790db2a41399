//! One engine, some actors, and an end: all drawn from a seed.

use crate::client::{Client, Way};
use crate::crowd::{Crowd, Shared};
use crate::desk::{Desk, Executor};
use crate::event_loop::{self, Trigger};
use crate::post::{Call, Post};
use crate::stage::Stage;
use crate::trouble::{self, End};
use crate::walker::Walker;
use crate::watchdog;
use crate::{World, logs};
use efio_core::{BackendKind, Engine, Fd, ShutdownReport};
use fastrand::Rng;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

/// Which actors there can be.
pub const KINDS: [&str; 6] = ["walkers", "crowd", "failures", "readers", "frozen", "log"];

/// How the scene ends.
#[derive(Clone, Copy, Debug)]
enum Ending {
    /// The actors finish, then the engine is shut down.
    Quiet,
    /// The engine is shut down in the middle of everything.
    Sudden(Duration),
}

/// What runs somewhere and comes to an end.
enum Running {
    Thread(JoinHandle<()>),
    Task(tokio::task::JoinHandle<()>),
}

pub struct Scene<'a> {
    world: &'a World,
    random: Rng,
    stage: Arc<Stage>,
    /// `None` with a callback.
    trigger: Option<Trigger>,
    running: Vec<Running>,
    crowds: Vec<Arc<Crowd>>,
    shared: Vec<Arc<Shared>>,
    names: u32,
    frozen: bool,
}

/// Plays a scene; how many bytes were compared.
pub fn play(world: &World, seed: u64, is_wanted: &dyn Fn(&str) -> bool) -> u64 {
    let mut random = Rng::with_seed(seed);
    let frozen = world.disk.is_some() && is_wanted("frozen") && random.u8(..4) == 0;
    let trigger = [Trigger::Level, Trigger::Edge, Trigger::OneShot].get(random.usize(..4));
    let dir = match &world.disk {
        Some(disk) if frozen => disk.join(&format!("scene-{seed}")),
        _ => world.dir.join(&format!("scene-{seed}")),
    };
    std::fs::create_dir(&dir).unwrap();
    let (desk, executor) = <(Arc<Desk>, Arc<Executor>)>::default();
    let mut title = format!("EFIO_SOAK_SEED={seed} plays it again: ");
    let engine = start(&mut random, trigger.is_none(), &desk, &executor, &mut title);
    let stage = Arc::new(Stage::new(engine, desk, Arc::clone(&executor), dir.clone()));
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
    watchdog::watch(Some((&stage, title)));
    let mut scene = Scene {
        world,
        random,
        stage,
        trigger: trigger.copied(),
        running: Vec::new(),
        crowds: Vec::new(),
        shared: Vec::new(),
        names: 0,
        frozen,
    };
    scene.cast(is_wanted);
    std::thread::scope(|scope| {
        let stage = &scene.stage;
        if let Some(disk) = world.disk.as_ref().filter(|_| frozen) {
            scope.spawn(|| trouble::freeze(stage, disk, seed));
        }
        if let Some(&trigger) = trigger {
            scope.spawn(move || event_loop::run(stage, trigger));
        } else {
            stage.executor.run();
        }
        std::thread::sleep(Duration::from_millis(millis));
        let running = std::mem::take(&mut scene.running);
        end(world, stage, ending, running);
    });
    executor.clear();
    let compared = scene
        .stage
        .compared
        .load(std::sync::atomic::Ordering::Relaxed);
    watchdog::watch(None);
    scene.check_crowds();
    drop(scene);
    let _ = std::fs::remove_dir_all(dir);
    compared
}

/// An engine with small limits.
fn start(
    random: &mut Rng,
    is_callback: bool,
    desk: &Arc<Desk>,
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
        // The tasks own what owns the engine, which owns this.
        let (desk, executor): (Weak<Desk>, Weak<Executor>) =
            (Arc::downgrade(desk), Arc::downgrade(executor));
        builder = builder.on_event(move |event| {
            if let (Some(desk), Some(executor)) = (desk.upgrade(), executor.upgrade()) {
                desk.deliver(event);
                executor.run();
            }
        });
    }
    builder.start().unwrap()
}

/// Ends the scene, and looks at what is on the disk.
fn end(world: &World, stage: &Arc<Stage>, ending: Ending, running: Vec<Running>) {
    let post = stage.posts.add("the scene".into());
    let (timeout, running) = match ending {
        Ending::Quiet => {
            stage.stop();
            join(world, &post, running);
            while !stage.executor.is_done() {
                std::thread::sleep(Duration::from_millis(1));
            }
            (Duration::from_secs(60), Vec::new())
        }
        Ending::Sudden(timeout) => (timeout, running),
    };
    let engine = stage.take_engine();
    let report = {
        let _busy = post.begin(Call::Shutdown, None);
        engine.shutdown(timeout).unwrap()
    };
    stage.set_over();
    join(world, &post, running);
    stage.stop();
    let is_certain = report.is_clean() || matches!(ending, Ending::Quiet);
    assert!(
        report.is_clean() || timeout < Duration::from_secs(60),
        "{report:?} after {timeout:?}"
    );
    stage.executor.clear();
    check_records(stage, &report);
    stage.set_certain(is_certain);
}

fn join(world: &World, post: &Arc<Post>, running: Vec<Running>) {
    let _busy = post.begin(Call::Rest, None);
    for running in running {
        match running {
            Running::Thread(thread) => thread.join().unwrap(),
            Running::Task(task) => world.runtime.block_on(task).unwrap(),
        }
    }
}

/// Each file holds what was accepted, unless the report says that it may not.
fn check_records(stage: &Stage, report: &ShutdownReport) {
    let is_left = |fd: &Fd| report.unfinished.iter().any(|(left, _)| left == fd);
    for record in &*stage.records.lock().unwrap() {
        let record = record.lock().unwrap();
        if record.fds.is_empty() || record.fds.iter().any(is_left) {
            continue;
        }
        let bytes =
            std::fs::read(&record.path).unwrap_or_else(|e| panic!("{:?}: {e}", record.path));
        let name = || format!("{:?} after the end, {report:?}", record.path);
        stage.compare(name, &bytes, &record.bytes);
    }
}

impl Scene<'_> {
    /// Starts the actors.
    fn cast(&mut self, is_wanted: &dyn Fn(&str) -> bool) {
        let drawn = |scene: &mut Self, kind| is_wanted(kind) && scene.random.u8(..3) > 0;
        if is_wanted("walkers") || is_wanted("frozen") {
            for _ in 0..self.random.usize(1..8) {
                self.walker();
            }
        }
        if drawn(self, "crowd") {
            self.crowd();
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

    /// One of the ways that this engine allows.
    fn way(&mut self) -> Way {
        match self.random.u8(..3) {
            0 => Way::Thread,
            1 => Way::Task,
            _ if self.trigger.is_some() => Way::Loop,
            _ => Way::Callback,
        }
    }

    fn name(&mut self, what: &str) -> String {
        self.names += 1;
        format!("{what}-{}", self.names)
    }

    fn client(&mut self, way: Way, name: &str) -> Client {
        Client::new(&self.stage, way, name, self.random.u64(..))
    }

    fn spawn(&mut self, way: Way, work: impl Future<Output = ()> + Send + 'static) {
        match way {
            Way::Thread => {
                let work = move || futures::executor::block_on(work);
                self.running.push(Running::Thread(std::thread::spawn(work)));
            }
            Way::Task => {
                let task = self.world.runtime.spawn(work);
                self.running.push(Running::Task(task));
            }
            Way::Loop | Way::Callback => self.stage.executor.spawn(work),
        }
    }

    fn walker(&mut self) {
        let (way, name) = (self.way(), self.name("walker"));
        let path = self.stage.dir.join(&name);
        let client = self.client(way, &name);
        let walker = Walker::new(client, path, self.random.u64(..));
        self.spawn(way, walker.run());
    }

    /// Several writers and several who ask.
    fn crowd(&mut self) {
        let name = self.name("crowd");
        let (writers, askers) = (self.random.usize(1..4), self.random.usize(2..5));
        let path = self.stage.dir.join(&name);
        let crowd = Crowd::new(&self.stage, path, &mut self.random, writers);
        crowd.expect_askers(askers);
        self.crowds.push(Arc::clone(&crowd));
        let two = |scene: &mut Self| [Way::Thread, Way::Task][scene.random.usize(..2)];
        for number in 0..writers {
            let way = two(self);
            let client = self.client(way, &format!("{name}: writer {number}"));
            let work = Arc::clone(&crowd).write(client, number, self.random.u64(..));
            self.spawn(way, work);
        }
        for number in 0..askers {
            let way = two(self);
            let client = self.client(way, &format!("{name}: asker {number}"));
            let work = Arc::clone(&crowd).ask(client, self.random.u64(..));
            self.spawn(way, work);
        }
    }

    /// Several readers of one file.
    fn share(&mut self) {
        let name = self.name("shared");
        let readers = self.random.usize(2..4);
        let path = self.stage.dir.join(&name);
        let shared = Shared::new(&self.stage, &path, &mut self.random, readers);
        self.shared.push(Arc::clone(&shared));
        for number in 0..readers {
            let way = [Way::Thread, Way::Task][self.random.usize(..2)];
            let client = self.client(way, &format!("{name}: reader {number}"));
            let work = Arc::clone(&shared).read(client, self.random.u64(..));
            self.spawn(way, work);
        }
    }

    fn failures(&mut self) {
        for _ in 0..self.random.usize(1..3) {
            let (way, name) = (self.way(), self.name("failing"));
            let client = self.client(way, &name);
            let (path, end) = match &self.world.full {
                Some(full) if self.random.bool() => (full.join(&name), End::Full),
                _ => (self.world.dir.join(&name), End::Limit),
            };
            let work = trouble::overrun(client, path, end, self.random.u64(..));
            self.spawn(way, work);
        }
    }

    fn readers(&mut self) {
        let name = self.name("stopped");
        let path = self.stage.dir.join(&name);
        std::fs::write(&path, vec![7; 1 << 20]).unwrap();
        let client = self.client(Way::Thread, &name);
        let files = self.random.usize(1..20);
        self.spawn(Way::Thread, trouble::stop_reading(client, path, files));
    }

    fn log(&mut self) {
        let name = self.name("log");
        let path: &Path = &self.stage.dir.join(&name);
        for work in logs::log(&self.stage, path, &name, self.random.u64(..)) {
            self.running.push(Running::Thread(std::thread::spawn(work)));
        }
    }

    fn check_crowds(&self) {
        if self.stage.is_certain() {
            for crowd in &self.crowds {
                crowd.check(&self.stage);
            }
        }
        for shared in &self.shared {
            shared.check();
        }
    }
}
