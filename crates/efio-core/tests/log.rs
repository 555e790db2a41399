//! Logs: every line is there whole, in order, or counted as missing.

mod common;

use common::mount;
use common::{Dir, TIMEOUT};
use efio_core::log::{LogOptions, WhenBehind};
use std::io::{ErrorKind, Write};
use std::thread;
use std::time::{Duration, Instant};

#[test]
fn lines_of_many_threads_are_whole_and_in_order() {
    const THREADS: usize = 4;
    const LINES: usize = 20_000;
    let dir = Dir::new();
    let path = dir.join("log");
    let (log, guard) = LogOptions::new().memory(2 << 20).open(&path).unwrap();
    thread::scope(|scope| {
        for number in 0..THREADS {
            let log = log.clone();
            scope.spawn(move || {
                for line in 0..LINES {
                    let filler = "x".repeat(line * 7 % 300);
                    writeln!(&log, "{number} {line} {filler}").unwrap();
                }
            });
        }
    });
    let report = guard.close(TIMEOUT).unwrap();
    assert_eq!(
        (report.lines, report.dropped_lines),
        ((THREADS * LINES) as u64, 0)
    );
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(text.len() as u64, report.bytes);
    let mut next = [0; THREADS];
    for line in text.lines() {
        let mut words = line.split(' ');
        let number: usize = words.next().unwrap().parse().unwrap();
        assert_eq!(words.next().unwrap(), next[number].to_string());
        assert_eq!(words.next().unwrap().len(), next[number] * 7 % 300);
        next[number] += 1;
    }
    assert_eq!(next, [LINES; THREADS]);
}

/// The log counts missing lines at their place.
#[test]
fn lines_that_found_no_room_are_counted_in_the_log() {
    let dir = Dir::new();
    let path = dir.join("log");
    let (log, guard) = LogOptions::new()
        .memory(2 << 20)
        .when_behind(WhenBehind::Drop)
        .open(&path)
        .unwrap();
    let filler = "x".repeat(100_000);
    let deadline = Instant::now() + TIMEOUT;
    let mut written = 0u64;
    while guard.report().dropped_lines < 100 {
        assert!(Instant::now() < deadline, "the disk is never behind");
        for _ in 0..100 {
            writeln!(&log, "{written} {filler}").unwrap();
            written += 1;
        }
    }
    let report = guard.close(TIMEOUT).unwrap();
    assert_eq!(report.lines + report.dropped_lines, written);
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.ends_with('\n'));
    let (mut next, mut kept) = (0, 0);
    for line in text.lines() {
        if let Some((lines, _)) = line.split_once(" lines of ") {
            next += lines.parse::<u64>().unwrap();
        } else {
            let (number, rest) = line.split_once(' ').unwrap();
            assert_eq!(number, next.to_string());
            assert!(rest == filler, "line {number} is torn");
            next += 1;
            kept += 1;
        }
    }
    assert_eq!((next, kept), (written, report.lines));
}

#[test]
fn a_writer_that_will_not_wait_keeps_its_line() {
    let dir = Dir::new();
    let path = dir.join("log");
    let (log, guard) = LogOptions::new()
        .memory(2 << 20)
        .when_behind(WhenBehind::Refuse)
        .open(&path)
        .unwrap();
    let line = vec![b'x'; 100_000];
    let deadline = Instant::now() + TIMEOUT;
    let (mut refused, mut taken) = (0, 0);
    while refused == 0 {
        assert!(Instant::now() < deadline, "the disk is never behind");
        match (&log).write(&line) {
            Ok(n) => taken += u64::from(n == line.len()),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                refused += 1;
            }
        }
    }
    let report = guard.close(TIMEOUT).unwrap();
    assert_eq!((report.lines, report.dropped_lines), (taken, 0));
    assert_eq!(std::fs::metadata(&path).unwrap().len(), report.bytes);
}

#[test]
fn a_full_disk_is_reported() {
    let Some(disk) = mount::memory(1 << 20) else {
        return;
    };
    let (log, guard) = LogOptions::new().open(disk.join("log")).unwrap();
    let line = vec![b'x'; 100_000];
    let refused = (0..1000).find_map(|_| {
        thread::sleep(Duration::from_millis(1));
        (&log).write_all(&line).err()
    });
    let errno = refused.and_then(|error| error.raw_os_error());
    assert_eq!(errno, Some(libc::ENOSPC));
    assert_eq!(guard.report().dropped_lines, 1);
    assert_eq!(common::errno(guard.close(TIMEOUT)), libc::ENOSPC);
}

#[test]
fn a_panic_on_any_thread_leaves_the_lines_before_it() {
    let dir = Dir::new();
    let path = dir.join("log");
    let (log, guard) = LogOptions::new()
        .flush_interval(Duration::from_secs(3600))
        .open(&path)
        .unwrap();
    guard.flush_on_panic();
    let seen = thread::spawn(move || {
        writeln!(&log, "the last words").unwrap();
        panic!("as planned");
    });
    assert!(seen.join().is_err());
    assert_eq!(std::fs::read(&path).unwrap(), b"the last words\n");
    drop(guard);
}
