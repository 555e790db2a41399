//! F17: a file is cut and written anew while it is read ahead.

use crate::common::fixtures::{Fixture, reading};
use crate::common::{pattern, read_all, ready};
use std::cell::RefCell;
use std::os::unix::fs::FileExt;

/// A reader in the middle of the old content gets old bytes, then the end; from the start on it
/// gets what is there now, and no byte of before.
pub fn a_file_is_cut_under_its_reader(fixture: &Fixture) {
    const OLD: usize = 3_000_000;
    let path = fixture.join("file");
    let old = pattern(OLD);
    for cut in [0, 1, 4095, 100_000, 1_000_003] {
        std::fs::write(&path, &old).unwrap();
        let engine = fixture.engine();
        let file = engine.open(&path, &reading()).unwrap();
        let buffer = RefCell::new(vec![0; 50_000]);
        let mut read = 0;
        for _ in 0..3 {
            let n = ready(&engine, file.fd(), || file.read(&mut buffer.borrow_mut())).unwrap();
            assert!(n > 0 && buffer.borrow()[..n] == old[read..read + n]);
            read += n;
        }
        let other = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
        other.set_len(cut as u64).unwrap();
        // What was read ahead may still come, and is what was there, or zeros where the kernel was
        // reading while it cut (as pread(2) shows them); nothing else, and an end.
        let rest = read_all(&engine, &file, 50_000).unwrap();
        let odd = (0..rest.len()).find(|&at| {
            let (at, byte) = (read + at, rest[at]);
            byte != old[at] && !(byte == 0 && at >= cut)
        });
        assert_eq!(odd, None, "cut at {cut}");
        assert!(read + rest.len() >= cut.min(OLD));

        let new = pattern(cut / 2 + 77_777);
        other.write_all_at(&new, 0).unwrap();
        let len = cut.max(new.len());
        let mut now = old[..len].to_vec();
        now[..new.len()].copy_from_slice(&new);
        file.set_position(0).unwrap();
        let all = read_all(&engine, &file, 60_001).unwrap();
        assert_eq!(all.len(), len, "cut at {cut}");
        assert!(all == now, "cut at {cut}: stale bytes");
    }
}
