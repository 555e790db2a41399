//! Reads, writes and seeks in any order through one descriptor, beside a vector that does the same.

use crate::common::fixtures::{Fixture, both};
use crate::common::{closed, pattern, ready, write_all};
use std::cell::RefCell;

const START: usize = 300_000;

/// F19: whatever was written before is seen, wherever in the file it is.
pub fn reads_and_writes_mix_through_one_descriptor(fixture: &Fixture) {
    let path = fixture.join("file");
    let mut model = pattern(START);
    std::fs::write(&path, &model).unwrap();
    let engine = fixture.engine();
    let file = engine.open(&path, &both()).unwrap();
    let mut random = fastrand::Rng::with_seed(7);
    let mut at = 0;
    for round in 0..150 {
        if random.bool() {
            at = random.usize(..START + 50_000);
            file.set_position(at as u64).unwrap();
        }
        let len = 1 << random.usize(..16) | random.usize(..99);
        if random.bool() {
            let bytes = vec![round as u8; len];
            write_all(&engine, &file, &bytes).unwrap();
            model.resize(model.len().max(at + len), 0);
            model[at..at + len].copy_from_slice(&bytes);
            at += len;
            continue;
        }
        let buffer = RefCell::new(vec![0; len]);
        let n = ready(&engine, file.fd(), || file.read(&mut buffer.borrow_mut())).unwrap();
        let rest = model.get(at..).unwrap_or_default();
        assert_eq!(n == 0, rest.is_empty(), "round {round}: {n} bytes at {at}");
        assert!(buffer.borrow()[..n] == rest[..n], "round {round} at {at}");
        at += n;
    }
    let fd = file.fd();
    file.close().unwrap();
    assert_eq!(closed(&engine, fd), Ok(()));
    assert!(std::fs::read(&path).unwrap() == model);
}
