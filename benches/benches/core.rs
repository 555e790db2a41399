//! What a call of efio-core costs its caller, beside the calls that it stands for.
//!
//! The disk's share is not measured. Of bulk writes and reads, a write that finds no room, and a
//! read that finds nothing, wait outside the clock. Calls that find nothing are measured apart, with
//! their notifications, over a file in the page cache. The ratios are to efio, above 1 for a call
//! that takes longer.

use efio_benches::interleave::{Candidate, Reference, Rounds, Spread, Table};
use efio_core::{Engine, EventKind, File, IoMode, OpenOptions};
use std::fs;
use std::hint::black_box;
use std::io::{BufWriter, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const LINE: usize = 100;
const LINES: usize = 200_000;
const PAGE: usize = 4096;
const PAGES: usize = 16_384;
/// Reads of scattered pages, and flushes, which find nothing at first.
const SCATTERED: usize = 1000;
const ROUNDS: usize = 9;

fn main() {
    let dir =
        PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("core-{}", std::process::id()));
    fs::create_dir_all(&dir).expect("a directory for the files");
    let engine = Engine::new().expect("an engine");
    writes(&engine, &dir);
    reads(&engine, &dir);
    waits(&engine, &dir);
    drop(engine);
    fs::remove_dir_all(&dir).expect("the directory is ours");
}

fn writes(engine: &Engine, dir: &Path) {
    let line = [b'x'; LINE];
    let mut memory = vec![0u8; LINE * 1000];
    let memcpy = |()| {
        per_call(LINES, |call| {
            let at = call % 1000 * LINE;
            memory[at..at + LINE].copy_from_slice(black_box(&line));
            black_box(&mut memory);
        })
    };
    let (mine, buffered, plain) = (dir.join("mine"), dir.join("buffered"), dir.join("plain"));
    compare(
        "write of 100 bytes",
        &mut [
            Candidate::ours("efio File::write", |()| efio_writes(engine, &mine, &line)),
            Candidate::rival("memcpy", memcpy),
            Candidate::rival("BufWriter 64 KiB", |()| {
                let file = fs::File::create(&buffered).expect("a file");
                let mut file = BufWriter::with_capacity(64 << 10, file);
                per_call(LINES, |_| file.write_all(black_box(&line)).expect("room"))
            }),
            Candidate::rival("write(2)", |()| {
                let mut file = fs::File::create(&plain).expect("a file");
                per_call(LINES, |_| file.write_all(black_box(&line)).expect("room"))
            }),
        ],
    );
}

fn efio_writes(engine: &Engine, path: &Path, line: &[u8]) -> f64 {
    let options = OpenOptions::new().write(true).create(true).truncate(true);
    let file = opened(engine, path, &options);
    let start = Instant::now();
    let mut waited = Duration::ZERO;
    for _ in 0..LINES {
        let mut rest = line;
        while !rest.is_empty() {
            match file.write(black_box(rest)) {
                Ok(n) => rest = &rest[n..],
                Err(_) => waited += wait(engine),
            }
        }
    }
    let spent = start.elapsed() - waited;
    closed(engine, file);
    spent.as_nanos() as f64 / LINES as f64
}

fn reads(engine: &Engine, dir: &Path) {
    let path = dir.join("pages");
    fs::write(&path, vec![7u8; PAGE * PAGES]).expect("room");
    let source = vec![7u8; PAGE * PAGES];
    let (mut to, mut from_kernel) = (vec![0u8; PAGE], vec![0u8; PAGE]);
    let memcpy = |()| {
        per_call(PAGES, |call| {
            to.copy_from_slice(black_box(&source[call * PAGE..][..PAGE]));
            black_box(&mut to);
        })
    };
    compare(
        "read of 4 KiB that is there",
        &mut [
            Candidate::ours("efio File::read", |()| efio_reads(engine, &path)),
            Candidate::rival("memcpy", memcpy),
            Candidate::rival("read(2), warm", |()| {
                let mut file = fs::File::open(&path).expect("the file");
                per_call(PAGES, |_| {
                    file.read_exact(black_box(&mut from_kernel)).expect("data")
                })
            }),
        ],
    );
}

fn efio_reads(engine: &Engine, path: &Path) -> f64 {
    let file = opened(engine, path, &OpenOptions::new().read(true).prefetch(true));
    let mut page = vec![0u8; PAGE];
    let start = Instant::now();
    let mut waited = Duration::ZERO;
    let mut rest = PAGE * PAGES;
    while rest > 0 {
        match file.read(black_box(&mut page)) {
            Ok(n) => rest -= n,
            Err(_) => waited += wait(engine),
        }
    }
    let spent = start.elapsed() - waited;
    closed(engine, file);
    spent.as_nanos() as f64 / PAGES as f64
}

