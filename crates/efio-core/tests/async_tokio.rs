//! `AsyncFile` under tokio: its io utilities, beside `tokio::fs::File`, and futures that are
//! dropped.
#![cfg(feature = "tokio")]

mod common;

use common::Dir;
use efio_core::{AsyncFile, Engine, OpenOptions};
use fastrand::Rng;
use std::future::Future;
use std::io::{ErrorKind, IoSlice, SeekFrom};
use std::sync::Arc;
use tokio::io::{
    AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncSeekExt, AsyncWriteExt, BufReader, copy,
    copy_buf,
};
use tokio::runtime::Builder;

fn both() -> OpenOptions {
    let options = OpenOptions::new().read(true).write(true);
    options.create(true).truncate(true)
}

fn reading() -> OpenOptions {
    OpenOptions::new().read(true)
}

/// On one thread and on several; neither has a reactor or timers.
fn on_both_runtimes<F: Future<Output = ()>>(test: impl Fn() -> F) {
    let one = Builder::new_current_thread().build().unwrap();
    one.block_on(test());
    let several = Builder::new_multi_thread().worker_threads(2).build();
    several.unwrap().block_on(test());
}

fn engine() -> Engine {
    Engine::builder().memory_budget(4 << 20).start().unwrap()
}

fn random_bytes(random: &mut Rng, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    random.fill(&mut bytes);
    bytes
}

#[test]
fn tokios_utilities_work() {
    on_both_runtimes(|| async {
        let (dir, engine) = (Dir::new(), engine());
        let bytes = random_bytes(&mut Rng::with_seed(1), 9_000_001);
        let mut file = AsyncFile::open(&engine, dir.join("file"), &both())
            .await
            .unwrap();
        file.write_all(&bytes).await.unwrap();
        file.flush().await.unwrap();
        assert!(std::fs::read(dir.join("file")).unwrap() == bytes);
        file.sync().await.unwrap();
        assert_eq!(
            file.get_ref().progress().unwrap().durable,
            bytes.len() as u64
        );

        file.rewind().await.unwrap();
        let mut head = vec![0; 100_000];
        file.read_exact(&mut head).await.unwrap();
        assert!(head == bytes[..100_000]);
        assert_eq!(file.stream_position().await.unwrap(), 100_000);
        let mut rest = Vec::new();
        file.read_to_end(&mut rest).await.unwrap();
        assert!(rest == bytes[100_000..]);
        let error = file.read_exact(&mut head).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnexpectedEof);

        for buffered in [false, true] {
            file.rewind().await.unwrap();
            let mut to = AsyncFile::open(&engine, dir.join("copy"), &both())
                .await
                .unwrap();
            let n = if buffered {
                copy_buf(&mut file, &mut to).await
            } else {
                copy(&mut file, &mut to).await
            };
            assert_eq!(n.unwrap(), bytes.len() as u64);
            to.shutdown().await.unwrap();
            assert!(std::fs::read(dir.join("copy")).unwrap() == bytes);
        }
        file.shutdown().await.unwrap();
        file.shutdown().await.unwrap();
        assert!(file.write(b"closed").await.is_err());
        assert!(engine.events().try_next().is_none());
    });
}

#[test]
fn lines_and_vectored_writes() {
    on_both_runtimes(|| async {
        let (dir, engine) = (Dir::new(), engine());
        let path = dir.join("log");
        let log = OpenOptions::new().append(true).create(true);
        let mut log = AsyncFile::open(&engine, &path, &log).await.unwrap();
        let expected: Vec<String> = (0..50_000).map(|n| format!("line {n}, of a log")).collect();
        for line in &expected {
            let mut bufs = &mut [line.as_bytes(), b"\n"].map(IoSlice::new)[..];
            while !bufs.is_empty() {
                let n = log.write_vectored(bufs).await.unwrap();
                IoSlice::advance_slices(&mut bufs, n);
            }
        }
        log.shutdown().await.unwrap();
        // Out of the pages themselves, and through a buffer of tokio's.
        let file = AsyncFile::open(&engine, &path, &reading()).await.unwrap();
        let mut lines = file.lines();
        for line in &expected {
            assert_eq!(lines.next_line().await.unwrap().as_ref(), Some(line));
        }
        assert_eq!(lines.next_line().await.unwrap(), None);
        let file = AsyncFile::open(&engine, &path, &reading()).await.unwrap();
        let mut lines = BufReader::new(file).lines();
        for line in &expected {
            assert_eq!(lines.next_line().await.unwrap().as_ref(), Some(line));
        }
        assert_eq!(lines.next_line().await.unwrap(), None);
    });
}

