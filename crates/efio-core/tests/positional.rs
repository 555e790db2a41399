//! Positional IO and truncation on the real kernel: what comes back, in which order, and what is
//! refused.

mod common;

use common::mount;
use common::{Dir, TIMEOUT, closed, errno, event, pattern};
use efio_core::{
    BackendKind, Buffer, Completed, Engine, Errno, EventKind, File, IoMode, OpenOptions,
    SubmitError,
};
use std::collections::HashMap;

const MODES: [IoMode; 3] = [IoMode::Direct, IoMode::Uncached, IoMode::Cached];

fn both() -> OpenOptions {
    OpenOptions::new().read(true).write(true).create(true)
}

/// The next completion.
fn completed(engine: &Engine) -> Completed {
    let event = event(engine, |event| {
        matches!(event.kind, EventKind::Completed(_))
    });
    let EventKind::Completed(completed) = event.kind else {
        unreachable!()
    };
    completed
}

fn filled(engine: &Engine, bytes: &[u8]) -> Buffer {
    let mut buffer = engine.buffer(bytes.len()).unwrap();
    buffer.copy_from_slice(bytes);
    buffer
}

fn write_at(engine: &Engine, file: &File, offset: u64, bytes: &[u8], token: u64) {
    file.write_at(offset, filled(engine, bytes), token).unwrap();
}

fn read_at(engine: &Engine, file: &File, offset: u64, len: usize) -> Result<Vec<u8>, Errno> {
    file.read_at(offset, engine.buffer(len).unwrap(), 99)
        .unwrap();
    let Completed {
        result,
        buffer,
        token,
        ..
    } = completed(engine);
    assert_eq!((token, buffer.len()), (99, len));
    result.map(|n| buffer[..n].to_vec())
}

fn refusal(result: Result<(), SubmitError>, len: usize) -> i32 {
    let SubmitError { error, buffer, .. } = result.unwrap_err();
    assert_eq!(buffer.len(), len, "the buffer comes back");
    error.raw_os_error().unwrap()
}

/// F19: each call sees all earlier calls through the descriptor, of either kind.
#[test]
fn positional_and_streamed_calls_see_each_other() {
    let dir = Dir::new();
    for backend in [BackendKind::Pool, BackendKind::Auto] {
        for mode in MODES {
            let engine = Engine::builder()
                .backend(backend)
                .io_mode(mode)
                .start()
                .unwrap();
            let path = dir.join("file");
            let file = engine.open(&path, &both().truncate(true)).unwrap();
            let mut model = pattern(20_000);
            assert_eq!(file.write(&model).unwrap(), 20_000);
            assert_eq!(read_at(&engine, &file, 0, 20_000).unwrap(), model);
            assert_eq!(
                read_at(&engine, &file, 19_990, 4096).unwrap(),
                model[19_990..]
            );
            assert_eq!(
                read_at(&engine, &file, 20_000, 10).unwrap(),
                b"",
                "the end of file"
            );

            write_at(&engine, &file, 8192, &[1; 4096], 1);
            write_at(&engine, &file, 8200, &[2; 10], 2);
            file.set_position(8205).unwrap();
            assert_eq!(file.write(&[3; 10]).unwrap(), 10);
            write_at(&engine, &file, 8210, &[4; 2], 4);
            model[8192..12_288].fill(1);
            model[8200..8210].fill(2);
            model[8205..8215].fill(3);
            model[8210..8212].fill(4);
            file.read_at(8192, engine.buffer(4096).unwrap(), 5).unwrap();
            let mut tokens = HashMap::new();
            for _ in 0..4 {
                let completed = completed(&engine);
                tokens.insert(completed.token, completed);
            }
            for token in [1, 2, 4] {
                let len = tokens[&token].buffer.len();
                assert_eq!(tokens[&token].result, Ok(len), "{mode:?}");
            }
            assert_eq!(tokens[&5].result, Ok(4096));
            assert_eq!(tokens[&5].buffer[..], model[8192..12_288], "{mode:?}");

            file.set_len(8203).unwrap();
            assert_eq!(
                read_at(&engine, &file, 8190, 100).unwrap(),
                model[8190..8203]
            );
            file.set_position(8200).unwrap();
            let mut buf = [0; 100];
            let n = loop {
                match file.read(&mut buf) {
                    Ok(n) => break n,
                    Err(_) => event(&engine, |event| event.kind == EventKind::Readable),
                };
            };
            assert_eq!(buf[..n], model[8200..8203], "{mode:?}");
            let mark = file.sync().unwrap();
            assert_eq!(mark, file.progress().unwrap().accepted);
            event(&engine, |event| {
                event.kind == EventKind::Synced { upto: mark }
            });
            let fd = file.fd();
            file.close().unwrap();
            assert_eq!(closed(&engine, fd), Ok(()));
            assert_eq!(std::fs::read(&path).unwrap(), model[..8203], "{mode:?}");
            assert!(engine.shutdown(TIMEOUT).unwrap().is_clean());
        }
    }
}

