//! The event callback: order, calls from inside, panics, the end of an engine.

mod common;

use common::{Dir, TIMEOUT};
use efio_core::sim::{Config, Simulation};
use efio_core::{Engine, Event, EventKind, Fd, File, OpenOptions, SimOptions};
use std::io::ErrorKind;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::{Duration, Instant};

fn create() -> OpenOptions {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
}

/// Starts an engine whose callback sends its events to the receiver.
fn engine_with_callback() -> (Engine, Receiver<Event>) {
    let (sender, receiver) = channel();
    let engine = Engine::builder().on_event(move |event| {
        let _ = sender.send(event);
    });
    (engine.start().unwrap(), receiver)
}

#[test]
fn events_come_in_order_and_not_into_the_queue() {
    let dir = Dir::new();
    let (engine, receiver) = engine_with_callback();
    let file = engine.open(dir.join("file"), &create()).unwrap();
    let fd = file.fd();
    file.write(b"bytes").unwrap();
    file.sync().unwrap();
    let next = || receiver.recv_timeout(TIMEOUT).unwrap();
    let opened = next();
    assert_eq!((opened.fd, opened.kind), (fd, EventKind::Opened));
    assert_eq!(next().kind, EventKind::Synced { upto: 5 });
    file.close().unwrap();
    assert_eq!(next().kind, EventKind::Closed { result: Ok(()) });
    assert!(engine.events().try_next().is_none());
    assert!(engine.shutdown(TIMEOUT).unwrap().is_clean());
    assert!(
        receiver.recv().is_err(),
        "the callback goes with the engine"
    );
}

/// F46: each step of a copy is made by the callback of the one before, on the engine's thread.
#[test]
fn a_callback_uses_files_and_the_engine() {
    struct Copy {
        engine: OnceLock<Weak<Engine>>,
        files: Mutex<(Option<File>, Option<File>)>,
        rest: Mutex<Vec<u8>>,
    }
    impl Copy {
        /// Set a moment after the first event may have come.
        fn engine(&self) -> Arc<Engine> {
            loop {
                match self.engine.get() {
                    Some(engine) => return engine.upgrade().unwrap(),
                    None => std::thread::yield_now(),
                }
            }
        }

        /// Copies as much as is ready; true once the close of the target is submitted.
        fn go_on(&self) -> bool {
            let mut files = self.files.lock().unwrap();
            let mut rest = self.rest.lock().unwrap();
            let (Some(from), Some(to)) = (&files.0, &files.1) else {
                return false;
            };
            loop {
                if rest.is_empty() {
                    rest.resize(100_000, 0);
                    match from.read(&mut rest) {
                        Ok(0) => {
                            files.1.take().unwrap().close_sync().unwrap();
                            return true;
                        }
                        result => rest.truncate(result.as_ref().copied().unwrap_or(0)),
                    }
                }
                if rest.is_empty() {
                    return false;
                }
                match to.write(&rest) {
                    Ok(n) => drop(rest.drain(..n)),
                    Err(error) => {
                        assert_eq!(error.kind(), ErrorKind::WouldBlock);
                        return false;
                    }
                }
            }
        }
    }

    let dir = Dir::new();
    let bytes: Vec<u8> = (0..20 << 20).map(|n: u32| (n / 7) as u8).collect();
    std::fs::write(dir.join("from"), &bytes).unwrap();
    let copy = Arc::new(Copy {
        engine: OnceLock::new(),
        files: Mutex::default(),
        rest: Mutex::default(),
    });
    let (done, copied) = channel();
    let engine = {
        let (copy, to) = (Arc::clone(&copy), dir.join("to"));
        Engine::builder()
            .memory_budget(4 << 20)
            .on_event(move |event| {
                let engine = copy.engine();
                match event.kind {
                    // The source is open: the target is opened from in here.
                    EventKind::Opened if copy.files.lock().unwrap().1.is_none() => {
                        let file = engine.open(&to, &create()).unwrap();
                        copy.files.lock().unwrap().1 = Some(file);
                        copy.go_on();
                    }
                    EventKind::Closed { result } => done.send(result).unwrap(),
                    _ => drop(copy.go_on()),
                }
            })
    };
    let engine = Arc::new(engine.start().unwrap());
    let from = engine.open(dir.join("from"), &OpenOptions::new().read(true));
    copy.files.lock().unwrap().0 = Some(from.unwrap());
    copy.engine.set(Arc::downgrade(&engine)).unwrap();
    assert_eq!(copied.recv_timeout(TIMEOUT).unwrap(), Ok(()));
    assert!(std::fs::read(dir.join("to")).unwrap() == bytes);
}