#[test]
fn errors_are_those_of_the_file() {
    on_both_runtimes(|| async {
        let (dir, engine) = (Dir::new(), engine());
        let missing = AsyncFile::open(&engine, dir.join("missing"), &reading()).await;
        assert_eq!(missing.unwrap_err().kind(), ErrorKind::NotFound);
        let file = engine.open(dir.join("missing"), &reading()).unwrap();
        let mut file = AsyncFile::from(file);
        let error = file.read(&mut [0; 4]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert_eq!(
            file.shutdown().await.unwrap_err().kind(),
            ErrorKind::NotFound
        );
        let mut file = AsyncFile::open(&engine, dir.join("file"), &both())
            .await
            .unwrap();
        let error = file.seek(SeekFrom::End(-1)).await.unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EINVAL));
        let error = file.seek(SeekFrom::Current(-1)).await.unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EINVAL));
    });
}

/// The engine ends while tasks use it: each call returns an error.
#[test]
fn the_end_of_the_engine_is_an_error() {
    on_both_runtimes(|| async {
        let (dir, engine) = (Dir::new(), engine());
        let mut file = AsyncFile::open(&engine, dir.join("file"), &both())
            .await
            .unwrap();
        file.write_all(b"accepted").await.unwrap();
        drop(engine);
        assert!(file.flush().await.is_err());
        assert!(file.shutdown().await.is_err());
        assert_eq!(std::fs::read(dir.join("file")).unwrap(), b"accepted");
    });
}

/// Polls once, and drops the future unless it is ready.
async fn try_once<T>(future: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        result = future => Some(result),
        () = std::future::ready(()) => None,
    }
}

/// Reads that are dropped while pending lose no byte and return none twice.
#[test]
fn a_cancelled_read_loses_nothing() {
    on_both_runtimes(|| async {
        let (dir, engine) = (Dir::new(), engine());
        let mut random = Rng::with_seed(2);
        let bytes = random_bytes(&mut random, 3_000_000);
        std::fs::write(dir.join("file"), &bytes).unwrap();
        let mut file = AsyncFile::open(&engine, dir.join("file"), &reading())
            .await
            .unwrap();
        let (mut seen, mut cancelled) = (Vec::new(), 0);
        loop {
            let mut buf = vec![0; random.usize(1..50_000)];
            let result = if random.bool() {
                try_once(file.read(&mut buf)).await
            } else {
                try_once(file.fill_buf()).await.map(|shown| {
                    let n = shown.unwrap().len().min(buf.len());
                    Ok(n)
                })
            };
            match result {
                None => {
                    cancelled += 1;
                    tokio::task::yield_now().await;
                    // The read that was requested may be pending only now.
                    let shown = file.fill_buf().await.unwrap();
                    if shown.is_empty() {
                        break;
                    }
                }
                Some(Ok(0)) => break,
                Some(Ok(n)) => {
                    let at = file.stream_position().await.unwrap() as usize;
                    if at == seen.len() {
                        // `fill_buf` showed these bytes; this takes them.
                        let shown = file.fill_buf().await.unwrap()[..n].to_vec();
                        file.consume(n);
                        seen.extend(shown);
                    } else {
                        seen.extend(&buf[..n]);
                    }
                }
                Some(Err(error)) => panic!("{error}"),
            }
        }
        assert!(seen == bytes, "{} of {} bytes", seen.len(), bytes.len());
        assert!(cancelled > 0, "no future was dropped half way");
    });
}

