//! A log with several writers and one thread that flushes, closed while they write (F88).

use crate::session::Session;
use crate::tracker::Call;
use efio_core::log::LogOptions;
use fastrand::Rng;
use std::io::{ErrorKind, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

type Work = Box<dyn FnOnce() + Send>;

/// Flushes that may time out one after the other: each gives up after a second by itself.
const TIMEOUTS: u32 = 5;

/// Returns the work of a log's threads.
pub fn log(session: &Arc<Session>, path: &Path, name: &str, seed: u64) -> Vec<Work> {
    let mut random = Rng::with_seed(seed);
    let interval = Duration::from_millis(random.u64(1..200));
    let (log, guard) = LogOptions::new()
        .flush_interval(interval)
        .open(path)
        .unwrap();
    let writers = random.u64(1..4);
    let pause = Duration::from_micros([0, 50, 500][random.usize(..3)]);
    let is_over = Arc::new(AtomicBool::new(false));
    // The number of the last line that each writer's log call accepted.
    let taken = Arc::new(Mutex::new(vec![0; writers as usize]));
    let mut works: Vec<Work> = Vec::new();
    for writer in 0..writers {
        let (log, taken, is_over) = (log.clone(), Arc::clone(&taken), Arc::clone(&is_over));
        works.push(Box::new(move || {
            for number in 1_u64.. {
                if is_over.load(Ordering::SeqCst) {
                    break;
                }
                match writeln!(&log, "{writer} {number} {:1$}", "", (number % 150) as usize) {
                    Ok(()) => taken.lock().unwrap()[writer as usize] = number,
                    // The log has ended.
                    Err(error) if error.kind() == ErrorKind::BrokenPipe => break,
                    Err(error) => panic!("log writer {writer}: {error}"),
                }
                std::thread::sleep(pause);
                // Lets the disk keep up.
                if number % 1000 == 0 {
                    std::thread::sleep(Duration::from_millis(1));
                }
            }
        }));
    }
    let tracker = session.trackers.add(format!("{name}: flusher"));
    let (session, path) = (Arc::clone(session), path.to_owned());
    works.push(Box::new(move || {
        let mut late = 0;
        while !session.is_stopping() && !session.is_ending() {
            let _guard = tracker.begin(Call::Flush, None);
            late = match (&log).flush() {
                Err(error) if error.kind() == ErrorKind::TimedOut => late + 1,
                result => {
                    result.unwrap();
                    0
                }
            };
            assert!(
                late < TIMEOUTS,
                "{}: {late} flushes timed out",
                tracker.name
            );
            std::thread::sleep(Duration::from_millis(1));
        }
        let report = {
            let _guard = tracker.begin(Call::Close, None);
            guard.close(Duration::from_secs(60)).unwrap()
        };
        is_over.store(true, Ordering::SeqCst);
        let taken = taken.lock().unwrap().clone();
        check(&session, &path, &taken, report.lines);
    }));
    works
}

/// Checks that each writer's lines are in order, and as many as were accepted.
fn check(session: &Session, path: &Path, taken: &[u64], lines: u64) {
    let text = std::fs::read_to_string(path).unwrap();
    session
        .compared
        .fetch_add(text.len() as u64, Ordering::Relaxed);
    let mut last = vec![0; taken.len()];
    for line in text.lines() {
        let mut words = line.split(' ');
        let mut number = || words.next().unwrap().parse::<u64>().unwrap();
        let (writer, number) = (number() as usize, number());
        assert_eq!(number, last[writer] + 1, "{path:?}: {line:?}");
        last[writer] = number;
    }
    assert_eq!(last.iter().sum::<u64>(), lines, "{path:?}: lines");
    let mut both = last.iter().zip(taken);
    assert!(
        both.all(|(last, taken)| last >= taken),
        "{path:?}: {last:?}, {taken:?}"
    );
}
