//! What is hard to cause on a real disk, step by step on the simulated one.

mod common;

use common::errno;
use efio_core::sim::{Config, SimOptions, Simulation};
use efio_core::{Completed, Errno, EventKind, Failure, Fd, File, OpenOptions, Progress, Unwritten};
use std::io::ErrorKind;
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);

/// A simulated engine over a disk that holds one empty file.
struct Harness {
    simulation: Simulation,
    events: Vec<(Fd, EventKind)>,
}

impl Harness {
    fn new(seed: u64, options: SimOptions) -> Self {
        let simulation = Simulation::new(Config::default(), seed, options);
        let mut simulation = simulation.expect("the limits are valid");
        simulation.store().put("/file", b"");
        Self {
            simulation,
            events: Vec::new(),
        }
    }

    fn open(&mut self, options: &OpenOptions) -> File {
        let file = self.simulation.engine().open("/file", options).unwrap();
        while !file.open_status().unwrap() {
            self.turn();
        }
        self.events.clear();
        file
    }

    fn turn(&mut self) {
        self.simulation.turn(MS);
        while let Some(event) = self.simulation.engine().events().try_next() {
            self.events.push((event.fd, event.kind));
        }
    }

    /// Far longer than anything here takes.
    fn settle(&mut self) {
        for _ in 0..5_000 {
            self.turn();
        }
    }

    fn count(&self, kind: &EventKind) -> usize {
        self.events
            .iter()
            .filter(|(_, other)| other == kind)
            .count()
    }

    fn failure(&self) -> Option<Failure> {
        self.events.iter().find_map(|(_, kind)| match kind {
            EventKind::Failed(failure) => Some(*failure),
            _ => None,
        })
    }
}

fn writing() -> OpenOptions {
    OpenOptions::new().write(true)
}

fn unwritten(offset: u64, bytes: &[u8]) -> Unwritten {
    Unwritten {
        offset,
        bytes: bytes.to_vec(),
    }
}

/// F21: a truncation has a place among the accepted bytes, and so have the bytes after it.
#[test]
fn what_was_appended_after_a_truncation_keeps_its_place() {
    let trouble = SimOptions {
        write_errors: 1000,
        ..SimOptions::default()
    };
    let mut harness = Harness::new(1, trouble.clone());
    let file = harness.open(&OpenOptions::new().append(true));
    file.write(b"abc").unwrap();
    file.set_len(1).unwrap();
    file.write(b"def").unwrap();
    harness.settle();
    assert_eq!(harness.failure().map(|failure| failure.offset), Some(0));
    let all = [unwritten(0, b"abc"), unwritten(4, b"def")];
    assert_eq!(file.take_unwritten().unwrap(), all);
    drop(file);

    // The truncation itself fails, and all before it is written.
    let mut harness = Harness::new(1, SimOptions::default());
    let file = harness.open(&OpenOptions::new().append(true));
    file.write(b"abc").unwrap();
    // More than any file may have.
    file.set_len(1 << 40).unwrap();
    file.write(b"def").unwrap();
    harness.settle();
    assert_eq!(file.progress().unwrap().written, 3);
    assert_eq!(harness.failure().map(|failure| failure.offset), Some(3));
    assert_eq!(file.take_unwritten().unwrap(), [unwritten(4, b"def")]);
}

/// F21, F30: the sync's error is about bytes of another program.
#[test]
fn a_failed_sync_of_nothing_says_that_nothing_is_lost() {
    for append in [false, true] {
        let trouble = SimOptions {
            sync_errors: 1000,
            ..SimOptions::default()
        };
        let mut harness = Harness::new(1, trouble);
        let file = harness.open(&OpenOptions::new().write(!append).append(append));
        file.sync().unwrap();
        harness.settle();
        let failure = Failure {
            errno: Errno(libc::EIO),
            offset: Failure::NOTHING_LOST,
        };
        assert_eq!(harness.failure(), Some(failure));
        assert_eq!(file.failure().unwrap(), Some(failure));
        assert_eq!(errno(file.write(b"late")), libc::EIO);
    }
}

