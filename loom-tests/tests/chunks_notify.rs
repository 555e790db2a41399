//! The notification hooks: an end that armed and waits is woken. A lost wake-up is a deadlock,
//! which loom reports.
#![cfg(loom)]

mod chunks_page;

use chunks_page::{Page, Trail, model};
use efio_chunks::{ChunkReader, ChunkWriter, Notify, Options};
use loom::sync::Arc;
use loom::thread;

/// A flag that can be waited for.
#[derive(Clone)]
struct Bell(Arc<loom::sync::Notify>);

impl Bell {
    fn new() -> Self {
        Self(Arc::new(loom::sync::Notify::new()))
    }

    fn hook(&self) -> std::sync::Arc<dyn Notify> {
        let bell = self.clone();
        std::sync::Arc::new(move || bell.0.notify())
    }
}

fn stream(bound: usize) -> (ChunkWriter<Page>, ChunkReader<Page>, Bell, Bell) {
    let (readable, writable) = (Bell::new(), Bell::new());
    let options = Options::new()
        .on_readable(readable.hook())
        .on_writable(writable.hook());
    let (writer, reader) = options.max_bytes(bound).build();
    (writer, reader, readable, writable)
}

/// Waits for `count` bytes, then for the end.
fn read_to_end(reader: &mut ChunkReader<Page>, bell: &Bell, count: usize) {
    let mut got = 0;
    while !reader.is_closed() {
        let step = reader.consume(1);
        got += step;
        if step == 0 && reader.arm() {
            bell.0.wait();
        }
    }
    assert_eq!(got, count);
}

#[test]
fn an_append_and_the_end_wake_a_waiting_reader() {
    model(|| {
        let (mut writer, mut reader, readable, _) = stream(9);
        writer.open(Page::new(&[])).unwrap();
        let producer = thread::spawn(move || {
            writer.append(&[1]);
            writer.append(&[2]);
        });
        read_to_end(&mut reader, &readable, 2);
        producer.join().unwrap();
    });
}

#[test]
fn pushes_wake_a_waiting_reader() {
    model(|| {
        let (mut writer, mut reader, readable, _) = stream(9);
        let producer = thread::spawn(move || {
            writer.push(Page::new(&[1])).unwrap();
            writer.push(Page::new(&[2])).unwrap();
        });
        read_to_end(&mut reader, &readable, 2);
        producer.join().unwrap();
    });
}

#[test]
fn room_wakes_a_waiting_writer() {
    model(|| {
        let (mut writer, mut reader, _, writable) = stream(2);
        writer.open(Page::new(&[1, 2])).unwrap();
        let producer = thread::spawn(move || {
            while writer.append(&[3]) == 0 {
                if writer.arm(1) {
                    writable.0.wait();
                }
            }
            writer
        });
        // Room for one byte, and no more will come: the writer has to notice it.
        assert_eq!(reader.consume(1), 1);
        drop(producer.join().unwrap());
        assert_eq!(reader.consume(9), 2);
    });
}

/// The reader drops a chunk with much memory and no byte left: it consumes nothing, but frees room.
#[test]
fn freed_memory_wakes_a_waiting_writer() {
    model(|| {
        let (mut writer, mut reader, _, writable) = stream(9);
        writer.open(Page::new(&[])).unwrap();
        assert_eq!(writer.append(&[1]), 1);
        assert_eq!(reader.consume(1), 1);
        writer.push(Page::new(&[2])).unwrap();
        let producer = thread::spawn(move || {
            while writer.push(Page::new(&[3])).is_err() {
                if writer.arm(1) {
                    writable.0.wait();
                }
            }
            writer
        });
        // Drops the first chunk, and no other: the writer has to notice it.
        assert!(reader.front().is_some());
        drop(producer.join().unwrap());
        assert_eq!(reader.consume(9), 2);
    });
}

#[test]
fn the_drop_of_the_reader_wakes_a_waiting_writer() {
    model(|| {
        let (mut writer, reader, _, writable) = stream(1);
        writer.open(Page::new(&[1])).unwrap();
        let producer = thread::spawn(move || {
            while !writer.is_reader_gone() {
                if writer.arm(1) {
                    writable.0.wait();
                }
            }
        });
        drop(reader);
        producer.join().unwrap();
    });
}

/// One notification per `arm`, and the hook sees what the reader did before it armed.
#[test]
fn the_hook_sees_what_preceded_the_arm() {
    model(|| {
        let trail = Trail::new();
        let theirs = trail.clone();
        struct Shared(Trail);
        // SAFETY: loom checks the cells.
        unsafe impl Sync for Shared {}
        let prepared = Shared(trail.clone());
        let hook = move || {
            let prepared = &prepared;
            prepared.0.check(0, 5);
        };
        let (mut writer, mut reader) = Options::new()
            .on_readable(std::sync::Arc::new(hook))
            .build::<Page>();
        writer.open(Page::new(&[])).unwrap();
        let producer = thread::spawn(move || {
            writer.append(&[1]);
            writer.push(Page::new(&[2])).unwrap();
            writer
        });
        theirs.write(0, 5);
        reader.arm();
        reader.consume(9);
        reader.arm();
        drop(producer.join().unwrap());
    });
}
