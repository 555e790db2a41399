//! A close against the completions of the file's ops.
#![cfg(loom)]

mod core_engine;

use core_engine::{check, close, engine, events, open, read, settle, write};
use efio_core::{EventKind, OpenOptions};
use loom::thread;
use std::path::Path;
use std::time::Duration;

/// F12: the kernel's file closes once, after the last completion; `Closed` is the last event, and
/// the slot is free.
#[test]
fn a_close_against_the_completion_of_a_write_ends_the_file_once() {
    check(2, || {
        let (shared, mut driver) = engine(1, b"");
        let fd = open(&shared, &mut driver);
        write(&shared, fd, b"x").unwrap();
        shared.lock(fd).unwrap().sync().unwrap();
        let turning = thread::spawn(move || {
            // The write completes in here, then the sync.
            settle(&mut driver, Duration::ZERO);
            driver
        });
        close(&shared, fd).unwrap();
        let mut driver = turning.join().unwrap();
        settle(&mut driver, Duration::ZERO);
        assert_eq!(driver.backend_mut().bytes, b"x");
        assert_eq!(driver.backend_mut().closed, 1);
        let closed = EventKind::Closed { result: Ok(()) };
        assert_eq!(events(&shared), [EventKind::Synced { upto: 1 }, closed]);
        assert_eq!(shared.pool.used(), 0, "a page leaked");
        let options = OpenOptions::new().read(true);
        let next = shared.open(Path::new("/next"), &options, None).unwrap();
        assert_eq!(next.index(), fd.index());
    });
}

/// A page that arrives for a reader that is gone returns to the pool.
#[test]
fn a_close_against_the_completion_of_a_read_returns_its_page() {
    check(2, || {
        let (shared, mut driver) = engine(1, b"abc");
        let fd = open(&shared, &mut driver);
        assert!(read(&shared, fd, &mut [0; 3]).is_err(), "nothing was read");
        let turning = thread::spawn(move || {
            settle(&mut driver, Duration::ZERO);
            driver
        });
        close(&shared, fd).unwrap();
        let mut driver = turning.join().unwrap();
        settle(&mut driver, Duration::ZERO);
        assert_eq!(driver.backend_mut().closed, 1);
        let mut seen = events(&shared);
        assert_eq!(seen.pop(), Some(EventKind::Closed { result: Ok(()) }));
        assert!(seen.is_empty() || seen == [EventKind::Readable]);
        assert_eq!(shared.pool.used(), 0, "a page leaked");
    });
}
