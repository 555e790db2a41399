//! F84: what a full disk did not take while the shutdown drained it is in the report, with its
//! error and where the loss begins: for files that were left open, closed, or dropped.

use crate::common::fixtures::backends;
use crate::common::mount::memory;
use crate::common::{TIMEOUT, event};
use efio_core::{BackendKind, Builder, Engine, Errno, EventKind, OpenOptions, ShutdownReport};
use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

const ACCEPTED: usize = 1 << 20;
const ROOM: u64 = 512 << 10;

/// An engine that writes nothing before it has to.
fn engine(backend: BackendKind) -> Builder {
    let engine = Engine::builder().backend(backend);
    engine.flush_interval(Duration::from_secs(600))
}

fn new() -> OpenOptions {
    OpenOptions::new().write(true).create(true).truncate(true)
}

/// Accepts 1 MiB for `path`, ends it as `how` says, and shuts the engine down.
fn lose(engine: Engine, path: &Path, how: &str) -> ShutdownReport {
    let options = new().events(how != "task");
    let file = engine.open(path, &options).unwrap();
    file.blocking(TIMEOUT).wait_open().unwrap();
    let bytes = vec![7; ACCEPTED];
    let mut accepted = 0;
    while accepted < bytes.len() {
        match file.write(&bytes[accepted..]) {
            Ok(n) => accepted += n,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                file.blocking(TIMEOUT).wait_writable().unwrap();
            }
            Err(error) => panic!("{how}: {error}"),
        }
    }
    let fd = file.fd();
    let mut _left = None;
    match how {
        "left open" => _left = Some(file),
        "close" => drop(file.close()),
        "close_sync" => drop(file.close_sync()),
        _ => drop(file),
    }
    let report = engine.shutdown(TIMEOUT).unwrap();
    assert!(report.unfinished.iter().all(|(other, _)| *other == fd));
    report
}

#[test]
fn a_loss_is_in_the_report() {
    let Some(mount) = memory(ROOM) else { return };
    for &backend in backends() {
        for how in ["left open", "close", "close_sync", "drop", "task"] {
            let path = mount.join("file");
            let report = lose(engine(backend).start().unwrap(), &path, how);
            let there = std::fs::metadata(&path).unwrap().len();
            assert!(!report.is_clean(), "{backend:?} {how}: {report:?}");
            let (_, left) = report.unfinished[0];
            assert_eq!(left, ACCEPTED as u64 - there, "{backend:?} {how}");
            let (_, failure) = report.failed[0];
            assert_eq!(failure.errno, Errno(libc::ENOSPC), "{backend:?} {how}");
            assert_eq!(failure.offset, there, "{backend:?} {how}");
            std::fs::remove_file(&path).unwrap();
        }
    }
}

/// The same with a callback that gets the event during the shutdown.
#[test]
fn a_loss_that_the_callback_gets_is_in_the_report() {
    let Some(mount) = memory(ROOM) else { return };
    for &backend in backends() {
        let path = mount.join("file");
        let engine = engine(backend).on_event(drop).start().unwrap();
        let report = lose(engine, &path, "left open");
        assert_eq!(report.failed.len(), 1, "{report:?}");
        std::fs::remove_file(&path).unwrap();
    }
}

/// A failure that was delivered before is not reported again; one that was not is, however long ago
/// it happened.
#[test]
fn a_failure_is_reported_until_it_was_delivered() {
    let dir = crate::common::Dir::new();
    let path = dir.join("no/such/directory");
    for how in [
        "undelivered",
        "event",
        "call",
        "close_wait",
        "callback",
        "filed",
        "task",
    ] {
        let builder = Engine::builder().max_files(1);
        let engine = match how {
            "callback" => builder.on_event(drop).start(),
            "filed" => builder
                .callback_reports_failures(false)
                .on_event(drop)
                .start(),
            _ => builder.start(),
        };
        let engine = engine.unwrap();
        let file = engine.open(&path, &new().events(how != "task")).unwrap();
        let fd = file.fd();
        // Accepted or refused, as the open has been answered.
        let accepted = file.write(b"lost").is_ok();
        match how {
            "event" => {
                drop(file);
                event(&engine, |event| {
                    matches!(event.kind, EventKind::Closed { .. })
                });
            }
            "call" => drop(file.blocking(TIMEOUT).flush().unwrap_err()),
            "close_wait" => drop(file.wait_closed(Some(TIMEOUT)).unwrap_err()),
            _ => {
                drop(file);
                // After it in the driver's queue, and answered when that is closed: the table has
                // one slot.
                while engine.open(&path, &new()).is_err() {
                    std::thread::yield_now();
                }
            }
        }
        let report = engine.shutdown(TIMEOUT).unwrap();
        let is_delivered = matches!(how, "event" | "call" | "close_wait" | "callback") || !accepted;
        assert_eq!(report.is_clean(), is_delivered, "{how}: {report:?}");
        if !is_delivered {
            assert_eq!(report.unfinished, [(fd, 4)], "{how}");
            assert_eq!(report.failed[0].1.errno, Errno(libc::ENOENT), "{how}");
        }
    }
}
