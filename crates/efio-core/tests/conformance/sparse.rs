//! Files with holes.

use crate::common::fixtures::{Fixture, create, reading};
use crate::common::{closed, pattern, read_all, write_all};
use std::os::unix::fs::MetadataExt;

/// What was jumped over reads as zeros, and stays a hole.
pub fn holes_are_zeros(fixture: &Fixture) {
    let path = fixture.join("file");
    let engine = fixture.engine();
    let file = engine.open(&path, &create()).unwrap();
    let len = 16 << 20;
    let mut model = vec![0; len];
    for (at, part) in [
        (1 << 20, 5000),
        ((4 << 20) - 1, 2),
        (8 << 20, 4096),
        (len - 3, 3),
        (3 << 20, 100_000),
    ] {
        let bytes = pattern(part);
        file.set_position(at as u64).unwrap();
        write_all(&engine, &file, &bytes).unwrap();
        model[at..at + part].copy_from_slice(&bytes);
    }
    let fd = file.fd();
    file.close_sync().unwrap();
    assert_eq!(closed(&engine, fd), Ok(()));
    let metadata = std::fs::metadata(&path).unwrap();
    assert_eq!(metadata.len(), len as u64);
    let taken = metadata.blocks() * 512;
    assert!(
        taken < 2 << 20,
        "{taken} bytes of disk: padding was written"
    );
    let file = engine.open(&path, &reading()).unwrap();
    assert!(read_all(&engine, &file, 70_001).unwrap() == model);
}
