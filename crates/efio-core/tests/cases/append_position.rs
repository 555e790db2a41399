//! F89: after an append the position is the end of the file, as with std and tokio.

use crate::common::fixtures::{MODES, backends};
use crate::common::{Dir, TIMEOUT, event, ready, write_all};
use efio_core::{BackendKind, Engine, Event, EventKind, File, IoMode, OpenOptions};
use std::fs;
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::Path;

fn appending() -> OpenOptions {
    OpenOptions::new().read(true).append(true)
}

fn each_engine(mut test: impl FnMut(&Engine, &Path, &str)) {
    let all = backends()
        .iter()
        .flat_map(|&backend| MODES.map(|mode| (backend, mode)));
    for (backend, mode) in all {
        let dir = Dir::new();
        let path = dir.join("file");
        fs::write(&path, b"hello").unwrap();
        test(
            &start(backend, mode),
            &path,
            &format!("{backend:?} {mode:?}"),
        );
    }
}

fn start(backend: BackendKind, mode: IoMode) -> Engine {
    let engine = Engine::builder().backend(backend).io_mode(mode);
    engine.start().unwrap()
}

fn position(engine: &Engine, file: &File) -> u64 {
    ready(engine, file.fd(), || (&mut &*file).stream_position()).unwrap()
}

fn read(engine: &Engine, file: &File) -> Vec<u8> {
    let buffer = std::cell::RefCell::new([0; 20]);
    let n = ready(engine, file.fd(), || file.read(&mut *buffer.borrow_mut())).unwrap();
    buffer.into_inner()[..n].to_vec()
}

/// Append, ask for the position, read, in each order, with appends of others in between.
#[test]
fn as_std_has_it() {
    each_engine(|engine, path, of| {
        let std_path = path.with_extension("std");
        fs::copy(path, &std_path).unwrap();
        let options = fs::OpenOptions::new().read(true).append(true).clone();
        let mut theirs = options.open(&std_path).unwrap();
        let ours = engine.open(path, &appending()).unwrap();
        let append = |bytes: &[u8]| {
            for path in [path, &std_path] {
                options.open(path).unwrap().write_all(bytes).unwrap();
            }
        };
        let mut buffer = [0; 20];
        for round in 0..12 {
            write_all(engine, &ours, b"abc").unwrap();
            theirs.write_all(b"abc").unwrap();
            if round % 2 == 0 {
                let at = theirs.stream_position().unwrap();
                assert_eq!(position(engine, &ours), at, "{of}, round {round}");
                if round % 3 == 0 {
                    append(b"others");
                }
            }
            let n = theirs.read(&mut buffer).unwrap();
            assert_eq!(read(engine, &ours), buffer[..n], "{of}, round {round}");
            let at = theirs.stream_position().unwrap();
            assert_eq!(position(engine, &ours), at, "{of}, round {round}");
            append(b"others");
            let n = theirs.read(&mut buffer).unwrap();
            assert_eq!(read(engine, &ours), buffer[..n], "{of}, round {round}");
        }
        // From there on, and a plain position is one again.
        write_all(engine, &ours, b"last").unwrap();
        theirs.write_all(b"last").unwrap();
        let back = SeekFrom::Current(-6);
        let at = ready(engine, ours.fd(), || (&mut &ours).seek(back)).unwrap();
        assert_eq!(at, theirs.seek(back).unwrap(), "{of}");
        // A read may be short where the file ended before.
        let (mut last, mut n) = (read(engine, &ours), 1);
        while last.len() < 6 && n > 0 {
            let more = read(engine, &ours);
            n = more.len();
            last.extend(more);
        }
        assert_eq!(last, b"rslast", "{of}");
        write_all(engine, &ours, b"!").unwrap();
        ours.set_position(1).unwrap();
        assert_eq!((&mut &ours).stream_position().unwrap(), 1, "{of}");
        assert!(read(engine, &ours).starts_with(b"e"), "{of}");
    });
}

