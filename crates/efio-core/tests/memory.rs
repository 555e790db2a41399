//! How the budget is shared, and what happens when it is short: in virtual time, over a
//! simulated disk.

use efio_core::sim::{Config, SimOptions, Simulation};
use efio_core::transfer::{SendFile, Step};
use efio_core::{EventKind, File, IoMode, OpenOptions};
use std::cell::RefCell;
use std::io::{self, ErrorKind, Write};
use std::time::Duration;

const MIB: usize = 1 << 20;
const TURN: Duration = Duration::from_millis(1);

/// An engine with 16 MiB, over a disk that takes `latency` turns for an op.
fn simulation(latency: u64) -> Simulation {
    let config = Config {
        memory_budget: 16 * MIB,
        write_behind: Some(16 * MIB),
        read_ahead: Some(4 * MIB),
        ..Config::default()
    };
    let options = SimOptions {
        latency,
        ..SimOptions::default()
    };
    Simulation::new(config, 1, options).unwrap()
}

fn turns(simulation: &mut Simulation, count: u32) {
    for _ in 0..count {
        simulation.turn(TURN);
    }
}

fn open(simulation: &mut Simulation, name: &str, options: &OpenOptions) -> File {
    let file = simulation.engine().open(name, options).unwrap();
    while !file.open_status().unwrap() {
        simulation.turn(TURN);
    }
    file
}

fn writer() -> OpenOptions {
    OpenOptions::new()
        .write(true)
        .create(true)
        .io_mode(IoMode::Cached)
}

