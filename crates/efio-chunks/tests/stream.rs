//! The two ends on one thread: what each call promises.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use efio_chunks::{Chunk, Options, PushError, bounded, unbounded};

#[path = "common/page.rs"]
mod page;

use page::Page;

fn read_all<C: Chunk>(reader: &mut efio_chunks::ChunkReader<C>) -> Vec<u8> {
    let mut all = vec![0; reader.len()];
    assert_eq!(reader.read(&mut all), all.len());
    all
}

#[test]
fn chunks_come_out_as_they_went_in() {
    let (mut writer, mut reader) = unbounded();
    let chunk = vec![1u8, 2, 3];
    let address = chunk.as_ptr();
    writer.push(chunk).unwrap();
    writer.push(vec![]).unwrap();
    writer.push(vec![4]).unwrap();
    assert_eq!(reader.len(), 4);
    let popped = reader.pop().unwrap();
    assert_eq!((popped.bytes(), popped.range()), (&[1, 2, 3][..], 0..3));
    let back = popped.into_chunk();
    assert_eq!(back.as_ptr(), address, "no copy");
    assert_eq!(reader.chunk(), [4]);
    assert!(!reader.is_closed());
    writer.close();
    assert!(!reader.is_closed(), "there is a byte to read");
    assert_eq!(reader.consume(10), 1);
    assert!(reader.is_closed() && !reader.is_aborted());
    assert!(reader.pop().is_none());
}

#[test]
fn appended_bytes_are_visible_at_once_and_the_tail_is_sealed_by_a_push() {
    let (mut writer, mut reader) = unbounded();
    assert_eq!(writer.append(b"x"), 0, "no tail");
    writer.open(Page::new(b"ab", 8, None)).unwrap();
    assert_eq!(reader.chunk(), b"ab");
    assert_eq!(writer.append(b"cdef"), 4);
    assert_eq!(writer.room(), 2);
    let front = reader.front().unwrap();
    assert_eq!(
        (front.bytes(), front.offset(), front.published()),
        (&b"abcdef"[..], 0, 6)
    );
    assert!(!front.is_sealed());
    let clone = front.chunk().clone();
    assert!(reader.pop().is_none(), "open");
    assert_eq!(reader.consume(3), 3);
    assert_eq!(writer.append(b"ghij"), 2, "full");
    assert_eq!(writer.room(), 0);
    writer.push(Page::new(b"second", 6, None)).unwrap();
    assert!(writer.open_chunk().is_none());
    let popped = reader.pop().unwrap();
    assert_eq!((popped.bytes(), popped.range()), (&b"defgh"[..], 3..8));
    assert_eq!(clone.as_ptr(), popped.chunk().as_ptr());
    assert_eq!(read_all(&mut reader), b"second");
}

#[test]
fn consumed_chunks_go_at_once_and_the_open_tail_when_it_is_sealed() {
    let alive = Arc::new(AtomicUsize::new(0));
    let (mut writer, mut reader) = unbounded();
    for _ in 0..3 {
        writer.push(Page::new(b"0123", 4, Some(&alive))).unwrap();
    }
    reader.consume(3);
    assert_eq!(alive.load(Relaxed), 3);
    reader.consume(1);
    assert_eq!(alive.load(Relaxed), 2);
    assert_eq!(reader.read(&mut [0; 8]), 8);
    assert_eq!(alive.load(Relaxed), 0);
    writer.open(Page::new(b"", 4, Some(&alive))).unwrap();
    writer.append(b"01");
    assert_eq!(reader.read(&mut [0; 8]), 2);
    assert_eq!(alive.load(Relaxed), 1);
    writer.seal();
    assert!(reader.front().is_none());
    assert_eq!(alive.load(Relaxed), 0);
    writer.push(Page::new(b"0123", 4, Some(&alive))).unwrap();
    writer.open(Page::new(b"4", 4, Some(&alive))).unwrap();
    drop(reader);
    assert_eq!(
        alive.load(Relaxed),
        1,
        "the open tail stays with the writer"
    );
    assert_eq!(writer.append(b"5"), 0);
    assert!(matches!(
        writer.push(Page::new(b"6", 1, None)),
        Err(PushError::ReaderGone(_))
    ));
    drop(writer);
    assert_eq!(alive.load(Relaxed), 0);
}

#[test]
fn a_bounded_stream_gives_the_chunk_back() {
    let (mut writer, mut reader) = bounded(10);
    writer.push(vec![0; 6]).unwrap();
    let full = writer.push(vec![1; 5]).unwrap_err();
    assert_eq!(full, PushError::Full(vec![1; 5]));
    assert_eq!(writer.allowance(9), 4);
    reader.consume(1);
    writer.push(full.into_inner()).unwrap();
    reader.consume(usize::MAX);
    writer
        .push(vec![2; 100])
        .expect("larger than the limit, but the only one");
    assert!(writer.push(vec![3]).is_err());
    assert_eq!(writer.buffered(), 100);

    let (mut writer, mut reader) = bounded(3);
    writer.open(Page::new(b"a", 8, None)).unwrap();
    assert_eq!(writer.append(b"bcde"), 2);
    assert_eq!((writer.room(), writer.spare().len()), (0, 0));
    reader.consume(1);
    assert_eq!((writer.room(), writer.spare().len()), (1, 1));
}