/// A read that has to look for the end blocks once; after its event the call completes. A write
/// of the same thread in between makes the pending look-up obsolete, and the next read asks again.
#[test]
fn a_read_is_notified_once() {
    each_engine(|engine, path, of| {
        let file = engine.open(path, &appending()).unwrap();
        event(engine, |event| event.kind == EventKind::Opened);
        let is_readable = |event: &Event| event.kind == EventKind::Readable;
        for round in 0..20 {
            // Each read that blocks may be notified once.
            let (mut blocked, mut notified) = (0, 0);
            let two_reads = round % 2 == 0;
            if two_reads {
                // The write below makes this look-up obsolete, and its event may be there by then.
                write_all(engine, &file, b"abc").unwrap();
                blocked += usize::from(file.read(&mut [0; 20]).is_err());
            }
            write_all(engine, &file, b"abc").unwrap();
            while file.read(&mut [0; 20]).is_err() {
                blocked += 1;
                assert!(two_reads || blocked == 1, "{of}, round {round}");
                event(engine, is_readable);
                notified += 1;
            }
            file.blocking(TIMEOUT).flush().unwrap();
            assert_eq!(file.blocking(TIMEOUT).len().unwrap(), size(path));
            notified += engine.events().drain().filter(is_readable).count();
            assert!(
                notified <= blocked,
                "{of}, round {round}: {notified} events for {blocked} reads that blocked"
            );
        }
        write_all(engine, &file, b"abc").unwrap();
        file.blocking(TIMEOUT).wait_readable().unwrap();
        let readiness = engine.file(file.fd()).readiness().unwrap();
        assert!(readiness.readable, "{of}: the wait has returned");
        assert_eq!(file.read(&mut [0; 20]).unwrap(), 0, "{of}: it was readable");
    });
}

fn size(path: &Path) -> u64 {
    fs::metadata(path).unwrap().len()
}

/// A file that is not open for reading has a position as well, and refuses what it refused.
#[test]
fn a_file_that_is_only_appended_to() {
    each_engine(|engine, path, of| {
        let file = engine.open(path, &OpenOptions::new().append(true)).unwrap();
        write_all(engine, &file, b"abc").unwrap();
        let error = file.read(&mut [0; 20]).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EBADF), "{of}");
        let error = (&mut &file).stream_position().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WouldBlock, "{of}");
        assert_eq!(position(engine, &file), 8, "{of}");
        assert_eq!((&mut &file).stream_position().unwrap(), 8, "{of}");
    });
}

/// A wait for the end of a file that never opens returns the error of the open.
#[test]
fn an_open_that_fails() {
    each_engine(|engine, path, of| {
        let file = engine.open(path.join("below"), &appending()).unwrap();
        let errno_of = |result: std::io::Result<usize>| result.unwrap_err().raw_os_error();
        if file.write(b"abc").is_ok() {
            let result = ready(engine, file.fd(), || {
                loop {
                    match file.read(&mut [0; 20]) {
                        Err(error) if error.kind() == ErrorKind::WouldBlock => {
                            let waited = file.blocking(TIMEOUT).wait_readable();
                            assert!(waited.is_ok(), "{of}: {waited:?}");
                        }
                        result => return result,
                    }
                }
            });
            assert_eq!(errno_of(result), Some(libc::ENOTDIR), "{of}");
        }
    });
}

/// A reader beside a thread that appends through the same descriptor gets its answer.
#[test]
fn beside_a_writer() {
    use std::sync::atomic::{AtomicBool, Ordering};

    for &backend in backends() {
        let dir = Dir::new();
        let engine = start(backend, IoMode::Auto);
        let options = appending().create(true).events(false);
        let file = engine.open(dir.join("file"), &options).unwrap();
        file.blocking(TIMEOUT).wait_open().unwrap();
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(Ordering::SeqCst) {
                    if file.write(&[7; 100]).is_err() {
                        file.blocking(TIMEOUT).wait_writable().unwrap();
                    }
                    std::thread::yield_now();
                }
            });
            for _ in 0..20 {
                file.blocking(TIMEOUT).wait_readable().unwrap();
            }
            stop.store(true, Ordering::SeqCst);
        });
    }
}

#[cfg(feature = "tokio")]
mod tasks {
    use super::*;
    use efio_core::AsyncFile;
    use std::pin::Pin;
    use std::task::{Context, Waker};
    use tokio::io::{AsyncReadExt, AsyncSeek, AsyncSeekExt, AsyncWriteExt};