/// F12: the close waits for all ops submitted before it, in every mode; each completes once.
#[test]
fn a_close_waits_for_positional_ops() {
    const OPS: u64 = 64;
    let dir = Dir::new();
    for mode in MODES {
        let engine = Engine::builder().io_mode(mode).start().unwrap();
        let path = dir.join("file");
        let file = engine.open(&path, &both().truncate(true)).unwrap();
        for op in 0..OPS {
            write_at(&engine, &file, op * 4096, &[op as u8; 4096], op);
        }
        for op in 0..OPS {
            let buffer = engine.buffer(4096).unwrap();
            file.read_at(op * 4096, buffer, OPS + op).unwrap();
        }
        let fd = file.fd();
        file.close().unwrap();
        let mut seen = vec![0; 2 * OPS as usize];
        event(&engine, |event| match &event.kind {
            EventKind::Completed(completed) => {
                let op = completed.token % OPS;
                assert_eq!(completed.result, Ok(4096));
                assert!(completed.buffer.iter().all(|&byte| u64::from(byte) == op));
                seen[completed.token as usize] += 1;
                false
            }
            EventKind::Closed { result } => {
                assert_eq!((event.fd, *result), (fd, Ok(())));
                true
            }
            _ => false,
        });
        assert!(seen.iter().all(|&times| times == 1), "{mode:?}: {seen:?}");
    }
}

/// F1, F2, F3, F5, F8.
#[test]
fn bad_calls_give_the_buffer_back() {
    let dir = Dir::new();
    let engine = Engine::new().unwrap();
    for len in [0, Buffer::MAX_LEN + 1] {
        assert_eq!(errno(engine.buffer(len)), libc::EINVAL);
    }
    let buffer = || engine.buffer(100).unwrap();
    let writer = engine
        .open(
            dir.join("file"),
            &OpenOptions::new().write(true).create(true),
        )
        .unwrap();
    // Opens of one name overtake each other: the file has to be there.
    while !writer.open_status().unwrap() {
        std::thread::yield_now();
    }
    let reader = engine
        .open(dir.join("file"), &OpenOptions::new().read(true))
        .unwrap();
    let append = engine
        .open(dir.join("file"), &OpenOptions::new().append(true))
        .unwrap();
    assert_eq!(refusal(writer.read_at(0, buffer(), 0), 100), libc::EBADF);
    assert_eq!(refusal(reader.write_at(0, buffer(), 0), 100), libc::EBADF);
    assert_eq!(errno(reader.set_len(0)), libc::EBADF);
    assert_eq!(refusal(append.write_at(0, buffer(), 0), 100), libc::EINVAL);
    for offset in [u64::MAX, 1 << 63, i64::MAX as u64 - 99] {
        assert_eq!(
            refusal(writer.write_at(offset, buffer(), 0), 100),
            libc::EINVAL
        );
        assert_eq!(
            refusal(reader.read_at(offset, buffer(), 0), 100),
            libc::EINVAL
        );
    }
    assert_eq!(errno(writer.set_len(1 << 63)), libc::EINVAL);
    assert_eq!(
        writer.progress().unwrap().accepted,
        0,
        "nothing was accepted"
    );

    let mut empty = buffer();
    empty.resize(0);
    reader.read_at(5, empty, 7).unwrap();
    let none = completed(&engine);
    assert_eq!(
        (none.token, none.result, none.buffer.capacity()),
        (7, Ok(0), 4096)
    );

    let fd = reader.fd();
    drop(reader);
    closed(&engine, fd).unwrap();
    assert_eq!(
        refusal(engine.file(fd).read_at(0, buffer(), 0), 100),
        libc::EBADF
    );
    assert_eq!(
        refusal(engine.file(fd).write_at(0, buffer(), 0), 100),
        libc::EBADF
    );
    assert_eq!(errno(engine.file(fd).set_len(0)), libc::EBADF);
}