/// Writes that are dropped while pending accept no byte afterwards.
#[test]
fn a_cancelled_write_loses_nothing() {
    on_both_runtimes(|| async {
        let (dir, engine) = (Dir::new(), engine());
        let mut random = Rng::with_seed(3);
        let bytes = random_bytes(&mut random, 20_000_000);
        let mut file = AsyncFile::open(&engine, dir.join("file"), &both())
            .await
            .unwrap();
        let (mut accepted, mut cancelled, mut flushes) = (0, 0, 0);
        while accepted < bytes.len() {
            let rest = &bytes[accepted..];
            let part = &rest[..rest.len().min(random.usize(1..200_000))];
            match try_once(file.write(part)).await {
                Some(n) => accepted += n.unwrap(),
                None => {
                    cancelled += 1;
                    // The disk may have caught up meanwhile; not every time.
                    flushes += u32::from(try_once(file.flush()).await.is_none());
                    accepted += file.write(part).await.unwrap();
                }
            }
            let marks = file.get_ref().progress().unwrap();
            assert_eq!(marks.accepted, accepted as u64);
        }
        assert!(
            cancelled > 0 && flushes > 0,
            "no future was dropped half way"
        );
        file.shutdown().await.unwrap();
        assert!(std::fs::read(dir.join("file")).unwrap() == bytes);
    });
}

/// A random workload sees the same in both files.
#[test]
fn a_random_workload_sees_what_tokios_file_shows() {
    async fn some(file: &mut (impl AsyncRead + Unpin), len: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        file.take(len as u64).read_to_end(&mut bytes).await.unwrap();
        bytes
    }
    on_both_runtimes(|| async {
        for seed in 0..30 {
            let (dir, engine) = (Dir::new(), engine());
            let mut random = Rng::with_seed(seed);
            let len = random.usize(0..300_000);
            let content = random_bytes(&mut random, len);
            let (mine, theirs) = (dir.join("mine"), dir.join("theirs"));
            std::fs::write(&mine, &content).unwrap();
            std::fs::write(&theirs, &content).unwrap();
            let options = OpenOptions::new().read(true).write(true);
            let mut file = AsyncFile::open(&engine, &mine, &options).await.unwrap();
            let mut other = tokio::fs::OpenOptions::new();
            let mut other = other.read(true).write(true).open(&theirs).await.unwrap();
            for step in 0..100 {
                let place = format!("seed {seed}, step {step}");
                match random.u8(0..12) {
                    0..3 => {
                        let len = random.usize(0..60_000);
                        let (ours, expected) = (some(&mut file, len).await, some(&mut other, len));
                        assert!(ours == expected.await, "{place}: read");
                    }
                    3..5 => {
                        let shown = file.fill_buf().await.unwrap();
                        let shown = shown[..random.usize(0..=shown.len())].to_vec();
                        file.consume(shown.len());
                        let expected = some(&mut other, shown.len()).await;
                        assert!(shown == expected, "{place}: shown");
                    }
                    5..8 => {
                        let len = random.usize(0..60_000);
                        let bytes = random_bytes(&mut random, len);
                        file.write_all(&bytes).await.unwrap();
                        other.write_all(&bytes).await.unwrap();
                    }
                    8..10 => {
                        // Accepted bytes count, written or not.
                        let by = random.i64(-70_000..20_000);
                        let to = SeekFrom::End(by);
                        if random.bool() {
                            // Dropped while pending: the next seek goes where it should all the
                            // same.
                            drop(try_once(file.seek(SeekFrom::End(1))).await);
                        }
                        match (file.seek(to).await, other.seek(to).await) {
                            (Ok(at), Ok(expected)) => assert_eq!(at, expected, "{place}"),
                            (Err(error), Err(_)) => {
                                assert_eq!(error.raw_os_error(), Some(libc::EINVAL), "{place}");
                            }
                            (at, expected) => panic!("{place}: {at:?}, {expected:?}"),
                        }
                    }
                    10 => {
                        let to = SeekFrom::Start(random.u64(0..400_000));
                        let (at, expected) = (file.seek(to).await, other.seek(to).await);
                        assert_eq!(at.unwrap(), expected.unwrap(), "{place}");
                    }
                    _ => {
                        let back = random.i64(-20_000..20_000);
                        let at = other.stream_position().await.unwrap();
                        assert_eq!(file.stream_position().await.unwrap(), at, "{place}");
                        let to = SeekFrom::Current(back.max(-(at as i64)));
                        assert_eq!(file.seek(to).await.unwrap(), other.seek(to).await.unwrap());
                        if random.bool() {
                            file.sync().await.unwrap();
                        }
                    }
                }
            }
            other.flush().await.unwrap();
            file.shutdown().await.unwrap();
            assert!(
                std::fs::read(&mine).unwrap() == std::fs::read(&theirs).unwrap(),
                "seed {seed}"
            );
        }
    });
}

