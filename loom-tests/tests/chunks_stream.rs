//! Bytes that come out of a chunk stream were put in before, by every call that takes them out.
#![cfg(loom)]

mod chunks_page;

use chunks_page::{Page, Trail, model};
use efio_chunks::{Chunk, ChunkReader, ChunkWriter, Options, unbounded};
use loom::thread;

/// Publication is a store without a hook and a swap with one: both have to publish.
fn ends(hooked: bool) -> (ChunkWriter<Page>, ChunkReader<Page>) {
    let options = Options::new();
    let hooks = || std::sync::Arc::new(|| {});
    if hooked {
        options.on_readable(hooks()).on_writable(hooks()).build()
    } else {
        options.build()
    }
}

/// Reads what is available, checks it, returns the new position.
fn read_some(reader: &mut ChunkReader<Page>, trail: &Trail, mut position: usize) -> usize {
    let mut buf = [0; 4];
    let count = reader.read(&mut buf);
    for byte in &buf[..count] {
        assert_eq!(usize::from(*byte), position + 1);
        trail.check(position, *byte);
        position += 1;
    }
    position
}

fn append_against_read_and_consume(hooked: bool) {
    model(move || {
        let (mut writer, mut reader) = ends(hooked);
        let trail = Trail::new();
        let theirs = trail.clone();
        let producer = thread::spawn(move || {
            writer.open(Page::new(&[])).unwrap();
            for position in 0..2 {
                theirs.write(position, position as u8 + 1);
                assert_eq!(writer.append(&[position as u8 + 1]), 1);
            }
            writer.close();
        });
        let mut position = read_some(&mut reader, &trail, 0);
        if reader.len() != 0 {
            trail.check(position, reader.chunk()[0]);
            position += reader.consume(1);
        }
        producer.join().unwrap();
        assert_eq!(read_some(&mut reader, &trail, position), 2);
        assert!(reader.is_closed());
    });
}

#[test]
fn append_against_read_and_consume_unhooked() {
    append_against_read_and_consume(false);
}

#[test]
fn append_against_read_and_consume_hooked() {
    append_against_read_and_consume(true);
}

fn pop_of_the_last_chunk_against_push(hooked: bool) {
    model(move || {
        let (mut writer, mut reader) = ends(hooked);
        let trail = Trail::new();
        let theirs = trail.clone();
        let producer = thread::spawn(move || {
            for position in 0..3 {
                theirs.write(position, position as u8 + 1);
                writer.push(Page::new(&[position as u8 + 1])).unwrap();
            }
        });
        let mut position = 0;
        for attempt in 0..5 {
            if attempt == 2 {
                thread::yield_now();
            }
            if let Some(popped) = reader.pop() {
                trail.check(position, popped.bytes()[0]);
                position += 1;
            }
        }
        producer.join().unwrap();
        assert_eq!(read_some(&mut reader, &trail, position), 3);
        assert!(reader.is_closed());
    });
}

#[test]
fn pop_of_the_last_chunk_against_push_unhooked() {
    pop_of_the_last_chunk_against_push(false);
}

#[test]
fn pop_of_the_last_chunk_against_push_hooked() {
    pop_of_the_last_chunk_against_push(true);
}

#[test]
fn a_sealed_tail_is_the_readers() {
    model(|| {
        let (mut writer, mut reader) = unbounded();
        let trail = Trail::new();
        let theirs = trail.clone();
        let producer = thread::spawn(move || {
            theirs.write(0, 1);
            writer.open(Page::new(&[1])).unwrap();
            assert_eq!(Chunk::len(writer.open_chunk().unwrap()), 1);
            theirs.write(1, 2);
            writer.append(&[2]);
            // Seals: from now on the reader owns the chunk, and moves it out of its cell.
            writer.push(Page::new(&[3])).unwrap();
            writer
        });
        let popped = reader.pop();
        if let Some(popped) = &popped {
            assert_eq!(popped.bytes(), [1, 2]);
            trail.check(1, 2);
        }
        let writer = producer.join().unwrap();
        let left = if popped.is_some() { 1 } else { 3 };
        assert_eq!(reader.consume(usize::MAX), left);
        drop((writer, popped));
        assert!(reader.is_closed());
    });
}

#[test]
fn chunk_refs_have_no_gap_while_the_writer_appends() {
    model(|| {
        let (mut writer, mut reader) = unbounded();
        writer.open(Page::new(&[1])).unwrap();
        let producer = thread::spawn(move || {
            writer.append(&[2]);
            writer.push(Page::new(&[3])).unwrap();
            writer
        });
        let seen: Vec<u8> = reader
            .chunks()
            .flat_map(|chunk| chunk.bytes().to_vec())
            .collect();
        assert!([1, 2, 3].starts_with(&seen) && !seen.is_empty());
        let mut peeked = [0];
        assert!(reader.peek(2, &mut peeked) == 0 || peeked == [3]);
        let counted = reader.len();
        assert!(seen.len() <= counted && counted <= 3);
        drop(producer.join().unwrap());
        assert_eq!((reader.len(), reader.consume(9), reader.len()), (3, 3, 0));
    });
}

fn room_comes_with_all_that_the_reader_did_before(hooked: bool) {
    model(move || {
        let options = Options::new().max_bytes(1);
        let (mut writer, mut reader) = if hooked {
            options.on_writable(std::sync::Arc::new(|| {})).build()
        } else {
            options.build()
        };
        let trail = Trail::new();
        let theirs = trail.clone();
        writer.open(Page::new(&[1])).unwrap();
        let producer = thread::spawn(move || {
            if writer.append(&[2]) == 1 {
                theirs.check(0, 7);
            }
            writer
        });
        trail.write(0, 7);
        assert_eq!(reader.consume(1), 1);
        drop(producer.join().unwrap());
    });
}

#[test]
fn room_publishes_unhooked() {
    room_comes_with_all_that_the_reader_did_before(false);
}

#[test]
fn room_publishes_hooked() {
    room_comes_with_all_that_the_reader_did_before(true);
}

#[test]
fn transfer_against_both_neighbours() {
    model(|| {
        let (mut writer, mut middle) = unbounded();
        let (mut onward, mut reader) = unbounded();
        let trail = Trail::new();
        let (first, last) = (trail.clone(), trail);
        let producer = thread::spawn(move || {
            first.write(0, 1);
            writer.push(Page::new(&[1])).unwrap();
        });
        let consumer = thread::spawn(move || {
            let position = read_some(&mut reader, &last, 0);
            (reader, last, position)
        });
        middle.transfer(&mut onward);
        producer.join().unwrap();
        middle.transfer(&mut onward);
        let (mut reader, last, position) = consumer.join().unwrap();
        assert_eq!(read_some(&mut reader, &last, position), 1);
        assert!(middle.is_closed());
    });
}