/// The open fails: ops submitted meanwhile complete with its error.
#[test]
fn a_refused_open_ends_every_op() {
    let dir = Dir::new();
    let engine = Engine::new().unwrap();
    let file = engine.open(dir.join("missing/file"), &both()).unwrap();
    let mut asked = 0;
    for token in 0..10 {
        let buffer = engine.buffer(10).unwrap();
        // The answer of the kernel may be there already.
        match file.write_at(token, buffer, token) {
            Ok(()) => asked += 1,
            Err(refused) => assert_eq!(refused.error.raw_os_error(), Some(libc::ENOENT)),
        }
    }
    for _ in 0..asked {
        assert_eq!(completed(&engine).result, Err(Errno(libc::ENOENT)));
    }
    let buffer = engine.buffer(10).unwrap();
    assert_eq!(refusal(file.read_at(0, buffer, 0), 10), libc::ENOENT);
    let fd = file.fd();
    assert_eq!(errno(file.close()), libc::ENOENT);
    assert_eq!(closed(&engine, fd), Err(Errno(libc::ENOENT)));
}

/// F21: a write that fails also fails the file at its offset; reads of existing bytes go on.
#[test]
fn a_full_disk_fails_the_write_and_the_file() {
    let Some(tmpfs) = mount::memory(256 << 10) else {
        return;
    };
    let engine = Engine::builder().io_mode(IoMode::Cached).start().unwrap();
    let file = engine.open(tmpfs.join("file"), &both()).unwrap();
    write_at(&engine, &file, 0, &pattern(4096), 0);
    assert_eq!(completed(&engine).result, Ok(4096));
    write_at(&engine, &file, 4096, &pattern(1 << 20), 1);
    let failed = completed(&engine);
    assert_eq!((failed.token, failed.result), (1, Err(Errno(libc::ENOSPC))));
    let failure = file
        .failure()
        .unwrap()
        .expect("the file failed before its op completed");
    assert_eq!(failure.errno.0, libc::ENOSPC);
    let there = std::fs::metadata(tmpfs.join("file")).unwrap().len();
    assert_eq!(failure.offset, there, "what was written is counted");
    assert_eq!(
        refusal(file.write_at(0, failed.buffer, 2), 1 << 20),
        libc::ENOSPC
    );
    assert_eq!(errno(file.sync()), libc::ENOSPC);
    assert_eq!(errno(file.set_len(0)), libc::ENOSPC);
    assert_eq!(errno(file.close()), libc::ENOSPC);
}

/// Ops that wait for a file whose open the driver has not seen yet, at a shutdown right after.
#[test]
fn a_shutdown_completes_what_was_asked() {
    let dir = Dir::new();
    let engine = Engine::new().unwrap();
    let files: Vec<File> = (0..8)
        .map(|number| engine.open(dir.join(&number.to_string()), &both()).unwrap())
        .collect();
    for file in &files {
        write_at(&engine, file, 10, b"positional", 0);
        file.set_len(15).unwrap();
    }
    assert!(engine.shutdown(TIMEOUT).unwrap().is_clean());
    for number in 0..8 {
        let bytes = std::fs::read(dir.join(&number.to_string())).unwrap();
        assert_eq!(bytes, b"\0\0\0\0\0\0\0\0\0\0posit");
    }
}
