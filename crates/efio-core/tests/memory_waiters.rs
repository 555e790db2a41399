//! Writers that find the whole budget taken are notified when memory is freed: those that have
//! waited longest first, and no more of them than there is memory for.

mod common;

use common::{Dir, event};
use efio_core::sim::{Config, Simulation};
use efio_core::{Engine, EventKind, File, OpenOptions, SimOptions};
use std::fmt::Display;
use std::io::ErrorKind;
use std::time::Duration;

const BUDGET: usize = 4 << 20;

fn short_of_memory() -> Simulation {
    let config = Config {
        memory_budget: BUDGET,
        ..Config::default()
    };
    Simulation::new(config, 1, SimOptions::default()).unwrap()
}

fn writer(sim: &Simulation, name: impl Display) -> File {
    let options = OpenOptions::new().write(true).create(true).clone();
    sim.engine().open(format!("/{name}"), &options).unwrap()
}

#[test]
fn a_writer_is_notified_of_memory_that_others_freed() {
    let config = Config {
        memory_budget: BUDGET,
        write_behind: Some(BUDGET),
        ..Config::default()
    };
    let mut sim = Simulation::new(config, 1, SimOptions::default()).unwrap();
    let poor = writer(&sim, "poor");
    // No writer gets the whole budget; buffers may.
    let buffers: Vec<_> = (0..2).map(|_| sim.engine().buffer(BUDGET / 2)).collect();
    assert!(buffers.iter().all(Result::is_ok) && sim.memory_used() == BUDGET);
    let error = poor.write(b"x").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    for _ in 0..100 {
        sim.turn(Duration::from_millis(10));
    }
    let early = sim.engine().events().drain();
    assert!(
        early
            .into_iter()
            .all(|event| event.kind != EventKind::Writable),
        "there is no room yet"
    );
    drop(buffers);
    for _ in 0..100 {
        sim.turn(Duration::from_millis(10));
    }
    let mut events = sim.engine().events().drain();
    assert!(events.any(|event| event.fd == poor.fd() && event.kind == EventKind::Writable));
    assert_eq!(poor.write(b"x").unwrap(), 1);
}

/// Memory is granted in portions, but a writer does not wait for a portion that never fills up.
#[test]
fn a_writer_is_notified_of_the_last_page() {
    let mut sim = short_of_memory();
    let poor = writer(&sim, "poor");
    let mut buffers: Vec<_> = (0..2)
        .map(|_| sim.engine().buffer(BUDGET / 2).unwrap())
        .collect();
    assert!(poor.write(b"x").is_err());
    sim.turn(Duration::from_millis(10));
    buffers.pop();
    // Half of what is left, and half of that, down to a page.
    let halves = (1..10).map(|half| (BUDGET / 2) >> half);
    buffers.extend(halves.map(|len| sim.engine().buffer(len).unwrap()));
    assert_eq!(sim.memory_used(), BUDGET - 4096);
    for _ in 0..100 {
        sim.turn(Duration::from_millis(10));
    }
    let mut events = sim.engine().events().drain();
    assert!(events.any(|event| event.fd == poor.fd() && event.kind == EventKind::Writable));
    assert_eq!(poor.write(b"x").unwrap(), 1);
}

/// The driver sleeps by then, and a buffer that is dropped wakes no one.
#[test]
fn a_sleeping_driver_sees_that_memory_came_back() {
    let dir = Dir::new();
    let engine = Engine::builder().memory_budget(BUDGET).start().unwrap();
    let options = OpenOptions::new().write(true).create(true);
    let poor = engine.open(dir.join("poor"), &options).unwrap();
    event(&engine, |event| event.kind == EventKind::Opened);
    let buffers: Vec<_> = (0..2).map(|_| engine.buffer(BUDGET / 2)).collect();
    assert!(buffers.iter().all(Result::is_ok));
    let error = poor.write(b"x").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    std::thread::sleep(Duration::from_millis(300));
    drop(buffers);
    event(&engine, |event| event.kind == EventKind::Writable);
    assert_eq!(poor.write(b"x").unwrap(), 1);
}

/// Each freed block is room for one writer. If all hundred were notified of each block, nearly all
/// of their calls would find no memory.
#[test]
fn only_as_many_writers_are_notified_as_memory_is_for() {
    const FILES: usize = 100;
    const LEN: u64 = 256 << 10;
    const PIECE: usize = 16 << 10;
    let mut sim = short_of_memory();
    let files: Vec<_> = (0..FILES).map(|number| writer(&sim, number)).collect();
    let accepted = |number: usize| files[number].progress().unwrap().accepted;
    let mut ready: Vec<usize> = (0..FILES).collect();
    let (mut calls, mut blocked) = (0, 0);
    while (0..FILES).any(|number| accepted(number) < LEN) {
        assert!(calls < 1_000_000 && sim.memory_used() <= BUDGET);
        ready.retain(|&number| {
            calls += 1;
            match files[number].write(&[7; PIECE]) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    blocked += 1;
                    false
                }
                result => result.unwrap() > 0 && accepted(number) < LEN,
            }
        });
        sim.turn(Duration::from_micros(100));
        let events = sim.engine().events().drain();
        let writable = events.filter(|event| event.kind == EventKind::Writable);
        let number = |fd| files.iter().position(|file| file.fd() == fd).unwrap();
        ready.extend(writable.map(|event| number(event.fd)));
    }
    // A portion is a 64th of the budget; half of what is free is a file's share of it.
    let portions = FILES * LEN as usize / (BUDGET / 64);
    assert!(
        blocked <= portions,
        "{blocked} of {calls} calls found no room"
    );
}

/// A program that writes to its files in turn waits for one at a time: there is no other waiter, so
/// nothing is gained by a late notification.
#[test]
fn a_single_waiter_is_notified_at_once() {
    const FILES: usize = 200;
    const LINES: usize = 10_000;
    const STEP: Duration = Duration::from_micros(100);
    let mut sim = short_of_memory();
    let files: Vec<_> = (0..FILES).map(|number| writer(&sim, number)).collect();
    let (mut waits, mut steps) = (0u32, 0u32);
    for line in 0..LINES {
        let file = &files[line % FILES];
        let mut rest = &[7; 1000][..];
        while !rest.is_empty() {
            match file.write(rest) {
                Ok(wrote) => rest = &rest[wrote..],
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::WouldBlock);
                    waits += 1;
                    let is_notified = |sim: &Simulation| {
                        let mut events = sim.engine().events().drain();
                        events
                            .any(|event| event.fd == file.fd() && event.kind == EventKind::Writable)
                    };
                    while !is_notified(&sim) {
                        sim.turn(STEP);
                        steps += 1;
                        assert!(steps < 1_000_000);
                    }
                }
            }
        }
    }
    assert!(waits > 100, "{waits}: the budget is too large for this");
    assert!(steps < 10 * waits, "{steps} steps for {waits} waits");
}
