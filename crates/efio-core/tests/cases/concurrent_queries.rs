//! Several threads, tasks and an event loop make the same calls on one file, and each completes
//! (F93). The fault: of two threads that waited for the length one waited without end.

use crate::common::fixtures::backends;
use crate::common::{Dir, TIMEOUT, event};
use efio_core::{BackendKind, Engine, EventKind, File, OpenOptions, Unwritten};
use futures::executor::block_on;
use std::future::poll_fn;
use std::io::{self, ErrorKind, Write};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::thread;

/// Threads, and as many tasks.
const THREADS: usize = 3;
const ROUNDS: usize = 100;

/// Each call that a thread can wait in.
fn query_by_thread(file: &File) -> io::Result<()> {
    file.blocking(TIMEOUT).wait_open()?;
    file.blocking(TIMEOUT).wait_writable()?;
    match file.write(b"by a thread") {
        // Another thread took the room.
        Err(error) if error.kind() != ErrorKind::WouldBlock => return Err(error),
        _ => {}
    }
    assert!(file.blocking(TIMEOUT).len()? > 0);
    file.blocking(TIMEOUT).flush()?;
    file.blocking(TIMEOUT).wait_synced(file.sync()?)?;
    file.blocking(TIMEOUT).wait_readable()?;
    assert_eq!(
        file.blocking(TIMEOUT)
            .take_unwritten()
            .unwrap_err()
            .raw_os_error(),
        Some(libc::EINVAL)
    );
    Ok(())
}

/// Each call that a task can poll. A read moves the shared position, to the end and no further.
async fn query_by_task(file: &File) -> io::Result<()> {
    poll_fn(|cx| file.poll_open(cx)).await?;
    assert!(poll_fn(|cx| file.poll_write(cx, b"by a task")).await? > 0);
    assert!(poll_fn(|cx| file.poll_len(cx)).await? > 0);
    poll_fn(|cx| file.poll_flush(cx)).await?;
    let mark = file.sync()?;
    poll_fn(|cx| file.poll_sync(cx, mark)).await?;
    poll_fn(|cx| file.poll_read(cx, &mut [0; 16])).await?;
    Ok(())
}

/// Makes each call of an event loop once; returns whether all completed.
fn query_by_loop(file: &File) -> io::Result<bool> {
    let answered = file.len().and_then(|_| {
        let mut file = file;
        file.flush()
    });
    match answered {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
        Err(error) => Err(error),
    }
}

fn query_all(backend: BackendKind) {
    let dir = Dir::new();
    let engine = Engine::builder().backend(backend).start().unwrap();
    let options = OpenOptions::new().read(true).write(true).create(true);
    let file = engine.open(dir.join("file"), &options).unwrap();
    let (done, all_done) = mpsc::channel();
    thread::scope(|scope| {
        for number in 0..2 * THREADS {
            let (file, done) = (&file, done.clone());
            scope.spawn(move || {
                for round in 0..ROUNDS {
                    let answered = match number % 2 {
                        0 => query_by_thread(file),
                        _ => block_on(query_by_task(file)),
                    };
                    answered.unwrap_or_else(|error| panic!("{number}, round {round}: {error}"));
                }
                done.send(()).unwrap();
            });
        }
        for _ in 0..ROUNDS {
            while !query_by_loop(&file).unwrap() {
                event(&engine, |event| {
                    matches!(
                        event.kind,
                        EventKind::Opened | EventKind::Readable | EventKind::Writable
                    )
                });
            }
        }
        for _ in 0..2 * THREADS {
            all_done
                .recv_timeout(2 * TIMEOUT)
                .expect("a call waits without end");
        }
    });
    file.wait_closed(Some(TIMEOUT)).unwrap();
}

#[test]
fn every_query_is_answered() {
    for &backend in backends() {
        query_all(backend);
    }
}

/// Two event loops, say: each asks for the length by itself.
#[test]
fn two_threads_that_wait_for_the_size_are_both_answered() {
    for &backend in backends() {
        let dir = Dir::new();
        let engine = Engine::builder().backend(backend).start().unwrap();
        let options = OpenOptions::new().write(true).create(true).events(false);
        let file = engine.open(dir.join("file"), &options).unwrap();
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    for _ in 0..500 {
                        assert_eq!(file.blocking(TIMEOUT).len().unwrap(), 0);
                    }
                });
            }
        });
    }
}

/// The open of a file without a directory fails, whatever was accepted.
fn refused(engine: &Engine, dir: &Dir, bytes: &[u8]) -> File {
    let options = OpenOptions::new().write(true).create(true).events(false);
    let file = engine.open(dir.join("nowhere/file"), &options).unwrap();
    // Without a byte: what is refused already accepts none.
    let _ = file.write(bytes);
    file.blocking(TIMEOUT).wait_open().unwrap_err();
    file
}

/// One caller gets the bytes, and every call completes.
#[test]
fn every_call_for_unwritten_bytes_is_answered() {
    for &backend in backends() {
        let dir = Dir::new();
        let engine = Engine::builder().backend(backend).start().unwrap();
        for bytes in [&b"lost"[..], b""] {
            let file = refused(&engine, &dir, bytes);
            let accepted = file.progress().unwrap().accepted as usize;
            let taken = AtomicU32::new(0);
            let count = |ranges: Vec<Unwritten>| {
                let bytes = ranges.iter().map(|range| range.bytes.len() as u32).sum();
                taken.fetch_add(bytes, Ordering::Relaxed);
            };
            thread::scope(|scope| {
                scope.spawn(|| count(file.blocking(TIMEOUT).take_unwritten().unwrap()));
                scope.spawn(|| count(block_on(poll_fn(|cx| file.poll_unwritten(cx))).unwrap()));
                count(file.blocking(TIMEOUT).take_unwritten().unwrap());
            });
            assert_eq!(taken.into_inner() as usize, accepted, "{backend:?}");
        }
    }
}
