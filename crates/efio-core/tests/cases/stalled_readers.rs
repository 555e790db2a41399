//! F83: readers that stopped with read-ahead in memory, such as paused downloads, leave a live
//! reader and a writer as fast as alone. Speed shows in the size of the reads and writes that the
//! kernel gets, which does not depend on how busy the machine is.

use crate::common::fixtures::backends;
use crate::common::{Dir, TIMEOUT, pattern};
use efio_core::sim::{Config, SimOptions, Simulation};
use efio_core::{BackendKind, Engine, File, IoMode, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::Path;
use std::time::Duration;

const MIB: usize = 1 << 20;
/// Bytes that a reader takes before it stalls.
const TAKEN: usize = 5 * MIB / 2;
const LENGTH: usize = 24 * MIB;

fn reading() -> OpenOptions {
    OpenOptions::new().read(true).events(false)
}

fn read(file: &File, buf: &mut [u8]) -> usize {
    loop {
        match file.read(buf) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                file.blocking(TIMEOUT).wait_readable().unwrap();
            }
            result => return result.unwrap(),
        }
    }
}

/// Reads from `at` to `to`.
fn read_on(file: &File, content: &[u8], mut at: usize, to: usize) {
    let mut buf = vec![0; 64 << 10];
    while at < to {
        let n = read(file, &mut buf);
        assert!(n > 0 && buf[..n] == content[at..at + n], "{at}");
        at += n;
    }
}

/// Ops of the kernel that `work` takes.
fn ops(engine: &Engine, work: impl FnOnce()) -> u64 {
    let before = engine.stats().ops;
    work();
    engine.stats().ops - before
}

/// Files of which a part was read.
fn stalled(engine: &Engine, path: &Path, content: &[u8], count: usize) -> Vec<File> {
    let open = |_| {
        let file = engine.open(path, &reading()).unwrap();
        read_on(&file, content, 0, TAKEN);
        file
    };
    let files = (0..count).map(open).collect();
    // Until the engine's timer has found their consumers idle for long enough.
    std::thread::sleep(Duration::from_millis(400));
    files
}

fn live_reader(backend: BackendKind, path: &Path, content: &[u8], count: usize) -> u64 {
    let engine = Engine::builder().backend(backend).start().unwrap();
    let stalled = stalled(&engine, path, content, count);
    let live = engine.open(path, &reading()).unwrap();
    let ops = ops(&engine, || read_on(&live, content, 0, content.len()));
    // Those that stopped go on where they were.
    for file in stalled.iter().take(3) {
        read_on(file, content, TAKEN, content.len());
        assert_eq!(read(file, &mut [0; 10]), 0);
    }
    ops
}

#[test]
fn stalled_readers_leave_a_live_one_its_reads() {
    let dir = Dir::new();
    let path = dir.join("file");
    let content = pattern(LENGTH);
    std::fs::write(&path, &content).unwrap();
    for &backend in backends() {
        let reads = |count| live_reader(backend, &path, &content, count);
        let alone = reads(0);
        for count in [12, 256] {
            // The first reads of a run are small, and how many depends on who is faster. Without
            // memory they are 6000.
            let beside = reads(count);
            assert!(
                beside <= 2 * alone + 16,
                "{backend:?}: {beside} reads beside {count}, {alone} alone"
            );
        }
    }
}

/// In virtual time speed is exact.
struct Clock {
    simulation: Simulation,
    turns: u64,
}

impl Clock {
    fn new() -> Self {
        let options = SimOptions {
            latency: 1,
            ..SimOptions::default()
        };
        // Small, so that a file takes many turns.
        let config = Config {
            memory_budget: 8 * MIB,
            ..Config::default()
        };
        let simulation = Simulation::new(config, 1, options).unwrap();
        Self {
            simulation,
            turns: 0,
        }
    }

    fn turn(&mut self) {
        self.simulation.turn(Duration::from_millis(1));
        self.turns += 1;
    }

    fn open(&mut self, name: &str, options: &OpenOptions) -> File {
        self.simulation.engine().open(name, options).unwrap()
    }