#[test]
fn transfer_moves_sealed_chunks_and_what_is_left_of_the_first() {
    let (mut from, mut middle) = unbounded();
    let (mut to, mut end) = bounded(7);
    from.push(Page::new(b"abcd", 4, None)).unwrap();
    from.push(Page::new(b"efg", 3, None)).unwrap();
    from.push(Page::new(b"hij", 3, None)).unwrap();
    from.open(Page::new(b"k", 4, None)).unwrap();
    middle.consume(1);
    assert_eq!(middle.transfer(&mut to), 6);
    assert_eq!(read_all(&mut end), b"bcdefg");
    assert_eq!(middle.transfer(&mut to), 3);
    assert_eq!(read_all(&mut middle), b"k");
    assert_eq!(read_all(&mut end), b"hij");
}

#[test]
fn peek_and_slices_do_not_consume() {
    let (mut writer, mut reader) = unbounded();
    writer.push(b"abc".to_vec()).unwrap();
    writer.push(b"defg".to_vec()).unwrap();
    reader.consume(1);
    let mut buf = [0; 4];
    assert_eq!((reader.peek(1, &mut buf), &buf), (4, b"cdef"));
    assert_eq!(reader.peek(5, &mut buf), 1);
    assert_eq!(reader.peek(6, &mut buf), 0);
    assert_eq!(reader.peek(u64::MAX, &mut buf), 0);
    let mut slices = [std::io::IoSlice::new(&[]); 3];
    assert_eq!(reader.io_slices(&mut slices), 2);
    assert_eq!((&*slices[0], &*slices[1]), (&b"bc"[..], &b"defg"[..]));
    let chunks: Vec<_> = reader
        .chunks()
        .map(|chunk| chunk.bytes().to_vec())
        .collect();
    assert_eq!(chunks, [&b"bc"[..], b"defg"]);
    assert_eq!(reader.len(), 6);
}

#[test]
fn hooks_are_called_on_edges() {
    let calls = Arc::new((AtomicUsize::new(0), AtomicUsize::new(0)));
    let (readable, writable) = (calls.clone(), calls.clone());
    let (mut writer, mut reader) = Options::new()
        .max_bytes(4)
        .on_readable(Arc::new(move || _ = readable.0.fetch_add(1, Relaxed)))
        .on_writable(Arc::new(move || _ = writable.1.fetch_add(1, Relaxed)))
        .build();
    let counts = || (calls.0.load(Relaxed), calls.1.load(Relaxed));
    writer.open(Page::new(b"", 16, None)).unwrap();
    assert_eq!(counts(), (0, 0), "nobody armed");
    assert!(reader.arm() && reader.arm());
    writer.append(b"ab");
    writer.append(b"c");
    assert_eq!(counts(), (1, 0));
    assert!(!reader.arm());
    assert!(!writer.arm(1) && writer.arm(2), "there is room for one");
    reader.consume(1);
    reader.consume(1);
    assert_eq!(counts(), (1, 1));
    reader.consume(1);
    assert!(reader.arm());
    writer.seal();
    assert_eq!(counts(), (2, 1), "sealed");
    assert!(reader.arm());
    writer.close();
    assert_eq!(counts(), (3, 1), "closed");
    assert!(!reader.arm());
}

#[test]
fn an_aborted_stream_says_so_at_its_end() {
    let (mut writer, mut reader) = unbounded();
    writer.push(vec![1]).unwrap();
    writer.abort();
    assert!(!reader.is_aborted());
    reader.consume(1);
    assert!(reader.is_aborted() && reader.is_closed() && reader.is_writer_gone());
}

#[test]
fn ends_on_two_threads() {
    const TOTAL: usize = if cfg!(miri) { 300 } else { 1 << 20 };
    let (mut writer, mut reader) = bounded(10_000);
    let producer = std::thread::spawn(move || {
        let mut next = 0usize;
        while next < TOTAL {
            if writer.room() == 0 && writer.open(Page::new(&[], 1 + next % 5000, None)).is_err() {
                continue;
            }
            let bytes: Vec<u8> = (next..TOTAL.min(next + 1 + next % 100))
                .map(|i| i as u8)
                .collect();
            next += writer.append(&bytes);
        }
    });
    let mut seen = 0usize;
    let mut buf = [0; 77];
    while !reader.is_closed() {
        let len = 1 + seen % buf.len();
        let count = reader.read(&mut buf[..len]);
        for byte in &buf[..count] {
            assert_eq!(*byte, seen as u8);
            seen += 1;
        }
    }
    assert_eq!(seen, TOTAL);
    producer.join().unwrap();
}

