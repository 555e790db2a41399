//! More bytes than the engine has memory, in and out at the same time.

use crate::common::fixtures::{Fixture, create, reading};
use crate::common::{closed, pattern, readable};
use std::io::ErrorKind;
use std::time::Duration;

/// Copies 24 MiB through 4 MiB of memory in steps that no page divides.
pub fn a_stream_is_longer_than_the_memory(fixture: &Fixture) {
    let bytes = pattern(24 << 20);
    let (from, to) = (fixture.join("from"), fixture.join("to"));
    std::fs::write(&from, &bytes).unwrap();
    let engine = fixture.builder().memory_budget(4 << 20).start().unwrap();
    let source = engine.open(&from, &reading()).unwrap();
    let target = engine.open(&to, &create()).unwrap();
    let mut buffer = vec![0; 77_777];
    let (mut have, mut done, mut ended) = (0..0, 0, false);
    while !(ended && have.is_empty()) {
        let step = if have.is_empty() {
            source.read(&mut buffer).map(|n| {
                ended = n == 0;
                have = 0..n;
            })
        } else {
            target.write(&buffer[have.clone()]).map(|n| {
                assert!(n > 0);
                have.start += n;
                done += n;
            })
        };
        match step {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                assert!(readable(&engine, Duration::from_secs(30)), "at {done}");
                engine.events().drain().for_each(drop);
            }
            Err(error) => panic!("at {done}: {error}"),
        }
    }
    assert_eq!(done, bytes.len());
    let fd = target.fd();
    target.close().unwrap();
    assert_eq!(closed(&engine, fd), Ok(()));
    assert!(std::fs::read(&to).unwrap() == bytes);
}
