//! Every size around a border: of a byte, a sector, a page of the kernel, and each page of ours.

use crate::common::fixtures::{Fixture, create, reading};
use crate::common::{closed, event, pattern, read_all, ready, write_all};
use efio_core::EventKind;
use std::sync::OnceLock;

/// 0, 1 and 2; 511 to 513; and one less, the same and one more of each power from 4 KiB to 2 MiB.
fn sizes() -> impl Iterator<Item = usize> {
    let borders = (12..=21).map(|order| 1 << order);
    let around = [512].into_iter().chain(borders);
    [0, 1, 2]
        .into_iter()
        .chain(around.flat_map(|border| border - 1..=border + 1))
}

/// The first `len` bytes of one pattern.
fn bytes(len: usize) -> &'static [u8] {
    static ALL: OnceLock<Vec<u8>> = OnceLock::new();
    &ALL.get_or_init(|| pattern(20 << 20))[..len]
}

/// One file for each size, written in one call and in many, synced, and read back.
pub fn files_of_every_size_come_back(fixture: &Fixture) {
    let engine = fixture.engine();
    let path = fixture.join("file");
    for (number, len) in sizes().enumerate() {
        let file = engine.open(&path, &create()).unwrap();
        let step = if number % 2 == 0 { len.max(1) } else { 6007 };
        for part in bytes(len).chunks(step) {
            write_all(&engine, &file, part).unwrap();
        }
        let mark = file.sync().unwrap();
        let synced = event(&engine, |event| {
            matches!(event.kind, EventKind::Synced { .. })
        });
        assert_eq!(synced.kind, EventKind::Synced { upto: mark });
        assert_eq!(mark, len as u64);
        let fd = file.fd();
        file.close().unwrap();
        assert_eq!(closed(&engine, fd), Ok(()));
        assert!(std::fs::read(&path).unwrap() == bytes(len), "{len} bytes");

        let file = engine.open(&path, &reading()).unwrap();
        let read = read_all(&engine, &file, step.min(100_000)).unwrap();
        assert!(read == bytes(len), "{len} bytes read");
    }
}

/// One file out of writes of each size, so that every one begins somewhere in a page.
pub fn writes_of_every_size_follow_each_other(fixture: &Fixture) {
    let engine = fixture.engine();
    let path = fixture.join("file");
    let file = engine.open(&path, &create()).unwrap();
    let mut at = 0;
    for len in sizes() {
        write_all(&engine, &file, &bytes(20 << 20)[at..at + len]).unwrap();
        at += len;
        if len % 3 == 0 {
            // The open page goes to disk as it is, and the next write continues after it.
            file.sync().unwrap();
        }
    }
    let fd = file.fd();
    file.close().unwrap();
    assert_eq!(closed(&engine, fd), Ok(()));
    assert!(std::fs::read(&path).unwrap() == bytes(at));
}

/// Reads of each size at positions that no size divides.
pub fn reads_of_every_size_follow_each_other(fixture: &Fixture) {
    let total: usize = sizes().sum();
    let path = fixture.join("file");
    std::fs::write(&path, bytes(total)).unwrap();
    let engine = fixture.engine();
    let file = engine.open(&path, &reading()).unwrap();
    let mut at = 0;
    let mut buffer = vec![0; 4 << 20];
    for len in sizes() {
        let mut got = 0;
        while got < len {
            // `ready` calls again, and needs the buffer each time.
            let part = std::cell::RefCell::new(&mut buffer[got..len]);
            let n = ready(&engine, file.fd(), || file.read(&mut part.borrow_mut())).unwrap();
            assert!(n > 0, "the file ends at {total}, not at {}", at + got);
            got += n;
        }
        assert!(buffer[..len] == bytes(total)[at..at + len], "{len} at {at}");
        at += len;
    }
    let n = ready(&engine, file.fd(), || file.read(&mut [0; 9])).unwrap();
    assert_eq!(n, 0, "the end");
}
