//! F50: one descriptor shared by several threads, and a thread that takes the events.

use crate::common::closed;
use crate::common::fixtures::{Fixture, both};
use std::sync::atomic::{AtomicUsize, Ordering};

const WRITERS: u8 = 3;
const LINES: usize = 600;
/// Divides no page.
const LINE: usize = 100;

/// Calls happen one after the other: no byte is lost or doubled, whichever thread reads, seeks, syncs and
/// looks meanwhile.
pub fn threads_share_a_descriptor(fixture: &Fixture) {
    let path = fixture.join("file");
    let engine = fixture.engine();
    let log = engine
        .open(&path, &both().append(true).write(false))
        .unwrap();
    let other = engine.open(fixture.join("other"), &both()).unwrap();
    let busy = AtomicUsize::new(usize::from(WRITERS));
    std::thread::scope(|scope| {
        for thread in 0..WRITERS {
            let (log, other, busy) = (&log, &other, &busy);
            scope.spawn(move || {
                for number in 0..LINES {
                    let mut left = LINE;
                    while left > 0 {
                        // A short count, where the next page is not ready.
                        left -= log.write(&[thread; LINE][..left]).unwrap_or(0);
                    }
                    // These may be refused for the moment, and change nothing that is checked.
                    let _ = other.write(&[thread; 5000]);
                    let _ = other.set_position(number as u64);
                    let _ = other.read(&mut [0; 3000]);
                    if number % 100 == 0 {
                        log.sync().unwrap();
                    }
                }
                busy.fetch_sub(1, Ordering::Release);
            });
        }
        while busy.load(Ordering::Acquire) > 0 {
            engine.events().drain().for_each(drop);
            let progress = log.progress().unwrap();
            assert!(progress.accepted >= progress.written && progress.written >= progress.durable);
            let _ = engine.stats();
            std::thread::yield_now();
        }
    });
    drop(other);
    let fd = log.fd();
    log.close().unwrap();
    assert_eq!(closed(&engine, fd), Ok(()));
    let bytes = std::fs::read(&path).unwrap();
    assert_eq!(bytes.len(), usize::from(WRITERS) * LINES * LINE);
    for thread in 0..WRITERS {
        let count = bytes.iter().filter(|&&byte| byte == thread).count();
        assert_eq!(count, LINES * LINE, "bytes of thread {thread}");
    }
}