/// F53.
#[test]
fn a_panicking_callback_is_counted_and_the_others_go_on() {
    let dir = Dir::new();
    let bad = Arc::new(OnceLock::<Fd>::new());
    let (sender, receiver) = channel();
    let engine = {
        let bad = Arc::clone(&bad);
        Engine::builder().on_event(move |event| {
            if bad.get() == Some(&event.fd) && matches!(event.kind, EventKind::Synced { .. }) {
                panic!("planned");
            }
            sender.send(event).unwrap();
        })
    };
    let engine = engine.start().unwrap();
    let open = |name| engine.open(dir.join(name), &create()).unwrap();
    let (bad_file, good_file) = (open("bad"), open("good"));
    bad.set(bad_file.fd()).unwrap();
    for file in [&bad_file, &good_file] {
        file.write(b"bytes").unwrap();
        file.sync().unwrap();
    }
    let good = good_file.fd();
    let bad = bad_file.fd();
    drop((bad_file, good_file));
    let mut closed = Vec::new();
    let mut synced = Vec::new();
    while closed.len() < 2 {
        let event = receiver.recv_timeout(TIMEOUT).unwrap();
        match event.kind {
            EventKind::Closed { result } => closed.push((event.fd, result)),
            EventKind::Synced { .. } => synced.push(event.fd),
            _ => {}
        }
    }
    closed.sort_by_key(|&(fd, _)| fd);
    assert_eq!(closed, [(bad, Ok(())), (good, Ok(()))]);
    assert_eq!(synced, [good]);
    assert_eq!(engine.stats().callback_panics, 1);
}

/// An engine that ends in its own callback does not wait for itself.
#[test]
fn the_end_of_the_engine_in_its_callback() {
    let dir = Dir::new();
    for by_shutdown in [true, false] {
        let path = dir.join(if by_shutdown { "shutdown" } else { "drop" });
        let holder = Arc::new(Mutex::new(None::<Engine>));
        let (sender, receiver) = channel();
        let engine = {
            let holder = Arc::clone(&holder);
            Engine::builder().on_event(move |event| {
                let engine = holder.lock().unwrap().take();
                let result = match (engine, by_shutdown) {
                    (Some(engine), true) => engine.shutdown(TIMEOUT).map(drop),
                    (engine, _) => {
                        drop(engine);
                        Ok(())
                    }
                };
                let errno = result.err().and_then(|error| error.raw_os_error());
                sender.send((event, errno)).unwrap();
            })
        };
        let mut held = holder.lock().unwrap();
        let engine = held.insert(engine.start().unwrap());
        let file = engine.open(&path, &create()).unwrap();
        file.write(b"accepted").unwrap();
        drop(held);
        let (opened, errno) = receiver.recv_timeout(TIMEOUT).unwrap();
        assert_eq!(opened.kind, EventKind::Opened);
        assert_eq!(errno, by_shutdown.then_some(libc::EDEADLK));
        let (closed, _) = receiver.recv_timeout(TIMEOUT).unwrap();
        assert_eq!(closed.kind, EventKind::Closed { result: Ok(()) });
        assert!(
            receiver.recv_timeout(TIMEOUT).is_err(),
            "the driver is gone"
        );
        assert_eq!(std::fs::read(&path).unwrap(), b"accepted");
        assert!(file.write(b"too late").is_err());
    }
}

/// A file that only the callback owns is closed when the engine ends, and no memory is left.
#[test]
fn a_callback_may_own_files() {
    let dir = Dir::new();
    let files = Arc::new(Mutex::new(Vec::<File>::new()));
    let engine = {
        let files = Arc::clone(&files);
        Engine::builder().on_event(move |_| assert!(files.lock().unwrap().len() < 2))
    };
    let engine = engine.start().unwrap();
    let file = engine.open(dir.join("file"), &create()).unwrap();
    file.write(b"accepted").unwrap();
    files.lock().unwrap().push(file);
    let watch = Arc::downgrade(&files);
    drop(files);
    drop(engine);
    assert!(watch.upgrade().is_none());
    assert_eq!(std::fs::read(dir.join("file")).unwrap(), b"accepted");
}