/// Writes as much as is taken, while the driver makes memory ready.
fn write_what_goes(simulation: &mut Simulation, file: &File, bytes: &[u8]) -> usize {
    let mut accepted = 0;
    for _ in 0..50 {
        match file.write(bytes) {
            Ok(n) => accepted += n,
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
        simulation.turn(Duration::ZERO);
    }
    accepted
}

/// F38: on a disk that hangs, writers that take all they can get end up with equal shares, and
/// leave room for one that comes later.
#[test]
fn greedy_writers_get_equal_shares_and_starve_nobody() {
    let mut simulation = simulation(1);
    let files: Vec<File> = (0..3)
        .map(|number| open(&mut simulation, &format!("/greedy-{number}"), &writer()))
        .collect();
    let modest = open(&mut simulation, "/modest", &writer());
    simulation.hang();
    let chunk = vec![7; MIB];
    let mut accepted = [0; 3];
    for _ in 0..30 {
        for (file, accepted) in files.iter().zip(&mut accepted) {
            if let Ok(n) = file.write(&chunk[..256 << 10]) {
                *accepted += n;
            }
            simulation.turn(Duration::ZERO);
        }
    }
    let (least, most) = (accepted.iter().min(), accepted.iter().max());
    let (least, most) = (*least.unwrap(), *most.unwrap());
    assert!(least > 2 * MIB && most < 6 * MIB, "{accepted:?}");
    assert!(most - least <= MIB, "{accepted:?}");
    let late = write_what_goes(&mut simulation, &modest, b"a line\n");
    assert_eq!(late, 50 * 7, "there is room for one that needs little");
    assert!(simulation.memory_used() <= 16 * MIB);

    simulation.stop_faults();
    turns(&mut simulation, 3000);
    let engine = simulation.engine();
    let notified = engine
        .events()
        .drain()
        .filter(|event| event.kind == EventKind::Writable);
    assert_eq!(notified.count(), 3, "every refused writer is notified");
    for (file, accepted) in files.iter().zip(accepted) {
        assert_eq!(file.progress().unwrap().written, accepted as u64);
    }
}

/// Bytes of each file that is read.
const LENGTH: usize = 6 * MIB;

/// Files of threes that were read for a while, so that the window opened, and how far.
fn idle_readers(simulation: &mut Simulation) -> Vec<(File, usize)> {
    let content = vec![3; LENGTH];
    let reader = OpenOptions::new()
        .read(true)
        .prefetch(true)
        .io_mode(IoMode::Cached);
    let mut readers = Vec::new();
    for number in 0..8 {
        let name = format!("/read-{number}");
        simulation.store().put(&name, &content);
        let file = open(simulation, &name, &reader);
        let mut buf = vec![0; 64 << 10];
        let mut got = 0;
        while got < MIB {
            got += file.read(&mut buf).unwrap_or(0);
            simulation.turn(TURN);
        }
        readers.push((file, got));
    }
    readers
}

/// Pages of idle readers are dropped before a writer has to wait for long.
#[test]
fn idle_readers_make_room_for_writers() {
    let mut simulation = simulation(1);
    let mut readers = idle_readers(&mut simulation);
    turns(&mut simulation, 20);
    let idle = simulation.memory_used();
    assert!(idle > 8 * MIB, "{idle} bytes of pages were read ahead");

    let greedy = open(&mut simulation, "/greedy", &writer());
    simulation.hang();
    let mut accepted = 0;
    for _ in 0..400 {
        accepted += greedy.write(&[1; 64 << 10]).unwrap_or(0);
        simulation.turn(TURN);
    }
    let wasted = simulation.engine().stats().read_ahead_wasted;
    assert!(wasted > 0, "dropped pages are counted");
    let without = 16 * MIB - idle;
    assert!(
        accepted > without / 2 + MIB,
        "{accepted}, {without} were left"
    );

    // Nothing is lost: a reader that comes back reads on.
    simulation.stop_faults();
    let (file, mut got) = readers.swap_remove(0);
    let mut buf = vec![0; 64 << 10];
    for _ in 0..10_000 {
        match file.read(&mut buf) {
            Ok(0) => break,
            Ok(n) => {
                assert!(buf[..n].iter().all(|&byte| byte == 3));
                got += n;
            }
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
        simulation.turn(TURN);
    }
    assert_eq!(got, LENGTH);
}

/// A socket that is slow to take what the first step lends it: the driver reclaims the reader's
/// pages.
struct SlowTarget<'a> {
    simulation: &'a RefCell<Simulation>,
    greedy: &'a File,
    taken: usize,
}

impl Write for SlowTarget<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.taken == 0 {
            let mut simulation = self.simulation.borrow_mut();
            simulation.hang();
            for _ in 0..400 {
                let _ = self.greedy.write(&[1; 64 << 10]);
                simulation.turn(TURN);
            }
            simulation.stop_faults();
        }
        assert!(bytes.iter().all(|&byte| byte == 3));
        self.taken += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Pages may be reclaimed from a reader while it lends them: it goes on after the bytes that were
/// used.
#[test]
fn a_loan_outlives_the_run_that_it_came_from() {
    let mut simulation = simulation(1);
    let mut readers = idle_readers(&mut simulation);
    let greedy = open(&mut simulation, "/greedy", &writer());
    let (file, got) = readers.swap_remove(0);
    let simulation = RefCell::new(simulation);
    let mut target = SlowTarget {
        simulation: &simulation,
        greedy: &greedy,
        taken: 0,
    };
    let mut send = SendFile::new(None);
    loop {
        match send.step(&file, &mut target).unwrap() {
            Step::Done => break,
            Step::Moved(_) => {}
            step => {
                assert_eq!(step, Step::WaitSource);
                simulation.borrow_mut().turn(TURN);
            }
        }
    }
    let all = simulation.borrow().engine().stats().read_ahead_wasted;
    assert!(all > 0, "nothing was taken from readers");
    assert_eq!(target.taken, LENGTH - got);
}

/// Slabs of a peak are returned to the kernel.
#[test]
fn slabs_that_nobody_uses_are_given_back() {
    let mut simulation = simulation(1);
    let file = open(&mut simulation, "/peak", &writer());
    simulation.hang();
    let mut sent = 0;
    while sent < 6 * MIB {
        sent += file.write(&[1; 64 << 10]).unwrap_or(0);
        simulation.turn(Duration::ZERO);
    }
    assert!(simulation.memory_mapped() > 6 * MIB);
    simulation.stop_faults();
    for _ in 0..10 {
        simulation.turn(Duration::from_secs(1));
    }
    assert_eq!(
        simulation.memory_used(),
        0,
        "the open page of an idle file as well"
    );
    assert_eq!(simulation.memory_mapped(), 2 * MIB);
    assert_eq!(file.write(b"again").unwrap(), 5);
}
