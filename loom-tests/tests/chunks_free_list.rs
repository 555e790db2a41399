//! The tails of a byte stream are reused only when the reader is done with them.
#![cfg(loom)]

mod chunks_page;

use chunks_page::{Trail, model};
use efio_chunks::Options;
use loom::thread;

#[test]
fn a_tail_comes_back_after_its_reader() {
    model(|| {
        let (mut writer, mut reader) = Options::new().chunk_size(2..=2).build_bytes();
        let trail = Trail::new();
        let theirs = trail.clone();
        let first = writer.spare().as_ptr().addr();
        assert_eq!(writer.append(&[1, 2]), 2);
        let consumer = thread::spawn(move || {
            theirs.write(0, 9);
            // Drops the full tail as soon as it is sealed.
            reader.consume(2);
            reader.consume(2);
            reader
        });
        writer.seal();
        let second = writer.spare().as_ptr().addr();
        if second == first {
            trail.check(0, 9);
        }
        writer.append(&[3]);
        let mut reader = consumer.join().unwrap();
        let left = reader.len();
        assert_eq!(reader.consume(9), left);
        writer.close();
        assert!(reader.is_closed());
    });
}