    /// Reads `len` bytes; how many turns that takes.
    fn read(&mut self, file: &File, len: usize) -> u64 {
        let (begun, mut buf, mut got) = (self.turns, vec![0; 64 << 10], 0);
        let right = vec![3; buf.len()];
        while got < len {
            match file.read(&mut buf) {
                Ok(n) => {
                    assert!(n > 0 && buf[..n] == right[..n]);
                    got += n;
                }
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::WouldBlock);
                    self.turn();
                }
            }
        }
        self.turns - begun
    }

    /// Writes `len` bytes until the kernel has them.
    fn write(&mut self, file: &File, len: usize) -> u64 {
        let (begun, mut accepted) = (self.turns, 0);
        let bytes = vec![7; 64 << 10];
        while accepted < len {
            match file.write(&bytes) {
                Ok(n) => accepted += n,
                Err(_) => self.turn(),
            }
        }
        // The last page is not full, and would go with the interval.
        let _ = (&*file).flush();
        while file.progress().unwrap().written < len as u64 {
            self.turn();
        }
        self.turns - begun
    }
}

#[test]
fn stalled_readers_leave_readers_and_writers_their_speed() {
    let mut alone = (0, 0);
    for count in [0, 12, 256] {
        let mut clock = Clock::new();
        clock.simulation.store().put("/file", &vec![3; LENGTH]);
        let stalled: Vec<File> = (0..count)
            .map(|_| {
                let file = clock.open("/file", &OpenOptions::new().read(true));
                clock.read(&file, TAKEN);
                file
            })
            .collect();
        for _ in 0..300 {
            clock.turn();
        }
        let live = clock.open("/file", &OpenOptions::new().read(true));
        let reading = clock.read(&live, LENGTH);
        drop(live);
        for _ in 0..300 {
            clock.turn();
        }
        let create = OpenOptions::new()
            .write(true)
            .create(true)
            .io_mode(IoMode::Cached);
        let live = clock.open("/written", &create);
        let writing = clock.write(&live, 2 * LENGTH);
        if count == 0 {
            alone = (reading, writing);
        }
        assert!(
            10 * alone.0 >= 9 * reading && 10 * alone.1 >= 9 * writing,
            "{count} stalled: {reading} turns to read, {writing} to write, alone {alone:?}"
        );
        // Those that stopped go on, as fast.
        for file in stalled.iter().take(5) {
            let rest = clock.read(file, LENGTH - TAKEN);
            assert!(
                9 * rest <= 10 * alone.0,
                "{count}: {rest} turns, alone {alone:?}"
            );
        }
    }
}

/// Consumers that are slow and never stop are limited to their shares, and a fast one gets its own.
#[test]
fn slow_readers_leave_a_live_one_its_share() {
    let mut clock = Clock::new();
    clock.simulation.store().put("/file", &vec![3; LENGTH]);
    let open = |clock: &mut Clock| clock.open("/file", &OpenOptions::new().read(true));
    let slow: Vec<File> = (0..24).map(|_| open(&mut clock)).collect();
    for file in &slow {
        clock.read(file, TAKEN);
    }
    let sip = |clock: &mut Clock| {
        for file in &slow {
            clock.read(file, 1);
        }
        for _ in 0..20 {
            clock.turn();
        }
    };
    for _ in 0..20 {
        sip(&mut clock);
    }
    let live = open(&mut clock);
    let before = clock.simulation.engine().stats().ops;
    clock.read(&live, LENGTH / 4);
    sip(&mut clock);
    clock.read(&live, LENGTH - LENGTH / 4);
    let ops = clock.simulation.engine().stats().ops - before;
    let mean = LENGTH as u64 / ops;
    assert!(mean > 32 << 10, "{mean} bytes in a read");
}

/// Many files that are read in turn, each visited seldom, with far more read-ahead than there is
/// memory: each visit finds something, or the one after it.
#[test]
fn a_slow_loop_over_many_files_makes_progress() {
    const FILES: usize = 100;
    let mut clock = Clock::new();
    clock.simulation.store().put("/file", &vec![3; LENGTH]);
    let open = |_| clock.open("/file", &OpenOptions::new().read(true));
    let files: Vec<File> = (0..FILES).map(open).collect();
    let mut got = vec![0; FILES];
    let mut buf = vec![0; 64 << 10];
    const ROUNDS: usize = 40;
    for _ in 0..ROUNDS {
        for (file, got) in files.iter().zip(&mut got) {
            *got += file.read(&mut buf).unwrap_or(0);
            clock.turn();
        }
    }
    let least = *got.iter().min().unwrap();
    assert!(
        least >= ROUNDS / 4 * 4096,
        "{least} bytes in {ROUNDS} rounds"
    );
    let wasted = clock.simulation.engine().stats().read_ahead_wasted as usize;
    let taken: usize = got.iter().sum();
    assert!(
        wasted <= 4 * taken,
        "{wasted} bytes read in vain, {taken} taken"
    );
}
