//! What a line of a log costs its writer: efio beside tracing-appender, a `BufWriter` and write(2).
//!
//! ```text
//! cargo bench -p efio-benches --bench log [-- LINES]
//! ```
//!
//! Each candidate logs lines of 100 bytes as fast as it takes them, into a file of its own, and
//! must not lose one. Mean and worst are of the call that takes the line; the end, which waits for
//! pending lines, is measured separately.

use efio_benches::interleave::{Candidate, Reference, Rounds, Spread, Table};
use efio_core::log::{LogOptions, WhenBehind};
use std::cell::RefCell;
use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const ROUNDS: usize = 5;
/// What the clock and the number in the line cost: nobody can be faster.
const CLOCK: &str = "the clock alone";

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
    let timeout = Duration::from_secs(60);
    let (log, guard) = LogOptions::new()
        .memory(64 << 20)
        .when_behind(WhenBehind::Block(timeout))
        .open(path)
        .unwrap();
    run(
        lines,
        |line| (&log).write_all(line).unwrap(),
        || {
            let report = guard.close(timeout).unwrap();
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
    let writer = RefCell::new(BufWriter::with_capacity(64 << 10, append(path)));
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

/// What a candidate's runs came to, beside the mean of a line.
#[derive(Default)]
struct Rest {
    worst: Vec<Duration>,
    end: Vec<Duration>,
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn main() {
    let lines = std::env::args().skip(1).find_map(|arg| arg.parse().ok());
    let lines: usize = lines.unwrap_or(1_000_000);
    let path: PathBuf = std::env::temp_dir().join(format!("efio-bench-log-{}", std::process::id()));
    type Way = fn(&Path, usize) -> Run;
    let ways: [(&'static str, Way); 5] = [
        ("efio log", efio),
        ("tracing-appender", appender),
        ("BufWriter 64 KiB", buffered),
        ("write(2)", plain),
        (CLOCK, |_, lines| {
            run(lines, |line| _ = std::hint::black_box(line), || ())
        }),
    ];
    let rest = ways.map(|_| RefCell::new(Rest::default()));
    let mut candidates: Vec<_> = (ways.iter().zip(&rest))
        .map(|(&(name, way), rest)| {
            let path = &path;
            let turn = move |lines: usize| {
                let run = way(path, lines);
                if name != CLOCK {
                    check(name, path, lines);
                    std::fs::remove_file(path).unwrap();
                }
                let mut rest = rest.borrow_mut();
                rest.worst.push(run.worst);
                rest.end.push(run.end);
                run.all.as_nanos() as f64 / lines as f64
            };
            match name {
                "efio log" => Candidate::ours(name, turn),
                _ => Candidate::rival(name, turn),
            }
        })
        .collect();
    let measured = Rounds::new(ROUNDS, lines).measure(&mut candidates);
    drop(candidates);
    Table::new("log lines of 100 bytes", "ns/line", Spread::Extremes)
        .against(Reference::Ours)
        .print(&measured);
    println!("\n{:>18} {:>12} {:>10}", "medians", "worst µs", "end ms");
    for ((name, _), rest) in ways.iter().zip(rest) {
        let Rest { mut worst, mut end } = rest.into_inner();
        let (worst, end) = (
            median(&mut worst).as_secs_f64(),
            median(&mut end).as_secs_f64(),
        );
        println!("{name:>18} {:>12.1} {:>10.1}", worst * 1e6, end * 1e3);
    }
}
