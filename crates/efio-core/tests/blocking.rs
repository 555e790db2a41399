//! Waiting on the calling thread, readiness, and calls with several buffers.

mod common;

use common::{Dir, TIMEOUT};
use efio_core::sim::{Config, Simulation};
use efio_core::{Engine, EventKind, File, IoMode, OpenOptions, SimOptions};
use std::io::{self, ErrorKind, IoSlice, IoSliceMut};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

const SOON: Option<Duration> = Some(TIMEOUT);

fn both() -> OpenOptions {
    let options = OpenOptions::new().read(true).write(true).events(false);
    options.create(true).truncate(true)
}

fn errno<R>(result: io::Result<R>) -> Option<i32> {
    result.err().and_then(|error| error.raw_os_error())
}

fn simulation() -> Simulation {
    let config = Config {
        memory_budget: 4 << 20,
        ..Config::default()
    };
    Simulation::new(config, 1, SimOptions::default()).unwrap()
}

fn write_all(file: &File, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        match file.write(bytes) {
            Ok(n) => bytes = &bytes[n..],
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                file.blocking(SOON).wait_writable().unwrap();
            }
        }
    }
}

fn read_all(file: &File) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut buf = vec![0; 100_000];
    loop {
        file.blocking(SOON).wait_readable().unwrap();
        match file.read(&mut buf).expect("it was reported as readable") {
            0 => return bytes,
            n => bytes.extend(&buf[..n]),
        }
    }
}

/// A program without an event loop; more bytes than memory, so that every kind of wait occurs.
#[test]
fn a_file_works_by_waiting_only() {
    let dir = Dir::new();
    let bytes: Vec<u8> = (0..10 << 20).map(|n: u32| (n / 5) as u8).collect();
    for mode in [
        IoMode::Auto,
        IoMode::Direct,
        IoMode::Uncached,
        IoMode::Cached,
    ] {
        let engine = Engine::builder().memory_budget(4 << 20).io_mode(mode);
        let engine = engine.start().unwrap();
        let file = engine.open(dir.join("file"), &both()).unwrap();
        file.blocking(SOON).wait_open().unwrap();
        write_all(&file, &bytes);
        file.blocking(SOON).flush().unwrap();
        assert_eq!(file.progress().unwrap().written, bytes.len() as u64);
        let mark = file.sync().unwrap();
        file.blocking(SOON).wait_synced(mark).unwrap();
        assert_eq!(file.progress().unwrap().durable, mark);
        file.set_position(0).unwrap();
        assert!(read_all(&file) == bytes, "{mode:?}");
        file.wait_closed(SOON).unwrap();
        assert!(engine.events().try_next().is_none(), "wakers, so no events");
        assert!(std::fs::read(dir.join("file")).unwrap() == bytes);
    }
}

/// A wait for a sync submits one if none is pending; a sync of nothing completes at once.
#[test]
fn a_sync_is_waited_for_whoever_asked() {
    let dir = Dir::new();
    let engine = Engine::new().unwrap();
    let file = engine.open(dir.join("file"), &both()).unwrap();
    file.blocking(SOON).wait_synced(0).unwrap();
    assert_eq!(engine.stats().syncs, 0, "no byte is pending");
    let mark = file.sync().unwrap();
    file.blocking(SOON).wait_synced(mark).unwrap();
    assert_eq!((mark, engine.stats().syncs), (0, 1), "the new name is");
    file.write(b"bytes").unwrap();
    file.blocking(SOON).wait_synced(5).unwrap();
    assert_eq!(file.progress().unwrap().durable, 5);
    assert_eq!(
        errno(file.blocking(SOON).wait_synced(6)),
        Some(libc::EINVAL)
    );
}

#[test]
fn errors_end_a_wait() {
    let dir = Dir::new();
    let engine = Engine::new().unwrap();
    let read = OpenOptions::new().read(true).events(false);
    let missing = engine.open(dir.join("missing"), &read).unwrap();
    assert_eq!(
        errno(missing.blocking(SOON).wait_open()),
        Some(libc::ENOENT)
    );
    missing.blocking(SOON).wait_readable().unwrap();
    assert_eq!(errno(missing.read(&mut [0])), Some(libc::ENOENT));
    assert_eq!(errno(missing.blocking(SOON).flush()), Some(libc::ENOENT));
    assert_eq!(
        errno(missing.blocking(SOON).wait_writable()),
        Some(libc::EBADF)
    );
    let fd = missing.fd();
    assert_eq!(errno(missing.wait_closed(SOON)), Some(libc::ENOENT));
    assert_eq!(
        errno(engine.file(fd).blocking(SOON).wait_open()),
        Some(libc::EBADF)
    );
    assert_eq!(errno(engine.file(fd).wait_closed(SOON)), Some(libc::EBADF));
    let write = OpenOptions::new().write(true).create(true);
    let file = engine.open(dir.join("file"), &write).unwrap();
    assert_eq!(
        errno(file.blocking(SOON).wait_readable()),
        Some(libc::EBADF)
    );
    assert_eq!(errno(engine.file(fd).readiness()), Some(libc::EBADF));
}