fn waits(engine: &Engine, dir: &Path) {
    let path = dir.join("pages");
    let mut page = vec![0u8; PAGE];
    compare(
        "read of 4 KiB that the driver fetches, with its event",
        &mut [
            Candidate::ours("efio File::read", |()| {
                scattered_reads(engine, &path, false)
            }),
            Candidate::rival("pread(2), warm", |()| {
                let file = fs::File::open(&path).expect("the file");
                per_call(SCATTERED, |call| {
                    file.read_exact_at(&mut page, scattered(call))
                        .expect("data")
                })
            }),
        ],
    );
    let (nothing, _peer) = UnixStream::pair().expect("sockets");
    nothing.set_nonblocking(true).expect("a flag");
    compare(
        "read that finds nothing",
        &mut [
            Candidate::ours("efio File::read", |()| scattered_reads(engine, &path, true)),
            Candidate::rival("read(2) of a socket", |()| {
                per_call(LINES, |_| {
                    (&nothing).read(black_box(&mut page)).expect_err("no data");
                })
            }),
        ],
    );
    let (mine, plain) = (dir.join("mine"), dir.join("plain"));
    compare(
        "100 bytes handed to the kernel, with the event",
        &mut [
            Candidate::ours("efio write, flush", |()| efio_flushes(engine, &mine)),
            Candidate::rival("write(2)", |()| {
                let mut file = fs::File::create(&plain).expect("a file");
                per_call(SCATTERED, |_| file.write_all(&[b'x'; LINE]).expect("room"))
            }),
        ],
    );
}

/// The offset of a page that no read-ahead of the last calls has.
fn scattered(call: usize) -> u64 {
    (call * 7919 % PAGES * PAGE) as u64
}

/// Nanoseconds per read of a page that is not in the stream, or, if `spins`, per call that finds it
/// is not there yet.
fn scattered_reads(engine: &Engine, path: &Path, spins: bool) -> f64 {
    let options = OpenOptions::new().read(true).io_mode(IoMode::Uncached);
    let file = opened(engine, path, &options);
    let mut page = vec![0u8; PAGE];
    let (mut spent, mut calls) = (Duration::ZERO, 0);
    for call in 0..SCATTERED {
        let start = Instant::now();
        file.set_position(scattered(call)).expect("a position");
        let mut asked = None;
        while file.read(black_box(&mut page)).is_err() {
            asked.get_or_insert_with(Instant::now);
            calls += usize::from(spins);
            if !spins {
                wait(engine);
            }
        }
        // The call that asks wakes the driver: the others only find nothing.
        spent +=
            if spins { asked } else { Some(start) }.map_or(Duration::ZERO, |from| from.elapsed());
        calls += usize::from(!spins);
        engine.events().drain().for_each(drop);
    }
    closed(engine, file);
    spent.as_nanos() as f64 / calls.max(1) as f64
}

fn efio_flushes(engine: &Engine, path: &Path) -> f64 {
    let options = OpenOptions::new().write(true).create(true).truncate(true);
    let file = opened(engine, path, &options.io_mode(IoMode::Cached));
    let spent = per_call(SCATTERED, |_| {
        file.write(&[b'x'; LINE]).expect("room");
        while (&file).flush().is_err() {
            wait(engine);
        }
    });
    closed(engine, file);
    spent
}

/// Nanoseconds per call over `calls` of them.
fn per_call(calls: usize, mut call: impl FnMut(usize)) -> f64 {
    let start = Instant::now();
    (0..calls).for_each(&mut call);
    start.elapsed().as_nanos() as f64 / calls as f64
}

fn opened(engine: &Engine, path: &Path, options: &OpenOptions) -> File {
    let file = engine.open(path, options).expect("a descriptor");
    while !file.open_status().expect("the file opens") {
        wait(engine);
    }
    file
}

fn closed(engine: &Engine, file: File) {
    file.close().expect("no error");
    loop {
        wait_for_event(engine);
        if engine
            .events()
            .drain()
            .any(|event| matches!(event.kind, EventKind::Closed { .. }))
        {
            return;
        }
    }
}

/// Waits for events and drops them; how long that took.
fn wait(engine: &Engine) -> Duration {
    let start = Instant::now();
    wait_for_event(engine);
    engine.events().drain().for_each(drop);
    start.elapsed()
}

fn wait_for_event(engine: &Engine) {
    let fd = engine.events().as_raw_fd();
    let mut poll = libc::pollfd {
        fd,
        events: libc::POLLIN,
        revents: 0,
    };
    // SAFETY: one pollfd that lives through the call.
    unsafe { libc::poll(&raw mut poll, 1, 1000) };
}

fn compare(title: &str, candidates: &mut [Candidate<'_>]) {
    let measured = Rounds::new(ROUNDS, ()).warm_up(()).measure(candidates);
    Table::new(title, "ns/call", Spread::Extremes)
        .against(Reference::Ours)
        .print(&measured);
}
