//! What a line of a log costs its writer: efio beside tracing-appender, a `BufWriter` and write(2).
//!
//! ```text
//! cargo bench -p efio-benches --bench log [-- LINES]
//! ```
//!
//! Each candidate logs lines of 100 bytes as fast as it takes them, into a file of its own, and must
//! not lose one. Mean and worst are of the call that takes the line; the end, which waits for what
//! is behind, is told apart.

use efio_core::log::{LogOptions, WhenBehind};
use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const ROUNDS: usize = 3;

/// One run: the time of all lines together, that of the worst, and that of the end.
struct Run {
    all: Duration,
    worst: Duration,
    end: Duration,
}

/// Logs `lines` lines with `write`; `end` is to come back when the kernel has them all.
fn run(lines: usize, mut write: impl FnMut(&[u8]), end: impl FnOnce()) -> Run {
    let mut line = [b'x'; 100];
    line[99] = b'\n';
    let mut worst = Duration::ZERO;
    let start = Instant::now();
    let mut before = start;
    for number in 0..lines {
        put_number(&mut line, number);
        write(&line);
        let now = Instant::now();
        worst = worst.max(now - before);
        before = now;
    }
    let all = before - start;
    end();
    Run {
        all,
        worst,
        end: before.elapsed(),
    }
}

/// The number in the first 16 bytes, in hexadecimal.
fn put_number(line: &mut [u8; 100], mut number: usize) {
    for digit in line[..16].iter_mut().rev() {
        *digit = b"0123456789abcdef"[number & 15];
        number >>= 4;
    }
}

fn append(path: &Path) -> File {
    OpenOptions::new()
        .append(true)
        .create(true)
        .open(path)
        .unwrap()
}

fn efio(path: &Path, lines: usize) -> Run {
    let patience = Duration::from_secs(60);
    let (log, guard) = LogOptions::new()
        .memory(64 << 20)
        .when_behind(WhenBehind::Block(patience))
        .open(path)
        .unwrap();
    run(
        lines,
        |line| (&log).write_all(line).unwrap(),
        || {
            let report = guard.close(patience).unwrap();
            assert_eq!(report.dropped_lines, 0);
        },
    )
}

fn appender(path: &Path, lines: usize) -> Run {
    let (mut writer, guard) = tracing_appender::non_blocking::NonBlockingBuilder::default()
        .lossy(false)
        .finish(append(path));
    run(
        lines,
        |line| writer.write_all(line).unwrap(),
        || drop(guard),
    )
}

fn buffered(path: &Path, lines: usize) -> Run {
    let writer = std::cell::RefCell::new(BufWriter::with_capacity(64 << 10, append(path)));
    run(
        lines,
        |line| writer.borrow_mut().write_all(line).unwrap(),
        || writer.borrow_mut().flush().unwrap(),
    )
}

fn plain(path: &Path, lines: usize) -> Run {
    let mut file = append(path);
    run(lines, |line| file.write_all(line).unwrap(), || ())
}

/// Every line is there, once, in order.
fn check(name: &str, path: &Path, lines: usize) {
    let bytes = std::fs::read(path).unwrap();
    assert_eq!(bytes.len(), lines * 100, "{name} lost lines");
    for (number, line) in bytes.chunks(100).enumerate() {
        assert_eq!(&line[..16], format!("{number:016x}").as_bytes());
    }
}

fn main() {
    let lines = std::env::args().skip(1).find_map(|arg| arg.parse().ok());
    let lines: usize = lines.unwrap_or(1_000_000);
    let path: PathBuf = std::env::temp_dir().join(format!("efio-bench-log-{}", std::process::id()));
    type Candidate = (&'static str, fn(&Path, usize) -> Run);
    let candidates: [Candidate; 4] = [
        ("efio", efio),
        ("tracing-appender", appender),
        ("BufWriter 64 KiB", buffered),
        ("write(2)", plain),
    ];
    println!("{lines} lines of 100 bytes, the best of {ROUNDS} rounds");
    println!(
        "{:>18} {:>12} {:>12} {:>10}",
        "", "mean ns", "worst µs", "end ms"
    );
    let mut best: Vec<Option<Run>> = candidates.iter().map(|_| None).collect();
    for _ in 0..ROUNDS {
        for ((name, candidate), best) in candidates.iter().zip(&mut best) {
            let run = candidate(&path, lines);
            check(name, &path, lines);
            std::fs::remove_file(&path).unwrap();
            if best.as_ref().is_none_or(|best| run.all < best.all) {
                *best = Some(run);
            }
        }
    }
    let idle = run(lines, |line| _ = std::hint::black_box(line), || ());
    let idle_name = "the clock alone";
    let runs = candidates.iter().zip(best.iter().flatten());
    for (name, run) in runs
        .map(|((name, _), run)| (*name, run))
        .chain([(idle_name, &idle)])
    {
        println!(
            "{name:>18} {:>12.1} {:>12.1} {:>10.1}",
            run.all.as_nanos() as f64 / lines as f64,
            run.worst.as_nanos() as f64 / 1e3,
            run.end.as_secs_f64() * 1e3
        );
    }
}