/// Nothing drives the simulation: each wait ends at its deadline, and not before.
#[test]
fn a_deadline_ends_a_wait() {
    let simulation = simulation();
    let file = simulation.engine().open("/file", &both()).unwrap();
    file.write(b"bytes").unwrap();
    let timeout = Duration::from_millis(30);
    type Wait<'a> = &'a dyn Fn(Duration) -> io::Result<()>;
    let waits: [(&str, Wait<'_>); 4] = [
        ("open", &|time| file.blocking(time).wait_open()),
        ("readable", &|time| file.blocking(time).wait_readable()),
        ("flushed", &|time| file.blocking(time).flush()),
        ("synced", &|time| file.blocking(time).wait_synced(5)),
    ];
    for (name, wait) in waits {
        let start = Instant::now();
        assert_eq!(
            wait(timeout).unwrap_err().kind(),
            ErrorKind::TimedOut,
            "{name}"
        );
        assert!(start.elapsed() >= timeout, "{name}");
        assert_eq!(
            wait(Duration::ZERO).unwrap_err().kind(),
            ErrorKind::TimedOut
        );
    }
    let closed = file.wait_closed(Some(timeout));
    assert_eq!(closed.unwrap_err().kind(), ErrorKind::TimedOut);
}

/// F46: a wait in a callback is refused: it would wait for its own thread.
#[test]
fn a_wait_in_a_callback_is_refused() {
    let dir = Dir::new();
    let file = Arc::new(Mutex::new(None::<File>));
    let (sender, receiver) = channel();
    let engine = {
        let file = Arc::clone(&file);
        Engine::builder().on_event(move |event| {
            if event.kind == EventKind::Opened {
                let file = file.lock().unwrap().take().unwrap();
                let waits = [
                    file.blocking(None).wait_open(),
                    file.blocking(SOON).wait_readable(),
                    file.blocking(None).wait_writable(),
                    file.blocking(None).flush(),
                    file.blocking(None).wait_synced(0),
                    file.wait_closed(None),
                ];
                let _ = sender.send(waits.map(errno));
            }
        })
    };
    let engine = engine.start().unwrap();
    let mut held = file.lock().unwrap();
    let options = OpenOptions::new().read(true).write(true).create(true);
    *held = Some(engine.open(dir.join("file"), &options).unwrap());
    drop(held);
    let errors = receiver.recv_timeout(TIMEOUT).unwrap();
    assert_eq!(errors, [Some(libc::EDEADLK); 6]);
}

/// The driver or the file ends: every wait returns with an error.
#[test]
fn the_end_of_the_engine_or_the_file_ends_a_wait() {
    for by_close in [true, false] {
        let mut simulation = simulation();
        let file = Arc::new(simulation.engine().open("/file", &both()).unwrap());
        file.write(b"bytes").unwrap();
        let (fd, engine) = (file.fd(), Arc::clone(simulation.engine()));
        let waits: [fn(&File) -> io::Result<()>; 4] = [
            |file| file.blocking(None).wait_open(),
            |file| file.blocking(None).wait_readable(),
            |file| file.blocking(None).flush(),
            |file| file.blocking(None).wait_synced(5),
        ];
        let waiting = waits.map(|wait| {
            let file = Arc::clone(&file);
            thread::spawn(move || errno(wait(&file)))
        });
        // Most of them wait by now; the others return at once.
        thread::sleep(Duration::from_millis(20));
        if by_close {
            engine.file(fd).close().unwrap();
            simulation.turn(Duration::ZERO);
        } else {
            drop(simulation);
        }
        let expected = if by_close {
            libc::EBADF
        } else {
            libc::ESHUTDOWN
        };
        for thread in waiting {
            assert_eq!(thread.join().unwrap(), Some(expected));
        }
    }
}

#[test]
fn a_close_that_the_engine_leaves_behind_says_so() {
    let mut simulation = simulation();
    let file = simulation.engine().open("/file", &both()).unwrap();
    let late = simulation.engine().open("/late", &both()).unwrap();
    let closing = thread::spawn(move || errno(file.wait_closed(None)));
    simulation.turn(Duration::ZERO);
    drop(simulation);
    assert_eq!(closing.join().unwrap(), Some(libc::ESHUTDOWN));
    assert_eq!(
        errno(late.blocking(None).wait_open()),
        Some(libc::ESHUTDOWN)
    );
    assert_eq!(errno(late.wait_closed(None)), Some(libc::ESHUTDOWN));
}

#[test]
fn a_wait_after_the_shutdown_does_not_hang() {
    let dir = Dir::new();
    let engine = Engine::new().unwrap();
    let file = engine.open(dir.join("file"), &both()).unwrap();
    file.write(b"bytes").unwrap();
    assert!(engine.shutdown(TIMEOUT).unwrap().is_clean());
    assert_eq!(
        errno(file.blocking(None).wait_open()),
        Some(libc::ESHUTDOWN)
    );
    assert_eq!(errno(file.blocking(None).flush()), Some(libc::ESHUTDOWN));
    assert_eq!(errno(file.wait_closed(None)), Some(libc::ESHUTDOWN));
    assert_eq!(std::fs::read(dir.join("file")).unwrap(), b"bytes");
}

/// F51: a forked child has no driver, and does not wait for it.
#[test]
fn a_forked_child_does_not_wait() {
    let dir = Dir::new();
    let engine = Engine::new().unwrap();
    let file = engine.open(dir.join("file"), &both()).unwrap();
    // SAFETY: the child calls efio, which takes no lock in a child, and leaves by `_exit`.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let gone = |result: io::Result<()>| errno(result) == Some(libc::ESHUTDOWN);
        let clean = gone(file.blocking(None).wait_open())
            && gone(file.blocking(None).wait_readable())
            && gone(file.blocking(None).wait_synced(0))
            && gone(engine.file(file.fd()).readiness().map(drop))
            && gone(file.wait_closed(None));
        // SAFETY: ends the child without the parent's atexit handlers.
        unsafe { libc::_exit(if clean { 0 } else { 1 }) };
    }
    let mut status = 0;
    // SAFETY: waits for the child made above.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    assert_eq!(status, 0, "the child");
    file.wait_closed(SOON).unwrap();
}

