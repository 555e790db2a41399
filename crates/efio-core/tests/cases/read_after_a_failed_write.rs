//! F92: a read waits for the bytes that its own file accepted before it. When the kernel refuses
//! them, the read gets the error of the write, by whatever call, and at its first call.

use crate::common::child::{child_arg, limit, run_in_child};
use crate::common::fixtures::backends;
use crate::common::{Dir, TIMEOUT, errno, event};
use efio_core::transfer::{SendFile, Step};
use efio_core::{Engine, EventKind, File, IoMode, OpenOptions};
use std::io::{self, ErrorKind};

#[test]
fn a_read_after_a_failed_write_gets_its_error() {
    if child_arg().is_none() {
        let name = "read_after_a_failed_write::a_read_after_a_failed_write_gets_its_error";
        return run_in_child(name, "files have no room");
    }
    // The kernel refuses every byte of every file.
    limit(libc::RLIMIT_FSIZE as i32, 0);
    for &backend in backends() {
        for mode in [IoMode::Cached, IoMode::Auto] {
            let dir = Dir::new();
            let engine = Engine::builder().backend(backend).io_mode(mode);
            let engine = engine.start().unwrap();
            for (name, ask) in ASKING {
                let file = written_in_vain(&engine, &dir, name);
                let error = errno(ask(&engine, &file));
                assert_eq!(error, libc::EFBIG, "{name}, {backend:?}, {mode:?}");
                // It stays.
                assert_eq!(errno(file.read(&mut [0; 10])), libc::EFBIG, "{name}");
                assert_eq!(errno(file.available()), libc::EFBIG, "{name}");
                assert!(
                    engine.file(file.fd()).readiness().unwrap().readable,
                    "{name}"
                );
            }
        }
    }
}

/// A file that has accepted bytes which the kernel will refuse, at its start again.
fn written_in_vain(engine: &Engine, dir: &Dir, name: &str) -> File {
    let options = OpenOptions::new().read(true).write(true).create(true);
    let file = engine.open(dir.join(name), &options).unwrap();
    assert_eq!(file.write(&[7; 100]).unwrap(), 100);
    file.set_position(0).unwrap();
    file
}

type Ask = fn(&Engine, &File) -> io::Result<u64>;

const ASKING: [(&str, Ask); 5] = [
    ("read", |engine, file| {
        by_events(engine, file, || file.read(&mut [0; 10]).map(|n| n as u64))
    }),
    ("available", |engine, file| {
        by_events(engine, file, || file.available().map(|n| n as u64))
    }),
    ("transfer", |engine, file| {
        let mut send = SendFile::new(None);
        by_events(engine, file, || match send.step(file, &mut Vec::new())? {
            Step::WaitSource => Err(ErrorKind::WouldBlock.into()),
            _ => Ok(0),
        })
    }),
    ("wait_readable", |_, file| {
        loop {
            match file.read(&mut [0; 10]) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    file.blocking(TIMEOUT).wait_readable().unwrap();
                }
                result => return result.map(|n| n as u64),
            }
        }
    }),
    ("poll_read", |_, file| {
        let mut buffer = [0; 10];
        let read = std::future::poll_fn(|cx| file.poll_read(cx, &mut buffer));
        futures::executor::block_on(read).map(|n| n as u64)
    }),
];

/// Calls, and calls again after each event: a few times, as it must not spin.
fn by_events(
    engine: &Engine,
    file: &File,
    mut call: impl FnMut() -> io::Result<u64>,
) -> io::Result<u64> {
    for _ in 0..4 {
        match call() {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                event(engine, |event| {
                    event.fd == file.fd() && event.kind == EventKind::Readable
                });
            }
            result => return result,
        }
    }
    panic!("it is notified, and finds nothing: without end");
}
