//! Would-block against publication, with the callers' code and the driver's: a call that returns
//! would-block is followed by its event, and what the driver published before is found.
#![cfg(loom)]

mod core_engine;

use core_engine::{check, engine, events, open, read, settle, write};
use efio_core::EventKind;
use loom::thread;
use std::io::ErrorKind;
use std::time::Duration;

/// A read against the turn that publishes its data, and the end of file after the last byte.
#[test]
fn a_read_finds_its_data_or_an_event_follows() {
    check(2, || {
        let (shared, mut driver) = engine(1, b"A");
        let fd = open(&shared, &mut driver);
        // Begins the run.
        assert!(read(&shared, fd, &mut [0]).is_err());
        let turning = thread::spawn(move || {
            settle(&mut driver, Duration::ZERO);
            driver
        });
        let mut byte = [0];
        let result = read(&shared, fd, &mut byte);
        let mut driver = turning.join().unwrap();
        settle(&mut driver, Duration::ZERO);
        match result {
            Ok(n) => assert_eq!((n, byte), (1, *b"A"), "no end of file before the bytes"),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                assert_eq!(events(&shared), [EventKind::Readable]);
                assert_eq!(read(&shared, fd, &mut byte).unwrap(), 1);
            }
        }
        events(&shared);
        // A reader that arrives at the end requests it again (F65).
        let end = read(&shared, fd, &mut byte).unwrap_err();
        assert_eq!(end.kind(), ErrorKind::WouldBlock);
        settle(&mut driver, Duration::ZERO);
        assert_eq!(events(&shared), [EventKind::Readable]);
        assert_eq!(read(&shared, fd, &mut byte).unwrap(), 0);
    });
}

/// A write into a full share against the turn that frees it.
#[test]
fn a_write_finds_room_or_an_event_follows() {
    check(2, || {
        let (shared, mut driver) = engine(1, b"");
        let fd = open(&shared, &mut driver);
        assert_eq!(write(&shared, fd, &[0; 4096]).unwrap(), 4096);
        let turning = thread::spawn(move || {
            settle(&mut driver, Duration::ZERO);
            driver
        });
        let result = write(&shared, fd, b"B");
        let mut driver = turning.join().unwrap();
        settle(&mut driver, Duration::ZERO);
        if let Err(error) = result {
            assert_eq!(error.kind(), ErrorKind::WouldBlock);
            assert_eq!(events(&shared), [EventKind::Writable]);
            assert_eq!(write(&shared, fd, b"B").unwrap(), 1);
        }
    });
}