#[test]
fn readiness_is_what_a_call_would_find() {
    let mut simulation = simulation();
    simulation.store().put("/file", &[7; 5000]);
    let options = OpenOptions::new().read(true).write(true);
    let file = simulation.engine().open("/file", &options).unwrap();
    let engine = Arc::clone(simulation.engine());
    let ready = || {
        let ready = engine.file(file.fd()).readiness().unwrap();
        (ready.readable, ready.writable)
    };
    let settle = |simulation: &mut Simulation| {
        for _ in 0..20 {
            simulation.turn(Duration::from_millis(100));
        }
    };
    settle(&mut simulation);
    assert_eq!(ready(), (false, true), "no call asked for bytes");
    let mut buf = [0; 5000];
    assert!(file.read(&mut buf).is_err());
    settle(&mut simulation);
    assert_eq!(ready(), (true, true));
    let mut read = 0;
    while read < 5000 {
        match file.read(&mut buf[read..]) {
            Ok(n) => read += n,
            Err(_) => {
                assert!(!ready().0);
                settle(&mut simulation);
            }
        }
    }
    settle(&mut simulation);
    if !ready().0 {
        assert!(file.read(&mut buf).is_err());
        settle(&mut simulation);
    }
    assert_eq!(ready(), (true, true), "the end of file");
    assert_eq!(file.read(&mut buf).unwrap(), 0);
    while file.write(&[1; 100_000]).is_ok() {}
    assert!(!ready().1, "no room");
    settle(&mut simulation);
    assert!(ready().1);
}

/// One hold of the file's lock for all buffers: beside another writer each call's bytes stay
/// together.
#[test]
fn several_buffers_are_one_call() {
    let dir = Dir::new();
    let engine = Engine::new().unwrap();
    let options = both().truncate(false).write(false).read(false).append(true);
    let file = Arc::new(engine.open(dir.join("log"), &options).unwrap());
    // So few that the memory available at the start takes them all, and no call is short.
    const CALLS: usize = 500;
    let writers: Vec<_> = [b'a', b'b']
        .map(|byte| {
            let file = Arc::clone(&file);
            thread::spawn(move || {
                let (head, body, tail) = ([byte; 3], [byte; 1000], [byte; 4]);
                for _ in 0..CALLS {
                    let bufs = [&head[..], &[], &body, &tail].map(IoSlice::new);
                    while file.write_vectored(&bufs).is_err() {
                        file.blocking(SOON).wait_writable().unwrap();
                    }
                }
            })
        })
        .into();
    for writer in writers {
        writer.join().unwrap();
    }
    let accepted = file.progress().unwrap().accepted;
    assert_eq!(
        accepted,
        2 * CALLS as u64 * 1007,
        "none was short in so much room"
    );
    file.blocking(SOON).flush().unwrap();
    let there = std::fs::read(dir.join("log")).unwrap();
    for call in there.chunks(1007) {
        assert!(call.iter().all(|&byte| byte == call[0]));
    }

    let options = OpenOptions::new().read(true).events(false);
    for mode in [IoMode::Auto, IoMode::Cached] {
        let log = engine
            .open(dir.join("log"), &options.clone().io_mode(mode))
            .unwrap();
        let mut seen: Vec<u8> = Vec::new();
        loop {
            log.blocking(SOON).wait_readable().unwrap();
            let (mut a, mut b, mut c) = ([0; 10], [0; 0], [0; 3000]);
            let mut bufs = [&mut a[..], &mut b, &mut c].map(IoSliceMut::new);
            let n = log.read_vectored(&mut bufs).unwrap();
            if n == 0 {
                break;
            }
            seen.extend(&a[..n.min(10)]);
            seen.extend(&c[..n.saturating_sub(10)]);
        }
        assert!(seen == there, "{mode:?}");
    }
    assert_eq!(errno(file.read_vectored(&mut [])), Some(libc::EBADF));
    assert_eq!(file.write_vectored(&[]).unwrap(), 0);
}
