//! How long a file is, and seeks to its end: with every byte that was accepted, written or not, and
//! with what others did.

mod common;

use common::fixtures::{both, reading};
use common::{Dir, TIMEOUT, closed, errno, event, pattern, ready};
use efio_core::{Engine, EventKind, File, IoMode, OpenOptions};
use std::io::{ErrorKind, Seek, SeekFrom, Write};

/// A long flush interval: no byte is written unless a call requires it.
fn engine(mode: IoMode) -> Engine {
    let builder = Engine::builder().flush_interval(TIMEOUT);
    builder.io_mode(mode).start().unwrap()
}

fn size(engine: &Engine, file: &File) -> u64 {
    ready(engine, file.fd(), || file.len()).unwrap()
}

#[test]
fn what_was_accepted_counts() {
    let dir = Dir::new();
    for mode in [
        IoMode::Direct,
        IoMode::Uncached,
        IoMode::Cached,
        IoMode::Auto,
    ] {
        let engine = engine(mode);
        let path = dir.join("file");
        std::fs::write(&path, pattern(10_000)).unwrap();
        let file = engine.open(&path, &both()).unwrap();
        // Before the kernel has opened it.
        assert_eq!(file.blocking(TIMEOUT).len().unwrap(), 10_000);
        file.set_position(9_000).unwrap();
        assert_eq!(file.write(&pattern(1_500)).unwrap(), 1_500);
        assert_eq!(size(&engine, &file), 10_500);
        file.write_at(20_000, engine.buffer(5).unwrap(), 1).unwrap();
        assert_eq!(size(&engine, &file), 20_005);
        file.set_len(7).unwrap();
        assert_eq!(size(&engine, &file), 7);
        // It does not move the position.
        assert_eq!((&file).stream_position().unwrap(), 10_500);
        // Bytes of another program.
        let mut other = std::fs::OpenOptions::new()
            .append(true)
            .open(&path)
            .unwrap();
        other.write_all(b"more").unwrap();
        assert_eq!(size(&engine, &file), 11);
        assert_eq!(file.blocking(TIMEOUT).len().unwrap(), 11);
    }
}

#[test]
fn a_loop_seeks_to_the_end() {
    let (dir, engine) = (Dir::new(), engine(IoMode::Auto));
    let path = dir.join("file");
    std::fs::write(&path, b"hello, world").unwrap();
    let mut file = engine.open(&path, &reading()).unwrap();
    event(&engine, |event| event.kind == EventKind::Opened);
    let mut seek = |to| Seek::seek(&mut file, to);
    // The driver may be quick enough to answer the first call.
    let end = seek(SeekFrom::End(-5)).or_else(|error| {
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
        event(&engine, |event| event.kind == EventKind::Readable);
        seek(SeekFrom::End(-5))
    });
    assert_eq!(end.unwrap(), 7, "one event was enough");
    assert_eq!(common::read_all(&engine, &file, 9).unwrap(), b"world");

    let fd = file.fd();
    let seek = |to| ready(&engine, fd, || Seek::seek(&mut &file, to));
    assert_eq!(seek(SeekFrom::End(100)).unwrap(), 112);
    for outside in [-13, i64::MIN] {
        assert_eq!(errno(seek(SeekFrom::End(outside))), libc::EINVAL);
    }
    assert_eq!(seek(SeekFrom::Current(0)).unwrap(), 112, "it stayed");
}

#[test]
fn an_answer_from_before_a_write_is_not_given_out() {
    let (dir, engine) = (Dir::new(), engine(IoMode::Auto));
    let file = engine.open(dir.join("file"), &both()).unwrap();
    event(&engine, |event| event.kind == EventKind::Opened);
    // The driver may be quick enough to answer the first call.
    if let Err(error) = file.len() {
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
        event(&engine, |event| event.kind == EventKind::Readable);
    }
    (&file).write_all(b"hello").unwrap();
    assert_eq!(size(&engine, &file), 5);
}

#[test]
fn there_is_an_error_instead_where_there_is_no_size() {
    let (dir, engine) = (Dir::new(), engine(IoMode::Auto));
    let missing = engine.open(dir.join("missing"), &reading()).unwrap();
    assert_eq!(errno(missing.blocking(TIMEOUT).len()), libc::ENOENT);
    let options = OpenOptions::new().write(true).create(true);
    let file = engine.open(dir.join("file"), &options).unwrap();
    file.blocking(TIMEOUT).wait_open().unwrap();
    engine.file(file.fd()).close().unwrap();
    assert_eq!(errno(file.len()), libc::EBADF);
    closed(&engine, file.fd()).unwrap();
    // The end of the engine is an error.
    let file = engine.open(dir.join("file"), &options).unwrap();
    drop(engine);
    assert!(file.blocking(TIMEOUT).len().is_err());
}
