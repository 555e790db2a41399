//! What a failure left unwritten comes back, byte by byte.

mod common;

use common::mount;
use common::{Dir, errno, event, pattern, write_all};
use efio_core::{Engine, EventKind, Failure, File, IoMode, OpenOptions, Unwritten};
use std::io::ErrorKind;

fn create() -> OpenOptions {
    OpenOptions::new().write(true).create(true)
}

fn failure(engine: &Engine) -> Failure {
    let event = event(engine, |event| matches!(event.kind, EventKind::Failed(_)));
    let EventKind::Failed(failure) = event.kind else {
        unreachable!()
    };
    failure
}

fn take(engine: &Engine, file: &File) -> Vec<Unwritten> {
    loop {
        match file.take_unwritten() {
            Ok(ranges) => return ranges,
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
        event(engine, |event| event.kind == EventKind::Writable);
    }
}

/// F21: the bytes that the kernel has and those that come back are all the accepted bytes, in every
/// mode.
#[test]
fn what_a_full_disk_refused_comes_back() {
    const SIZE: usize = 256 << 10;
    for mode in [IoMode::Direct, IoMode::Uncached, IoMode::Cached] {
        let Some(tmpfs) = mount::memory(SIZE as u64) else {
            return;
        };
        let engine = Engine::builder()
            .io_mode(mode)
            .memory_budget(4 << 20)
            .start()
            .unwrap();
        let path = tmpfs.join("file");
        let file = engine.open(&path, &create()).unwrap();
        assert_eq!(errno(file.take_unwritten()), libc::EINVAL, "nothing failed");
        let bytes = pattern(600_000);
        write_all(&engine, &file, &bytes).unwrap();
        file.set_position(0).unwrap();
        // Too late, perhaps: what is not accepted does not count.
        let over = file.write(b"over the beginning").unwrap_or(0);
        let failure = failure(&engine);
        let there = std::fs::read(&path).unwrap();
        let ranges = take(&engine, &file);
        assert_eq!(ranges[0].offset, there.len() as u64, "{mode:?} {ranges:?}");
        assert_eq!(ranges[0].bytes, bytes[there.len()..], "{mode:?}");
        assert_eq!(there, bytes[..there.len()]);
        if over > 0 {
            assert_eq!(ranges[1].offset, 0);
            assert_eq!(ranges[1].bytes, b"over the beginning"[..over]);
        }
        assert_eq!(ranges.len(), 1 + usize::from(over > 0));
        let lowest = ranges.iter().map(|range| range.offset).min();
        assert_eq!(lowest, Some(failure.offset), "{mode:?}");
        assert_eq!(take(&engine, &file), [], "only once");
        // The whole budget is there again.
        let whole: Vec<_> = (0..2).map(|_| engine.buffer(2 << 20)).collect();
        assert!(whole.iter().all(Result::is_ok));
    }
}

/// In append mode offsets count from the first byte accepted.
#[test]
fn appended_bytes_come_back_in_order() {
    let Some(tmpfs) = mount::memory(64 << 10) else {
        return;
    };
    let path = tmpfs.join("file");
    std::fs::write(&path, [7; 10_000]).unwrap();
    let engine = Engine::new().unwrap();
    let file = engine
        .open(&path, &OpenOptions::new().append(true))
        .unwrap();
    let bytes = pattern(100_000);
    write_all(&engine, &file, &bytes).unwrap();
    let failure = failure(&engine);
    let written = std::fs::read(&path).unwrap().len() - 10_000;
    let ranges = take(&engine, &file);
    assert_eq!(ranges.len(), 1, "{ranges:?}");
    assert_eq!(ranges[0].offset, written as u64);
    assert_eq!(failure.offset, written as u64);
    assert_eq!(ranges[0].bytes, bytes[written..]);
}

/// A file whose open failed returns all bytes; a close frees those that were not taken.
#[test]
fn a_refused_open_gives_all_back() {
    let dir = Dir::new();
    let engine = Engine::builder().memory_budget(4 << 20).start().unwrap();
    let open = || engine.open(dir.join("missing/file"), &create()).unwrap();
    let file = open();
    file.set_position(5000).unwrap();
    let n = file.write(b"for nothing").unwrap_or(0);
    failure(&engine);
    let ranges = take(&engine, &file);
    let expected = (n > 0).then(|| Unwritten {
        offset: 5000,
        bytes: b"for nothing".to_vec(),
    });
    assert_eq!(ranges, expected.into_iter().collect::<Vec<_>>());
    let fd = file.fd();
    drop(file);
    assert_eq!(errno(engine.file(fd).take_unwritten()), libc::EBADF);
    let reader = engine
        .open(dir.path(), &OpenOptions::new().read(true))
        .unwrap();
    assert_eq!(errno(reader.take_unwritten()), libc::EBADF);
}
