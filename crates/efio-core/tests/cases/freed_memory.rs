//! Memory that the program frees wakes a waiter at once, though no op completes and no call
//! notifies the engine (F94). The fault showed as a wake-up at the engine's next poll, up to 100 ms
//! later. The engine counts what wakes it, so no clock is needed: on a busy machine "at once" takes
//! long as well.

use crate::common::fixtures::backends;
use crate::common::{Dir, TIMEOUT};
use efio_core::{BackendKind, Buffer, Engine, File, IoMode, OpenOptions};
use std::io::ErrorKind;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

/// By chance a poll of the engine comes before the wake-up, but not in most rounds.
const ROUNDS: u32 = 15;

/// Takes everything that the budget holds. The engine gives a slab back to the kernel when nobody
/// uses it, and while it does that nobody can have the slab: what comes after it is taken as well.
fn all_memory(engine: &Engine) -> Vec<Buffer> {
    let mut held = Vec::new();
    let mut since = Instant::now();
    while since.elapsed() < Duration::from_millis(10) {
        let before = held.len();
        let mut len = Buffer::MAX_LEN;
        while len >= 4096 {
            match engine.buffer(len) {
                Ok(buffer) => held.push(buffer),
                Err(_) => len /= 2,
            }
        }
        if held.len() > before {
            since = Instant::now();
        }
        thread::sleep(Duration::from_millis(1));
    }
    held
}

/// Whether the memory that comes back wakes the engine, for `wait` to return.
fn is_woken(engine: &Engine, file: &File, wait: impl Fn(&File) + Sync) -> bool {
    let mut held = all_memory(engine);
    let ready = Barrier::new(2);
    thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            ready.wait();
            wait(file);
        });
        ready.wait();
        // Until it waits, and the engine sleeps: its turns come from its own polls only.
        let begin = Instant::now();
        let mut turns = engine.stats().driver.turns;
        let mut since = Instant::now();
        while since.elapsed() < Duration::from_millis(30) && begin.elapsed() < TIMEOUT {
            thread::sleep(Duration::from_millis(1));
            let now = engine.stats().driver.turns;
            if now != turns {
                (turns, since) = (now, Instant::now());
            }
        }
        let before = engine.stats().driver.doorbell_calls;
        held.clear();
        waiter.join().unwrap();
        // Only now: a wake-up is counted after the call that wakes, and the waiter may be faster.
        engine.stats().driver.doorbell_calls > before
    })
}

fn check(backend: BackendKind, what: &str, file: impl Fn(&Engine) -> File, wait: fn(&File)) {
    let builder = Engine::builder().backend(backend).memory_budget(4 << 20);
    let engine = builder.start().unwrap();
    let mut not_woken = 0;
    for _ in 0..ROUNDS {
        let file = file(&engine);
        file.blocking(TIMEOUT).wait_open().unwrap();
        not_woken += u32::from(!is_woken(&engine, &file, wait));
        file.wait_closed(Some(TIMEOUT)).unwrap();
    }
    assert!(
        not_woken <= ROUNDS / 3,
        "{what}, {backend:?}: {not_woken} of {ROUNDS} waits ended at a poll of the engine"
    );
}

#[test]
fn memory_that_comes_back_wakes_a_writer_at_once() {
    let dir = Dir::new();
    let path = dir.join("written");
    let open = |engine: &Engine| {
        let options = OpenOptions::new().write(true).create(true).events(false);
        engine.open(&path, &options).unwrap()
    };
    for &backend in backends() {
        check(backend, "writer", open, |file| {
            let refused = file.write(&[1]).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::WouldBlock);
            file.blocking(TIMEOUT).wait_writable().unwrap();
        });
    }
}

#[test]
fn memory_that_comes_back_wakes_a_reader_at_once() {
    let dir = Dir::new();
    let path = dir.join("read");
    std::fs::write(&path, vec![1; 1 << 20]).unwrap();
    let open = |engine: &Engine| {
        let options = OpenOptions::new()
            .read(true)
            .events(false)
            .io_mode(IoMode::Direct);
        engine.open(&path, &options).unwrap()
    };
    for &backend in backends() {
        check(backend, "reader", open, |file| {
            file.blocking(TIMEOUT).wait_readable().unwrap();
        });
    }
}