    fn block_on(future: impl Future<Output = ()>) {
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.build().unwrap();
        runtime.block_on(future);
    }

    /// The case as it was found, and what follows from it.
    #[test]
    fn as_tokio_has_it() {
        each_engine(|engine, path, of| {
            block_on(async {
                let std_path = path.with_extension("tokio");
                fs::copy(path, &std_path).unwrap();
                let mut options = tokio::fs::OpenOptions::new();
                let mut theirs = options
                    .read(true)
                    .append(true)
                    .open(&std_path)
                    .await
                    .unwrap();
                let mut ours = AsyncFile::open(engine, path, &appending()).await.unwrap();
                let (mut here, mut there) = ([0; 20], [0; 20]);
                for flushes in [true, false, true, false] {
                    ours.write_all(b"abc").await.unwrap();
                    theirs.write_all(b"abc").await.unwrap();
                    theirs.flush().await.unwrap();
                    if flushes {
                        ours.flush().await.unwrap();
                        let at = theirs.stream_position().await.unwrap();
                        assert_eq!(ours.stream_position().await.unwrap(), at, "{of}");
                    }
                    let (n, m) = (
                        ours.read(&mut here).await.unwrap(),
                        theirs.read(&mut there).await.unwrap(),
                    );
                    assert_eq!(here[..n], there[..m], "{of}");
                    ours.write_all(b"def").await.unwrap();
                    theirs.write_all(b"def").await.unwrap();
                    theirs.flush().await.unwrap();
                    let back = SeekFrom::Current(-4);
                    let at = theirs.seek(back).await.unwrap();
                    assert_eq!(ours.seek(back).await.unwrap(), at, "{of}");
                    ours.read_exact(&mut here[..4]).await.unwrap();
                    assert_eq!(&here[..4], b"cdef", "{of}");
                    theirs.read_exact(&mut there[..4]).await.unwrap();
                }
            });
        });
    }

    /// F86: a seek from the end that was dropped does not happen.
    #[test]
    fn a_dropped_seek() {
        each_engine(|engine, path, of| {
            block_on(async {
                let mut file = AsyncFile::open(engine, path, &appending()).await.unwrap();
                file.write_all(b"abc").await.unwrap();
                let mut seek = Box::pin(file.seek(SeekFrom::Current(-2)));
                let polled = seek.as_mut().poll(&mut Context::from_waker(Waker::noop()));
                drop(seek);
                let end = if polled.is_pending() { 8 } else { 6 };
                assert_eq!(file.stream_position().await.unwrap(), end, "{of}");
            });
        });
    }

    /// By hand: `poll_complete` without `start_seek` waits for nobody. tokio calls it before each
    /// seek, so it returns the position if that is known, and 0 for the end of the file.
    #[test]
    fn completed_without_a_start() {
        each_engine(|engine, path, of| {
            block_on(async {
                let mut file = AsyncFile::open(engine, path, &appending()).await.unwrap();
                file.write_all(b"abc").await.unwrap();
                for expected in [0, 8] {
                    let at = std::future::poll_fn(|cx| Pin::new(&mut file).poll_complete(cx));
                    assert_eq!(at.await.unwrap(), expected, "{of}");
                    assert_eq!(file.stream_position().await.unwrap(), 8, "{of}");
                }
            });
        });
    }
}

#[cfg(feature = "futures-io")]
#[test]
fn as_futures_have_it() {
    use efio_core::AsyncFile;
    use futures::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};

    each_engine(|engine, path, of| {
        futures::executor::block_on(async {
            let mut file = AsyncFile::open(engine, path, &appending()).await.unwrap();
            file.write_all(b"abc").await.unwrap();
            assert_eq!(file.stream_position().await.unwrap(), 8, "{of}");
            file.write_all(b"def").await.unwrap();
            assert_eq!(file.read(&mut [0; 20]).await.unwrap(), 0, "{of}");
            assert_eq!(file.seek(SeekFrom::Current(-1)).await.unwrap(), 10, "{of}");
        });
    });
}
