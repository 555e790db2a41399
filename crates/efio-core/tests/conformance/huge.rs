//! Offsets that do not fit into 32 bits.

use crate::common::fixtures::{Fixture, both};
use crate::common::{closed, pattern, read_all, write_all};
use std::os::unix::fs::FileExt;

/// Writes across each border of 2 and 4 GiB and at 5 GiB, and reads it back.
pub fn a_file_is_longer_than_four_gib(fixture: &Fixture) {
    const GIB: u64 = 1 << 30;
    let path = fixture.join("file");
    let engine = fixture.engine();
    let file = engine.open(&path, &both()).unwrap();
    let places = [0, 2 * GIB - 5000, 4 * GIB - 3, 4 * GIB + 4096, 5 * GIB + 1];
    for (number, &at) in places.iter().enumerate() {
        file.set_position(at).unwrap();
        write_all(&engine, &file, &pattern(9000 + number)).unwrap();
    }
    for (number, &at) in places.iter().enumerate().skip(3) {
        // To the end of the file: past 5 GiB from the last place, else across it.
        file.set_position(at).unwrap();
        let head = pattern(9000 + number);
        let mut got = vec![0; head.len()];
        let mut filled = 0;
        while filled < got.len() {
            let part = std::cell::RefCell::new(&mut got[filled..]);
            let read = || file.read(&mut part.borrow_mut());
            filled += crate::common::ready(&engine, file.fd(), read).unwrap();
        }
        assert!(got == head, "at {at}");
    }
    assert!(
        read_all(&engine, &file, 5000).unwrap().is_empty(),
        "the end"
    );
    let fd = file.fd();
    file.close().unwrap();
    assert_eq!(closed(&engine, fd), Ok(()));

    let file = std::fs::File::open(&path).unwrap();
    assert_eq!(file.metadata().unwrap().len(), 5 * GIB + 1 + 9004);
    for (number, &at) in places.iter().enumerate() {
        let mut got = pattern(9000 + number);
        got.fill(0);
        file.read_exact_at(&mut got, at).unwrap();
        let mut expected = pattern(9000 + number);
        if number == 2 {
            // The next place was written over its end.
            expected.truncate(4099);
            got.truncate(4099);
        }
        assert!(got == expected, "at {at}");
    }
}