/// Many tasks on several threads; F47: each of them is woken for each thing that it waits for.
#[test]
fn many_tasks_copy_at_once() {
    const TASKS: u64 = 64;
    on_both_runtimes(|| async {
        let dir = Arc::new(Dir::new());
        let engine = Arc::new(engine());
        let mut tasks = Vec::new();
        for number in 0..TASKS {
            let (dir, engine) = (Arc::clone(&dir), Arc::clone(&engine));
            tasks.push(tokio::spawn(async move {
                let bytes = random_bytes(&mut Rng::with_seed(number), 400_000);
                let from = dir.join(&format!("from-{number}"));
                let to = dir.join(&format!("to-{number}"));
                std::fs::write(&from, &bytes).unwrap();
                let mut source = AsyncFile::open(&engine, &from, &reading()).await.unwrap();
                let mut target = AsyncFile::open(&engine, &to, &both()).await.unwrap();
                copy(&mut source, &mut target).await.unwrap();
                target.sync().await.unwrap();
                target.shutdown().await.unwrap();
                assert!(std::fs::read(&to).unwrap() == bytes);
            }));
        }
        for task in tasks {
            task.await.unwrap();
        }
    });
}

/// F86: a seek to the end that is dropped while pending does not happen, whatever comes next. One
/// that completed stays.
#[test]
fn a_dropped_seek_does_not_happen() {
    on_both_runtimes(|| async {
        let dir = Dir::new();
        let path = dir.join("file");
        std::fs::write(&path, [1; 1000]).unwrap();
        let engine = engine();
        let mut dropped = 0;
        for round in 0..60 {
            let mut file = AsyncFile::open(&engine, &path, &reading()).await.unwrap();
            let place = if round % 2 == 0 { 0 } else { 7 };
            file.seek(SeekFrom::Start(place)).await.unwrap();
            if try_once(file.seek(SeekFrom::End(-1))).await.is_some() {
                continue;
            }
            dropped += 1;
            match round % 5 {
                0 => assert_eq!(file.stream_position().await.unwrap(), place),
                1 => {
                    let on = file.seek(SeekFrom::Current(3)).await.unwrap();
                    assert_eq!(on, place + 3);
                }
                2 => {
                    let mut buffer = [0; 2000];
                    let n = file.read(&mut buffer).await.unwrap() as u64;
                    assert_eq!(n, 1000 - place);
                }
                3 => assert_eq!(file.seek(SeekFrom::End(-2)).await.unwrap(), 998),
                _ => {
                    // Dropped twice.
                    let again = try_once(file.seek(SeekFrom::Current(5))).await;
                    let at = file.stream_position().await.unwrap();
                    assert_eq!(at, again.map_or(place, Result::unwrap));
                }
            }
        }
        assert!(dropped > 0, "none had to wait");
        let mut file = AsyncFile::open(&engine, &path, &reading()).await.unwrap();
        assert_eq!(file.seek(SeekFrom::End(0)).await.unwrap(), 1000);
        assert_eq!(file.seek(SeekFrom::Current(-10)).await.unwrap(), 990);
        assert_eq!(file.stream_position().await.unwrap(), 990);
    });
}
