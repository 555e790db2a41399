//! As many files open at once as an engine may have: 65 536 by default. Each needs a descriptor of
//! the kernel, so on the real one there are as many as this process is allowed to have.

#![cfg(target_os = "linux")]

mod common;

use common::child::{child_arg, run_in_child};
use common::{Dir, TIMEOUT, errno, event, skip};
use efio_core::sim::{Config, SimOptions, Simulation};
use efio_core::{Engine, EventKind, File, OpenOptions};
use std::io::Write;
use std::time::Duration;

/// The default limit.
const FILES: usize = 65_536;
/// Descriptors of the process beside those of its files.
const OTHERS: usize = 200;
/// Files that are read at a time. One at a time would take two thread switches per file, each as
/// long as a busy machine delays them.
const AT_ONCE: usize = 256;
/// File names; each is opened several times.
const NAMES: usize = 256;
const RECORD: usize = 32;

/// Every file writes its record and reads it back; one more is refused with `EMFILE`; and when they
/// are closed there is room again.
#[test]
fn as_many_files_as_the_limit_are_open_and_work() {
    if child_arg().is_none() {
        return run_in_child("as_many_files_as_the_limit_are_open_and_work", "");
    }
    let most = FILES.min(allowed_descriptors() - OTHERS);
    if most < FILES {
        skip(&format!(
            "{FILES} files of the kernel at once: {most} are allowed"
        ));
    }
    let dir = Dir::new();
    let engine = Engine::builder().max_files(most as u32).start().unwrap();
    let options = OpenOptions::new().read(true).write(true).create(true);
    let open = |number: usize| engine.open(dir.join(&format!("{}", number % NAMES)), &options);

    let files: Vec<File> = (0..most).map(|number| open(number).unwrap()).collect();
    assert_eq!(errno(open(0)), libc::EMFILE, "one too many");
    for (number, file) in files.iter().enumerate() {
        file.set_position(place(number)).unwrap();
        file.blocking(TIMEOUT).wait_writable().unwrap();
        let n = file.write(&record(number)).unwrap();
        assert_eq!(n, RECORD);
    }
    for (first, files) in (0..).step_by(AT_ONCE).zip(files.chunks(AT_ONCE)) {
        ask(first, files);
        for (number, file) in (first..).zip(files) {
            let mut buf = [0; RECORD];
            file.blocking(TIMEOUT).wait_readable().unwrap();
            let n = file.read(&mut buf).unwrap();
            assert_eq!((n, buf), (RECORD, record(number)), "file {number}");
        }
    }
    let descriptors = std::fs::read_dir("/proc/self/fd").unwrap().count();
    assert!(
        (most..most + OTHERS).contains(&descriptors),
        "{most} files in {descriptors} descriptors"
    );
    assert_eq!(errno(open(0)), libc::EMFILE, "one too many still");

    for file in files {
        file.close().unwrap();
    }
    for _ in 0..most {
        let closed = event(&engine, |event| {
            matches!(event.kind, EventKind::Closed { .. })
        });
        assert_eq!(closed.kind, EventKind::Closed { result: Ok(()) });
    }
    for name in 0..NAMES {
        let whole = std::fs::read(dir.join(&format!("{name}"))).unwrap();
        let records = (name..most).step_by(NAMES).flat_map(record);
        assert!(whole.into_iter().eq(records), "file {name}");
    }
    let again = open(7).unwrap();
    (&again).write_all(b"again").unwrap();
    again.wait_closed(Some(TIMEOUT)).unwrap();
}

/// The whole number, over a disk without descriptors.
#[test]
fn the_default_limit_is_reached_and_kept() {
    let mut simulation = Simulation::new(Config::default(), 1, SimOptions::default()).unwrap();
    let engine = std::sync::Arc::clone(simulation.engine());
    let options = OpenOptions::new().read(true).write(true).create(true);
    let open = |number: usize| engine.open(format!("/{}", number % NAMES), &options);
    let files: Vec<File> = (0..FILES).map(|number| open(number).unwrap()).collect();
    assert_eq!(errno(open(0)), libc::EMFILE, "one too many");
    let mut turn = || {
        simulation.turn(Duration::from_millis(1));
        while engine.events().try_next().is_some() {}
    };
    for (number, file) in files.iter().enumerate() {
        file.set_position(place(number)).unwrap();
        while file.write(&record(number)).ok() != Some(RECORD) {
            turn();
        }
    }
    for (first, files) in (0..).step_by(AT_ONCE).zip(files.chunks(AT_ONCE)) {
        ask(first, files);
        for (number, file) in (first..).zip(files) {
            let mut buf = [0; RECORD];
            while file.read(&mut buf).ok() != Some(RECORD) {
                turn();
            }
            assert_eq!(buf, record(number), "file {number}");
        }
    }
    assert_eq!(errno(open(0)), libc::EMFILE, "one too many still");
    drop(files);
    while simulation.at_work().1 > 0 {
        simulation.turn(Duration::from_millis(1));
        while engine.events().try_next().is_some() {}
    }
    assert_eq!(
        open(7).unwrap().fd().generation(),
        3,
        "a slot is used again"
    );
}

/// Asks for the records of `files`, whose first has number `first`.
fn ask(first: usize, files: &[File]) {
    for (number, file) in (first..).zip(files) {
        file.set_position(place(number)).unwrap();
        // Pending or available: the read finds out.
        let _ = file.available();
    }
}

fn place(number: usize) -> u64 {
    (number / NAMES * RECORD) as u64
}

fn record(number: usize) -> [u8; RECORD] {
    let mut record = [b'.'; RECORD];
    record[..8].copy_from_slice(&(number as u64).to_le_bytes());
    record[RECORD - 1] = b'\n';
    record
}

/// How many descriptors this process may have; as many as it is allowed to ask for.
fn allowed_descriptors() -> usize {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: room for the answer.
    let known = unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) };
    assert_eq!(known, 0);
    let wanted = limit.rlim_max.max((FILES + OTHERS) as u64);
    for most in [wanted, limit.rlim_max] {
        let limit = libc::rlimit {
            rlim_cur: most,
            rlim_max: most,
        };
        // SAFETY: a limit of this process, which exists for one test only.
        if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) } == 0 {
            return most as usize;
        }
    }
    limit.rlim_cur as usize
}
