//! The end of a chunk stream, from either side: nothing is lost, leaked or freed too early.
#![cfg(loom)]

mod chunks_page;

use chunks_page::{Page, Trail, model};
use efio_chunks::{PushError, unbounded};
use loom::thread;

#[test]
fn close_against_read() {
    model(|| {
        let (mut writer, mut reader) = unbounded();
        let producer = thread::spawn(move || {
            writer.push(Page::new(&[1])).unwrap();
            writer.close();
        });
        let mut buf = [0; 2];
        let mut count = reader.read(&mut buf);
        // Closed means that nothing is left, not even the bytes of just before.
        if reader.is_closed() {
            assert_eq!(count, 1);
        }
        producer.join().unwrap();
        count += reader.read(&mut buf);
        assert!(count == 1 && reader.is_closed() && !reader.is_aborted());
    });
}

#[test]
fn abort_against_read_of_an_open_tail() {
    model(|| {
        let (mut writer, mut reader) = unbounded();
        writer.open(Page::new(&[1])).unwrap();
        let producer = thread::spawn(move || {
            writer.append(&[2]);
            writer.abort();
        });
        let mut count = reader.consume(9);
        if reader.is_closed() {
            assert!(count == 2 && reader.is_aborted());
        }
        producer.join().unwrap();
        count += reader.consume(9);
        assert!(count == 2 && reader.is_aborted());
    });
}

/// Loom's `Arc` in each page reports a leak, and a chunk's cell a race.
#[test]
fn both_ends_are_dropped() {
    model(|| {
        let (mut writer, mut reader) = unbounded();
        writer.push(Page::new(&[1])).unwrap();
        let producer = thread::spawn(move || {
            match writer.open(Page::new(&[2])) {
                Ok(()) => _ = writer.append(&[3]),
                Err(error) => assert!(matches!(error, PushError::ReaderGone(_))),
            }
            _ = writer.push(Page::new(&[4]));
        });
        reader.consume(1);
        drop(reader);
        producer.join().unwrap();
    });
}

#[test]
fn the_other_end_is_gone_with_all_that_it_did() {
    model(|| {
        let (mut writer, reader) = unbounded();
        let trail = Trail::new();
        let theirs = trail.clone();
        writer.push(Page::new(&[1])).unwrap();
        let consumer = thread::spawn(move || {
            theirs.write(0, 7);
            drop(reader);
        });
        if writer.is_reader_gone() {
            trail.check(0, 7);
        }
        drop(writer);
        consumer.join().unwrap();
    });
    model(|| {
        let (writer, reader) = unbounded::<Page>();
        let trail = Trail::new();
        let theirs = trail.clone();
        let producer = thread::spawn(move || {
            theirs.write(0, 7);
            drop(writer);
        });
        if reader.is_writer_gone() {
            trail.check(0, 7);
        }
        drop(reader);
        producer.join().unwrap();
    });
}