#[test]
fn a_thread_sleeps_on_a_doorbell_until_there_is_something() {
    use efio_sync::{Doorbell, Parker};

    const COUNT: u8 = if cfg!(miri) { 10 } else { 100 };
    let bell = Arc::new(Doorbell::new(Parker::new()));
    let (mut writer, mut reader) = Options::new().on_readable(bell.clone()).build::<Vec<u8>>();
    let producer = std::thread::spawn(move || {
        for byte in 0..COUNT {
            writer.push(vec![byte]).unwrap();
            std::thread::yield_now();
        }
    });
    let mut expected = 0;
    while !reader.is_closed() {
        match reader.pop() {
            Some(popped) => {
                assert_eq!(popped.bytes(), [expected]);
                expected += 1;
            }
            None if reader.arm() => drop(bell.wait(None)),
            None => {}
        }
    }
    assert_eq!(expected, COUNT);
    producer.join().unwrap();
}

#[test]
fn an_idle_stream_has_no_chunk() {
    let alive = Arc::new(AtomicUsize::new(0));
    let (mut writer, mut reader) = unbounded();
    writer.open(Page::new(b"a", 4, Some(&alive))).unwrap();
    writer.push(Page::new(b"b", 4, Some(&alive))).unwrap();
    assert_eq!(reader.consume(2), 2);
    assert_eq!(alive.load(Relaxed), 0);
}

#[test]
fn a_byte_stream_uses_its_tails_again_and_carries_anything() {
    let (mut writer, mut reader) = Options::new().chunk_size(4..=8).build_bytes();
    assert_eq!(writer.append(b"0123456789abcdef"), 16);
    assert_eq!(
        reader.front().unwrap().bytes().len(),
        8,
        "as large as needed and allowed"
    );
    let address = reader.chunk().as_ptr();
    reader.consume(16);
    writer.seal();
    assert!(reader.is_empty());
    writer.append(b"gh");
    writer.append(b"i");
    reader.consume(1);
    assert!(
        std::ptr::eq(reader.chunk().as_ptr().wrapping_sub(1), address),
        "from the free list"
    );
    writer.push("static").unwrap();
    writer.push(String::from("string")).unwrap();
    writer.push(b"boxed".to_vec().into_boxed_slice()).unwrap();
    assert_eq!(writer.append(b"tail"), 4);
    writer.seal();
    writer.spare()[..3].copy_from_slice(b"end");
    writer.commit(3);
    let (mut onward, mut end) = efio_chunks::byte_stream();
    assert_eq!(onward.transfer_from(&mut reader), 26);
    assert_eq!(
        writer.append(b"!"),
        1,
        "the open tail stayed with its writer"
    );
    assert_eq!(onward.transfer_from(&mut reader), 1);
    assert_eq!(read_all(&mut end), b"histaticstringboxedtailend!");
}

#[test]
fn a_popped_chunk_knows_what_was_appended_to_it() {
    let (mut writer, mut reader) = efio_chunks::byte_stream();
    writer.append(b"appended");
    writer.seal();
    reader.consume(2);
    let popped = reader.pop().unwrap();
    assert_eq!((popped.bytes(), popped.range()), (&b"pended"[..], 2..8));
    assert_eq!(popped.into_chunk().as_slice(), b"appended");
}

#[cfg(feature = "bytes")]
#[test]
fn bytes_at_both_ends() {
    use bytes::{Buf, Bytes};

    let (mut writer, mut reader) = efio_chunks::byte_stream();
    let payload = Bytes::from(vec![7; 100]);
    let address = payload.as_ptr();
    writer.push(payload).unwrap();
    writer.append(b"\x01\x02\x03\x04\x05");
    assert_eq!((reader.remaining(), Buf::chunk(&reader).len()), (105, 100));
    reader.advance(1);
    let back = reader.pop().unwrap().into_bytes();
    assert_eq!((back.len(), back.as_ptr()), (99, address.wrapping_add(1)));
    assert_eq!((reader.get_u8(), reader.get_u16()), (1, 0x0203));
    let past_the_end = std::panic::AssertUnwindSafe(|| reader.advance(3));
    assert!(std::panic::catch_unwind(past_the_end).is_err());

    let (mut writer, mut reader) = unbounded::<Bytes>();
    writer.push(Bytes::from_static(b"ab")).unwrap();
    writer.push(Bytes::from_static(b"c")).unwrap();
    let mut slices = [std::io::IoSlice::new(&[]); 3];
    assert_eq!(reader.chunks_vectored(&mut slices), 2);
    assert_eq!(reader.copy_to_bytes(3), "abc");
}
