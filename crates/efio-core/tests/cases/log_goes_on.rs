//! A log after failures, and beside writers that do not pause: it ends, and counts what is missing.

use crate::common::{Dir, TIMEOUT, errno, mount};
use efio_core::log::{LogOptions, LogWriter, WhenBehind};
use std::collections::HashSet;
use std::fs;
use std::io::{ErrorKind, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Fills the file system to the last byte.
fn fill(path: &Path) {
    let mut filler = fs::File::create(path).unwrap();
    for step in [65_536, 512, 1] {
        while filler.write(&vec![1; step]).is_ok_and(|n| n > 0) {}
    }
}

/// F67: lines are taken again once there is room, and the log says how many are missing. What was
/// taken before is there.
#[test]
fn after_a_full_disk_it_goes_on() {
    for when_behind in [
        WhenBehind::Drop,
        WhenBehind::Refuse,
        WhenBehind::Block(TIMEOUT),
    ] {
        let Some(disk) = mount::memory(4 << 20) else {
            return;
        };
        let path = disk.join("log");
        let options = LogOptions::new().memory(2 << 20).when_behind(when_behind);
        let (log, guard) = options.open(&path).unwrap();
        let mut taken = Vec::new();
        let mut number = 0u64;
        let mut put = |log: &LogWriter| {
            number += 1;
            let line = format!("{number} {}\n", "x".repeat(900));
            let result = (&*log).write(line.as_bytes());
            if result.is_ok() {
                taken.push(number);
            }
            result.err()
        };
        put(&log);
        (&log).flush().unwrap();
        fill(&disk.join("filler"));
        let deadline = Instant::now() + TIMEOUT;
        let mut refused = 0;
        while refused < 10 {
            assert!(Instant::now() < deadline, "the disk is never full");
            if let Some(error) = put(&log) {
                assert!(
                    matches!(error.kind(), ErrorKind::WouldBlock)
                        || error.raw_os_error() == Some(libc::ENOSPC),
                    "{error}"
                );
                refused += u64::from(error.raw_os_error() == Some(libc::ENOSPC));
            }
            thread::yield_now();
        }
        fs::remove_file(disk.join("filler")).unwrap();
        let mut went_on = 0;
        while went_on < 10 {
            assert!(Instant::now() < deadline, "it never goes on");
            match put(&log) {
                None => went_on += 1,
                Some(_) => thread::sleep(Duration::from_millis(5)),
            }
        }
        let report = guard.close(TIMEOUT).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        let (missing, lines): (Vec<&str>, Vec<&str>) = text
            .lines()
            .partition(|line| line.contains(" are missing: "));
        let missing_lines = missing.iter().map(|line| line.split(' ').next().unwrap());
        let missing_lines: u64 = missing_lines
            .map(|lines| lines.parse::<u64>().unwrap())
            .sum();
        assert_eq!(missing_lines, report.dropped_lines, "{when_behind:?}");
        if when_behind != WhenBehind::Refuse {
            assert!(missing[0].contains("No space left"), "{}", missing[0]);
        }
        assert_eq!(lines.len() as u64, report.lines);
        assert_eq!(
            report.lines,
            taken.len() as u64 - dropped_as_ok(when_behind, &taken, &lines)
        );
        let there: HashSet<&str> = lines
            .iter()
            .map(|line| line.split(' ').next().unwrap())
            .collect();
        assert_eq!(there.len(), lines.len(), "no line comes twice");
        assert!(
            lines.iter().all(|line| line.ends_with(&"x".repeat(900))),
            "a torn line"
        );
    }
}

/// With `Drop`, lines that found no room were accepted: returns how many of those are missing.
fn dropped_as_ok(when_behind: WhenBehind, taken: &[u64], lines: &[&str]) -> u64 {
    match when_behind {
        WhenBehind::Drop => taken.len() as u64 - lines.len() as u64,
        _ => 0,
    }
}

/// F67: a disk that stays full is reported at the end, with all that is not there.
#[test]
fn a_disk_that_stays_full_is_reported() {
    let Some(disk) = mount::memory(4 << 20) else {
        return;
    };
    let path = disk.join("log");
    let options = LogOptions::new().memory(2 << 20);
    let (log, guard) = options.when_behind(WhenBehind::Drop).open(&path).unwrap();
    fill(&disk.join("filler"));
    for _ in 0..300 {
        let _ = writeln!(&log, "{}", "x".repeat(999));
        thread::yield_now();
    }
    assert_eq!(errno(guard.close(TIMEOUT)), libc::ENOSPC);
}

/// For logrotate: what was taken before is in the old file, what comes after in the new one.
#[test]
fn it_goes_on_in_another_file() {
    let dir = Dir::new();
    let (path, old) = (dir.join("log"), dir.join("log.1"));
    let (log, guard) = LogOptions::new().open(&path).unwrap();
    let (stop, count) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !stop.load(Ordering::SeqCst) {
                    writeln!(&log, "{}", "x".repeat(99)).unwrap();
                    count.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        for round in 0..5 {
            fs::rename(&path, &old).unwrap();
            log.reopen().unwrap();
            let before = count.load(Ordering::SeqCst);
            while count.load(Ordering::SeqCst) < before + 100 {
                thread::yield_now();
            }
            (&log).flush().unwrap();
            let (lines, rest) = (fs::read(&old).unwrap(), fs::read(&path).unwrap());
            assert_eq!(lines.len() % 100, 0, "a line lies across the files");
            assert!(rest.len() >= 100 * 100, "round {round}: {}", rest.len());
            count.fetch_sub(lines.len() as u64 / 100, Ordering::SeqCst);
        }
        stop.store(true, Ordering::SeqCst);
    });
    guard.close(TIMEOUT).unwrap();
    let there = fs::read(&path).unwrap().len() as u64 / 100;
    assert_eq!(there, count.load(Ordering::SeqCst));
    // The directory is gone: lines go on where they went.
    let dir = Dir::new();
    let (log, guard) = LogOptions::new().open(dir.join("log")).unwrap();
    fs::remove_file(dir.join("log")).unwrap();
    fs::create_dir(dir.join("log")).unwrap();
    assert_eq!(errno(log.reopen()), libc::EISDIR);
    writeln!(&log, "still here").unwrap();
    guard.close(TIMEOUT).unwrap();
}