/// F45: each op completes, at the deadline at the latest, and those that the disk holds keep their
/// memory.
#[test]
fn ops_of_a_hung_disk_complete_at_the_deadline() {
    for refusals in [0, 1000] {
        let mut harness = Harness::new(1, SimOptions::default());
        let file = harness.open(&writing().read(true));
        let engine = harness.simulation.engine().clone();
        let buffer = || engine.buffer(100).unwrap();
        harness.simulation.hang();
        if refusals > 0 {
            harness.simulation.refuse();
        }
        file.read_at(0, buffer(), 1).unwrap();
        file.write_at(200, buffer(), 2).unwrap();
        file.write_at(250, buffer(), 3).unwrap();
        harness.turn();
        harness.simulation.begin_shutdown(20 * MS);
        let report = loop {
            harness.turn();
            if let Some(report) = harness.simulation.report() {
                break report;
            }
        };
        harness.turn();
        assert_eq!(report.unfinished, [(file.fd(), 200)]);
        let done = harness
            .events
            .into_iter()
            .filter_map(|(_, kind)| match kind {
                EventKind::Completed(completed) => Some(completed),
                _ => None,
            });
        let mut done: Vec<Completed> = done.collect();
        done.sort_by_key(|completed| completed.token);
        let tokens: Vec<_> = done.iter().map(|completed| completed.token).collect();
        assert_eq!(tokens, [1, 2, 3], "each once");
        for Completed {
            token,
            result,
            buffer,
            ..
        } in done
        {
            // The third waits for the second, which overlaps it.
            let begun = refusals == 0 && token < 3;
            let (errno, len) = if begun {
                (libc::ETIMEDOUT, 0)
            } else {
                (libc::ECANCELED, 100)
            };
            assert_eq!((result, buffer.len()), (Err(Errno(errno)), len), "{token}");
        }
        let late = file.write_at(0, buffer(), 4).unwrap_err();
        assert_eq!(
            (late.error.raw_os_error(), late.buffer.len()),
            (Some(libc::ESHUTDOWN), 100)
        );
    }
}

/// A sync fails while a write is in flight: the unwritten bytes are returned once the write
/// completes, and a caller that asked earlier is notified.
#[test]
fn an_early_call_for_unwritten_bytes_is_notified() {
    let mut early = 0;
    for seed in 0..50 {
        let trouble = SimOptions {
            sync_errors: 1000,
            latency: 20,
            ..SimOptions::default()
        };
        let mut harness = Harness::new(seed, trouble);
        let file = harness.open(&writing());
        file.sync().unwrap();
        harness.turn();
        let mut failed = file.write(&[1; 1 << 20]).is_err();
        harness.turn();
        // Bytes that wait for the write in flight.
        failed |= file.write(b"behind").is_err();
        if failed {
            continue;
        }
        while harness.failure().is_none() {
            harness.turn();
        }
        let blocked = match file.take_unwritten() {
            Err(error) => error.kind() == ErrorKind::WouldBlock,
            Ok(_) => false,
        };
        harness.settle();
        assert_eq!(
            harness.count(&EventKind::Writable),
            usize::from(blocked),
            "{seed}"
        );
        early += u32::from(blocked);
        let Progress {
            accepted, written, ..
        } = file.progress().unwrap();
        let left = file.take_unwritten().unwrap();
        if blocked {
            let left: usize = left.iter().map(|range| range.bytes.len()).sum();
            assert_eq!(left as u64, accepted - written);
        }
    }
    assert!(early > 5, "{early}");
}

/// The descriptor is stale, and the caller asked for the close only.
#[test]
fn a_close_that_syncs_emits_only_closed() {
    let mut harness = Harness::new(1, SimOptions::default());
    let file = harness.open(&writing());
    let fd = file.fd();
    file.write(b"durable").unwrap();
    file.close_sync().unwrap();
    harness.settle();
    assert_eq!(harness.events, [(fd, EventKind::Closed { result: Ok(()) })]);

    // A sync that was requested before still gets its event.
    let file = harness.open(&writing());
    file.write(b"durable").unwrap();
    file.sync().unwrap();
    file.close_sync().unwrap();
    harness.settle();
    assert_eq!(harness.count(&EventKind::Synced { upto: 7 }), 1);
}
