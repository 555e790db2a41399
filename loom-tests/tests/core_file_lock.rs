//! One descriptor, several threads: two callers, a close and a reuse against a stale descriptor,
//! and a driver that stops watching a clean file against a write.
#![cfg(loom)]

mod core_engine;

use core_engine::{INTERVAL, Trail, check, close, engine, events, open, progress, settle, write};
use efio_core::{EventKind, OpenOptions};
use loom::thread;
use std::path::Path;
use std::time::Duration;

/// F50: each call happens before or after the other.
#[test]
fn two_callers_take_turns() {
    check(2, || {
        let (shared, mut driver) = engine(1, b"");
        let fd = open(&shared, &mut driver);
        let other = {
            let shared = shared.clone();
            thread::spawn(move || assert_eq!(write(&shared, fd, b"aa").unwrap(), 2))
        };
        assert_eq!(write(&shared, fd, b"bb").unwrap(), 2);
        other.join().unwrap();
        assert_eq!(progress(&shared, fd).accepted, 4);
        close(&shared, fd).unwrap();
        settle(&mut driver, Duration::ZERO);
        let bytes = &driver.backend_mut().bytes;
        assert!(bytes == b"aabb" || bytes == b"bbaa");
    });
}

/// The accepted bytes of a file reach the disk although the driver stops watching it meanwhile.
#[test]
fn a_write_is_not_overlooked_by_a_driver_that_stops_watching() {
    check(2, || {
        let (shared, mut driver) = engine(1, b"");
        let trail = Trail::new();
        driver.backend_mut().trail = Some(trail.clone());
        let fd = open(&shared, &mut driver);
        // The first interval writes it; at the end of the second the driver stops watching.
        trail.write(0, b'x');
        write(&shared, fd, b"x").unwrap();
        settle(&mut driver, Duration::ZERO);
        settle(&mut driver, INTERVAL);
        assert_eq!(driver.backend_mut().bytes, b"x");
        let turning = thread::spawn(move || {
            settle(&mut driver, 2 * INTERVAL);
            driver
        });
        trail.write(1, b'y');
        assert_eq!(write(&shared, fd, b"y").unwrap(), 1);
        let mut driver = turning.join().unwrap();
        for intervals in 2..5 {
            settle(&mut driver, intervals * INTERVAL);
        }
        assert_eq!(driver.backend_mut().bytes, b"xy", "accepted and forgotten");
    });
}

/// F19: stream bytes after a truncation are never written before it, whenever the driver looks.
#[test]
fn a_truncation_keeps_its_place_in_the_stream() {
    check(2, || {
        let (shared, mut driver) = engine(1, b"");
        let fd = open(&shared, &mut driver);
        write(&shared, fd, b"x").unwrap();
        settle(&mut driver, Duration::ZERO);
        let turning = thread::spawn(move || {
            settle(&mut driver, INTERVAL);
            driver
        });
        shared.lock(fd).unwrap().truncate(1).unwrap();
        assert_eq!(write(&shared, fd, b"y").unwrap(), 1);
        let mut driver = turning.join().unwrap();
        settle(&mut driver, 2 * INTERVAL);
        assert_eq!(driver.backend_mut().bytes, b"xy");
        assert_eq!(progress(&shared, fd).written, 3);
    });
}

/// The driver flushes an open page while the caller appends to it: all bytes below the mark are
/// written.
#[test]
fn a_flush_takes_what_is_below_the_mark() {
    check(2, || {
        let (shared, mut driver) = engine(1, b"");
        let trail = Trail::new();
        driver.backend_mut().trail = Some(trail.clone());
        let fd = open(&shared, &mut driver);
        trail.write(0, b'x');
        write(&shared, fd, b"x").unwrap();
        settle(&mut driver, Duration::ZERO);
        let turning = thread::spawn(move || {
            settle(&mut driver, INTERVAL);
            driver
        });
        trail.write(1, b'y');
        assert_eq!(write(&shared, fd, b"y").unwrap(), 1);
        let mut driver = turning.join().unwrap();
        let written = progress(&shared, fd).written;
        assert!((1..=2).contains(&written));
        assert_eq!(driver.backend_mut().bytes, &b"xy"[..written as usize]);
        close(&shared, fd).unwrap();
        settle(&mut driver, INTERVAL);
        assert_eq!(driver.backend_mut().bytes, b"xy");
    });
}

/// F8: an accepted write is on disk after the close, a late one fails with EBADF.
#[test]
fn a_call_comes_before_the_close_or_is_refused() {
    check(2, || {
        let (shared, mut driver) = engine(1, b"");
        let fd = open(&shared, &mut driver);
        let closing = {
            let shared = shared.clone();
            thread::spawn(move || close(&shared, fd).unwrap())
        };
        let accepted = write(&shared, fd, b"x");
        closing.join().unwrap();
        settle(&mut driver, Duration::ZERO);
        match accepted {
            Ok(n) => assert_eq!((n, &driver.backend_mut().bytes[..]), (1, &b"x"[..])),
            Err(error) => {
                assert_eq!(error.raw_os_error(), Some(9));
                assert!(driver.backend_mut().bytes.is_empty());
            }
        }
        assert_eq!(events(&shared), [EventKind::Closed { result: Ok(()) }]);
    });
}

/// F9: a closed descriptor never reaches the next file in its slot.
#[test]
fn a_stale_descriptor_never_reaches_the_next_file() {
    check(2, || {
        let (shared, mut driver) = engine(1, b"");
        let stale = open(&shared, &mut driver);
        let late = {
            let shared = shared.clone();
            thread::spawn(move || {
                let written = write(&shared, stale, b"x").is_ok();
                let reached = shared
                    .inspect(stale, |slot| slot.marks.progress())
                    .is_ok_and(|progress| progress.accepted > 1);
                assert!(!reached, "marks of the next file");
                written
            })
        };
        close(&shared, stale).unwrap();
        settle(&mut driver, Duration::ZERO);
        let before = driver.backend_mut().bytes.len();
        let options = OpenOptions::new().write(true).clone();
        let fd = shared.open(Path::new("/next"), &options, None).unwrap();
        assert_eq!(fd.index(), stale.index());
        assert_eq!(write(&shared, fd, b"zz").unwrap(), 2);
        let written = late.join().unwrap();
        assert_eq!(before, usize::from(written));
        assert_eq!(progress(&shared, fd).accepted, 2);
    });
}
