//! Ends of files: a size that says nothing (F63), an end that moved since it was read ahead (F65),
//! and short reads at an end that io_uring gets wrong (F87).

use crate::common::fixtures::{backends, reading};
use crate::common::fuse::{Fuse, Made};
use crate::common::{Dir, PORTABLE, TIMEOUT, pattern, read_all, skip};
use efio_core::{BackendKind, Engine, EventKind, File, IoMode, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::Path;

fn engine(backend: BackendKind) -> Engine {
    Engine::builder().backend(backend).start().unwrap()
}

const MODES: [IoMode; 3] = [IoMode::Auto, IoMode::Direct, IoMode::Cached];

/// What the engine reads, from `from` on.
fn read(engine: &Engine, path: &Path, mode: IoMode, from: u64) -> Vec<u8> {
    let file = engine.open(path, &reading().io_mode(mode)).unwrap();
    file.set_position(from).unwrap();
    read_all(engine, &file, 50_000).unwrap()
}

/// F63, F87: files that a program makes up, with direct IO: sizes of 0, too small and too large,
/// reads that are short. They are read as read(2) reads them, by workers, and the statistics say
/// so.
#[test]
fn made_up_files_are_read_to_their_ends() {
    let content = pattern(300_001);
    let made = |len: usize, size: u64, most: usize| Made {
        content: content[..len].to_vec(),
        size,
        direct_io: true,
        most,
    };
    let files = [
        ("size-0", made(300_001, 0, usize::MAX)),
        ("small", made(300_001, 5000, usize::MAX)),
        ("large", made(100_000, 1_000_000, usize::MAX)),
        ("exact", made(100_000, 100_000, usize::MAX)),
        ("short", made(100_000, 100_000, 1239)),
        ("one", made(1, 1, usize::MAX)),
        (
            "cached",
            Made {
                direct_io: false,
                ..made(100_000, 100_000, usize::MAX)
            },
        ),
    ];
    let Some(fuse) = Fuse::new(&files) else {
        return;
    };
    for &backend in backends() {
        let engine = engine(backend);
        for (name, made) in &files {
            let path = fuse.join(name);
            let len = made.content.len();
            for mode in MODES {
                for from in [0, len / 2, len - 1, len] {
                    let got = read(&engine, &path, mode, from as u64);
                    assert!(
                        got == made.content[from..],
                        "{name}, {backend:?}, {mode:?}, from {from}: {} bytes, not {}",
                        got.len(),
                        len - from
                    );
                }
            }
            read_over_the_end(&engine, &path, &made.content);
        }
        let stats = engine.stats();
        if !PORTABLE {
            assert_eq!(stats.driver.ring_ops, 0, "{backend:?}");
            assert!(stats.opened_on_workers > 0);
        }
    }
}

/// A positional read over the end brings what is there.
fn read_over_the_end(engine: &Engine, path: &Path, content: &[u8]) {
    let file = engine.open(path, &reading()).unwrap();
    let from = content.len().saturating_sub(700);
    let buffer = engine.buffer(8192).unwrap();
    file.read_at(from as u64, buffer, 1).unwrap();
    let event = crate::common::event(engine, |event| {
        matches!(event.kind, EventKind::Completed(_))
    });
    let EventKind::Completed(completed) = event.kind else {
        unreachable!()
    };
    let n = completed.result.unwrap();
    assert!(n > 0 && completed.buffer[..n] == content[from..from + n]);
    if !PORTABLE {
        assert!(file.stats().unwrap().on_workers);
    }
}

/// F63: files of the kernel that have no size.
#[test]
fn files_of_proc_are_read_to_their_ends() {
    for path in ["/proc/version", "/proc/filesystems", "/proc/self/cmdline"] {
        let Ok(content) = std::fs::read(path) else {
            skip(&format!("there is no {path}"));
            continue;
        };
        for &backend in backends() {
            let engine = engine(backend);
            for mode in MODES {
                let got = read(&engine, Path::new(path), mode, 0);
                assert_eq!(got, content, "{path}, {backend:?}, {mode:?}");
            }
        }
    }
}

/// Reads what there is, without an event loop.
fn drain(file: &File) -> usize {
    let (mut got, mut buf) = (0, vec![0; 65_536]);
    loop {
        match file.read(&mut buf) {
            Ok(0) => return got,
            Ok(n) => got += n,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                file.blocking(TIMEOUT).wait_readable().unwrap();
            }
        }
    }
}

/// F65: a file changes after it was read ahead to its end, and before it is read.
#[test]
fn the_end_is_one_of_when_the_consumer_arrives() {
    let dir = Dir::new();
    let path = dir.join("file");
    for &backend in backends() {
        for mode in MODES {
            let engine = engine(backend);
            for len in [0, 1000, 200_000] {
                std::fs::write(&path, pattern(len)).unwrap();
                let options = OpenOptions::new()
                    .read(true)
                    .prefetch(true)
                    .events(false)
                    .clone();
                let file = engine.open(&path, &options.io_mode(mode)).unwrap();
                // What it holds, and where it ends, is known by then. Where the caller cannot see
                // it without waiting, a read of an empty file asks the driver.
                while (len > 0 || !PORTABLE)
                    && !engine.file(file.fd()).readiness().unwrap().readable
                {
                    std::thread::yield_now();
                }
                let settled = |stats: efio_core::FileStats| stats.read.total() >= len as u64;
                let begun = std::time::Instant::now();
                while !settled(file.stats().unwrap()) && begun.elapsed() < TIMEOUT {
                    std::thread::yield_now();
                }
                std::thread::sleep(std::time::Duration::from_millis(5));
                let mut other = std::fs::File::options().append(true).open(&path).unwrap();
                other.write_all(&[7; 5000]).unwrap();
                let got = drain(&file);
                assert_eq!(got, len + 5000, "{backend:?}, {mode:?}: it grew from {len}");
                // At its end it grows again, and is cut.
                other.write_all(&[7; 10]).unwrap();
                assert_eq!(drain(&file), 10);
                other.set_len(0).unwrap();
                assert_eq!(drain(&file), 0, "it ends before the position");
            }
        }
    }
}
