//! F17: a reader that follows a writer, as `tail -f` does.

use crate::common::fixtures::{Fixture, reading};
use crate::common::{TIMEOUT, pattern, ready};
use std::io::Write;
use std::time::Instant;

/// What was read ends where the file ended at that moment; the next read goes on from there.
pub fn a_reader_follows_a_growing_file(fixture: &Fixture) {
    let path = fixture.join("file");
    let bytes = pattern(1_500_000);
    let mut other = std::fs::File::create(&path).unwrap();
    let engine = fixture.engine();
    let file = engine.open(&path, &reading()).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut random = fastrand::Rng::with_seed(3);
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                let n = random.usize(1..30_000).min(rest.len());
                other.write_all(&rest[..n]).unwrap();
                rest = &rest[n..];
                std::thread::sleep(std::time::Duration::from_micros(300));
            }
        });
        let mut read = 0;
        let deadline = Instant::now() + TIMEOUT;
        let buffer = std::cell::RefCell::new(vec![0; 40_000]);
        while read < bytes.len() {
            let n = ready(&engine, file.fd(), || file.read(&mut buffer.borrow_mut())).unwrap();
            let expected = bytes.get(read..read + n);
            assert!(expected == Some(&buffer.borrow()[..n]), "{n} at {read}");
            read += n;
            assert!(Instant::now() < deadline, "stuck at {read}");
        }
    });
}
