//! F88: a wait for bytes to be written, and a call for the length of a file, complete while others
//! write on: what counts is the mark at the time of the call.
//!
//! Writers do not pause until every call has completed, so at any time the file has bytes that the
//! kernel lacks, and "nothing is pending" never comes.

use crate::common::{Dir, TIMEOUT};
use efio_core::{BackendKind, Engine, EventKind, File, IoMode, OpenOptions};
use std::future::poll_fn;
use std::io::{self, ErrorKind, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// Runs `act` while another thread writes on, so that there is a backlog at any time.
fn beside_a_writer(mode: IoMode, wakers: bool, act: impl Fn(&Engine, &File)) {
    for backend in [BackendKind::Uring, BackendKind::Pool] {
        let Ok(engine) = Engine::builder().backend(backend).io_mode(mode).start() else {
            crate::common::skip("no io_uring here");
            continue;
        };
        let dir = Dir::new();
        let options = OpenOptions::new().read(true).write(true).create(true);
        let file = engine.open(dir.join("file"), &options.events(!wakers));
        let file = file.unwrap();
        file.blocking(TIMEOUT).wait_open().unwrap();
        let (stop, busy) = (AtomicBool::new(false), AtomicBool::new(false));
        thread::scope(|scope| {
            scope.spawn(|| write_on(&file, &stop, &busy));
            while !busy.load(Ordering::SeqCst) {
                thread::yield_now();
            }
            // The writer ends also when the test fails.
            let _stops = Stops(&stop);
            act(&engine, &file);
        });
    }
}

struct Stops<'a>(&'a AtomicBool);

impl Drop for Stops<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Goes round a file of 16 MiB.
fn write_on(file: &File, stop: &AtomicBool, busy: &AtomicBool) {
    let mut written = 0;
    while !stop.load(Ordering::SeqCst) {
        if written >= 16 << 20 {
            busy.store(true, Ordering::SeqCst);
            file.set_position(0).unwrap();
            written = 0;
        }
        match file.write(&[7; 4096]) {
            Ok(n) => written += n,
            // Others take the events of this file.
            Err(error) if error.kind() == ErrorKind::WouldBlock => thread::yield_now(),
            Err(error) => panic!("{error}"),
        }
    }
}

const ROUNDS: usize = 5;

#[test]
fn waits_end() {
    for mode in [IoMode::Cached, IoMode::Direct] {
        beside_a_writer(mode, true, |_, file| {
            for _ in 0..ROUNDS {
                let mark = file.progress().unwrap().accepted;
                file.blocking(TIMEOUT).flush().unwrap();
                assert!(file.progress().unwrap().written >= mark);
                assert!(file.blocking(TIMEOUT).len().unwrap() >= 16 << 20);
                let mark = file.sync().unwrap();
                file.blocking(TIMEOUT).wait_synced(mark).unwrap();
            }
        });
    }
}

#[test]
fn a_loop_is_answered() {
    beside_a_writer(IoMode::Auto, false, |engine, file| {
        let answered = |mut call: Box<dyn FnMut() -> io::Result<()> + '_>| {
            let mark = file.progress().unwrap().accepted;
            while let Err(error) = call() {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                crate::common::event(engine, |event| {
                    matches!(event.kind, EventKind::Writable | EventKind::Readable)
                });
            }
            assert!(file.progress().unwrap().written >= mark);
        };
        for _ in 0..ROUNDS {
            answered(Box::new(|| (&*file).flush()));
            answered(Box::new(|| file.len().map(drop)));
        }
    });
}

#[test]
fn tasks_are_answered() {
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.enable_time().build().unwrap();
    beside_a_writer(IoMode::Auto, true, |_, file| {
        let all = async {
            for _ in 0..ROUNDS {
                let mark = file.progress().unwrap().accepted;
                poll_fn(|cx| file.poll_flush(cx)).await.unwrap();
                assert!(file.progress().unwrap().written >= mark);
                poll_fn(|cx| file.poll_len(cx)).await.unwrap();
            }
        };
        let in_time = runtime.block_on(async { tokio::time::timeout(TIMEOUT, all).await });
        in_time.expect("a task that waits without end");
    });
}

/// A caller that writes after a call that would block gets a length that counts the new bytes.
#[test]
fn an_own_write_belongs_to_the_next_answer() {
    let (dir, engine) = (Dir::new(), Engine::new().unwrap());
    let options = OpenOptions::new().write(true).create(true).events(false);
    let file = engine.open(dir.join("file"), &options).unwrap();
    file.blocking(TIMEOUT).wait_open().unwrap();
    for round in 0..200u64 {
        assert_eq!(file.write(b"abc").unwrap(), 3);
        // Dropped, whatever it returned.
        let _ = (&file).flush();
        let _ = file.len();
        assert_eq!(file.write(b"defg").unwrap(), 4);
        let accepted = (round + 1) * 7;
        // Without an event: repeats the call until it completes.
        while let Err(error) = (&file).flush() {
            assert_eq!(error.kind(), ErrorKind::WouldBlock);
            thread::yield_now();
        }
        assert_eq!(file.progress().unwrap().written, accepted);
        let size = loop {
            match file.len() {
                Ok(size) => break size,
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
        };
        assert_eq!(size, accepted);
    }
}