/// F46 in virtual time: the same events whether the queue or a callback delivers them, and a
/// callback that makes further calls.
#[test]
fn a_simulation_delivers_at_the_end_of_a_turn() {
    let options = SimOptions {
        short: 300,
        transient: 100,
        ..SimOptions::default()
    };
    let config = Config {
        memory_budget: 4 << 20,
        write_behind: Some(8192),
        ..Config::default()
    };
    let mut simulation = Simulation::new(config, 7, options).unwrap();
    let kinds = Arc::new(Mutex::new(Vec::new()));
    {
        let (engine, kinds) = (Arc::downgrade(simulation.engine()), Arc::clone(&kinds));
        let accepted = Mutex::new(0);
        simulation.on_event(move |event| {
            let engine = engine.upgrade().unwrap();
            let mut accepted = accepted.lock().unwrap();
            match event.kind {
                EventKind::Opened | EventKind::Writable => {
                    while *accepted < 100_000 {
                        match engine.file(event.fd).write(&vec![7; 100_000 - *accepted]) {
                            Ok(n) => *accepted += n,
                            Err(_) => break,
                        }
                    }
                    if *accepted == 100_000 {
                        engine.file(event.fd).close_sync().unwrap();
                    }
                }
                _ => {}
            }
            kinds.lock().unwrap().push(event.kind);
        });
    }
    let file = simulation.engine().open("/file", &create()).unwrap();
    let started = Instant::now();
    let ended = |kinds: &Vec<EventKind>| matches!(kinds.last(), Some(EventKind::Closed { .. }));
    while !ended(&kinds.lock().unwrap()) {
        assert!(started.elapsed() < TIMEOUT);
        simulation.turn(Duration::from_millis(5));
    }
    let kinds = kinds.lock().unwrap();
    assert_eq!(kinds[0], EventKind::Opened);
    assert_eq!(kinds.last(), Some(&EventKind::Closed { result: Ok(()) }));
    assert!(kinds.contains(&EventKind::Writable), "it was held back");
    assert!(simulation.engine().events().try_next().is_none());
    assert_eq!(
        simulation
            .store()
            .inode("/file")
            .unwrap()
            .lock()
            .unwrap()
            .durable(),
        [7; 100_000]
    );
    assert!(file.close().is_err(), "closed by number");
}

/// Counts the threads of this process whose name begins with `name`.
fn threads(name: &str) -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap().flatten();
    let names = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("comm")).ok());
    names.filter(|comm| comm.starts_with(name)).count()
}

/// The engine's threads end by the end of the shutdown, and the callback is dropped with them.
#[test]
fn a_clean_shutdown_leaves_no_thread() {
    let dir = Dir::new();
    for round in 0..30 {
        let owned = Arc::new(());
        let theirs = Arc::clone(&owned);
        let engine = Engine::builder().thread_name("goes");
        let engine = engine.on_event(move |_| drop(Arc::clone(&theirs)));
        let engine = engine.start().unwrap();
        let file = engine.open(dir.join("file"), &create()).unwrap();
        file.write(b"bytes").unwrap();
        assert!(threads("goes") > 0);
        if round % 2 == 0 {
            assert!(engine.shutdown(TIMEOUT).unwrap().is_clean());
        } else {
            drop(engine);
        }
        assert_eq!((threads("goes"), Arc::strong_count(&owned)), (0, 1));
    }
}

/// The kernel gets what the turn submitted before the callback runs.
///
/// A callback holds the driver until the file was opened and written, so that one turn finds the
/// completed open and the accepted bytes, and submits the write.
#[test]
fn a_slow_callback_does_not_hold_up_the_disk() {
    const LEN: usize = 128 << 10;
    let dir = Dir::new();
    let path = dir.join("file");
    let (sender, receiver) = channel();
    let watched = path.clone();
    let (let_go, held) = channel();
    let held = Mutex::new(held);
    let engine = Engine::builder().on_event(move |event| {
        let first_is_let_go = || held.lock().unwrap().recv().is_ok();
        if event.kind == EventKind::Opened && !first_is_let_go() {
            let deadline = Instant::now() + Duration::from_secs(20);
            let is_there = || std::fs::metadata(&watched).unwrap().len() == LEN as u64;
            while !is_there() && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(1));
            }
            sender.send(is_there()).unwrap();
        }
    });
    let engine = engine.start().unwrap();
    let _gate = engine.open(dir.join("gate"), &create()).unwrap();
    let file = engine.open(&path, &create()).unwrap();
    assert_eq!(file.write(&vec![1; LEN]).unwrap(), LEN);
    let_go.send(()).unwrap();
    drop(let_go);
    assert!(receiver.recv_timeout(TIMEOUT).unwrap(), "not written");
}