/// F88: a flush and the end of a log beside threads that log on.
#[test]
fn it_ends_beside_writers() {
    for pause in [None, Some(Duration::from_micros(50))] {
        let dir = Dir::new();
        let path = dir.join("log");
        let (log, guard) = LogOptions::new().open(&path).unwrap();
        let (stop, count) = (AtomicBool::new(false), AtomicU64::new(0));
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while !stop.load(Ordering::SeqCst) {
                        let taken = (&log).write(&[b'a'; 100]).is_ok();
                        count.fetch_add(u64::from(taken), Ordering::SeqCst);
                        if let Some(pause) = pause {
                            thread::sleep(pause);
                        }
                    }
                });
            }
            while count.load(Ordering::SeqCst) < 100 {
                thread::yield_now();
            }
            for _ in 0..5 {
                let taken = guard.report().bytes;
                (&log).flush().unwrap();
                assert!(fs::metadata(&path).unwrap().len() >= taken);
            }
            let report = guard.close(TIMEOUT).unwrap();
            stop.store(true, Ordering::SeqCst);
            assert_eq!(fs::metadata(&path).unwrap().len(), report.bytes);
        });
        assert_eq!(
            fs::metadata(&path).unwrap().len(),
            count.load(Ordering::SeqCst) * 100
        );
    }
}

/// F88: a caught panic waits for the lines accepted before it, and not for those that others log
/// later.
#[test]
fn a_caught_panic_waits_for_no_writer() {
    const PANICS: usize = 10;

    let dir = Dir::new();
    let path = dir.join("log");
    let (log, guard) = LogOptions::new().open(&path).unwrap();
    guard.flush_on_panic();
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        // At each look there is more: several write, and a line is large.
        for _ in 0..4 {
            scope.spawn(|| {
                let line = [b'a'; 4000];
                while !stop.load(Ordering::SeqCst) {
                    _ = (&log).write(&line);
                }
            });
        }
        let result = catch_unwind(AssertUnwindSafe(|| {
            while guard.report().lines < 1000 {
                thread::yield_now();
            }
            let start = Instant::now();
            for _ in 0..PANICS {
                let taken = guard.report().bytes;
                let _ = catch_unwind(|| panic!("as planned, and caught"));
                let len = fs::metadata(&path).unwrap().len();
                assert!(len >= taken, "{len} bytes of {taken}");
                // Waiting for the writers would take five seconds each time, fifty together.
                let took = start.elapsed();
                assert!(took < Duration::from_secs(20), "{took:?}");
            }
        }));
        stop.store(true, Ordering::SeqCst);
        result.unwrap();
    });
    guard.close(TIMEOUT).unwrap();
}
