//! Readers, writers, sources and sinks: what each call promises.

use std::io::{self, BufRead, ErrorKind, IoSlice, Read, Write};
use std::sync::{Arc, Mutex};

use efio_bstream::{
    BufferedReader, BufferedWriter, Chunked, Framing, LengthPrefix, Plain, Sink, SinkWriter,
    Source, SourceReader, drain_to, fill_from,
};
use efio_chunks::{ByteReader, bounded_byte_stream, byte_stream};

fn kind<T>(result: io::Result<T>) -> ErrorKind {
    result.err().expect("an error").kind()
}

fn drain(reader: &mut ByteReader) -> Vec<u8> {
    let mut bytes = vec![0; reader.len()];
    assert_eq!(reader.read(&mut bytes), bytes.len());
    bytes
}

#[test]
fn a_reader_distinguishes_empty_closed_and_aborted() {
    let (mut writer, reader) = byte_stream();
    let mut reader = BufferedReader::new(reader);
    let mut buf = [0; 8];
    assert_eq!(kind(reader.read(&mut buf)), ErrorKind::WouldBlock);
    assert_eq!(kind(reader.fill_buf()), ErrorKind::WouldBlock);
    assert_eq!(reader.read(&mut []).unwrap(), 0);
    writer.append(b"abc");
    let memory = reader.get_ref().chunk().as_ptr();
    assert_eq!(reader.fill_buf().unwrap().as_ptr(), memory, "zero-copy");
    reader.consume(1);
    assert_eq!(reader.read(&mut buf).unwrap(), 2);
    writer.close();
    assert_eq!(reader.read(&mut buf).unwrap(), 0);
    assert_eq!(reader.fill_buf().unwrap(), b"");

    let (mut writer, reader) = byte_stream();
    let mut reader = BufferedReader::new(reader);
    writer.append(b"abc");
    writer.abort();
    assert_eq!(
        kind(reader.read_to_end(&mut Vec::new())),
        ErrorKind::UnexpectedEof
    );
}

#[test]
fn a_limit_leaves_the_rest_for_the_next_reader() {
    let (mut writer, reader) = byte_stream();
    writer.append(b"head");
    writer.push("body and more").unwrap();
    let mut reader = BufferedReader::with_limit(reader, 8);
    assert_eq!(reader.available(), 8);
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    assert_eq!((text.as_str(), reader.limit()), ("headbody", Some(0)));
    assert_eq!(reader.fill_buf().unwrap(), b"");
    reader.consume(5);
    reader.set_limit(Some(4));
    assert_eq!(reader.fill_buf().unwrap(), b" and");
    reader.consume(100);
    assert_eq!(reader.limit(), Some(0));
    assert_eq!(reader.into_inner().chunk(), b" more");
}

#[test]
fn finish_consumes_the_rest_if_asked_to() {
    let (mut writer, reader) = byte_stream();
    writer.append(b"0123");
    let mut reader = BufferedReader::with_limit(reader, 6);
    reader.finish().unwrap();
    assert_eq!(reader.limit(), Some(6), "not asked to");
    reader.set_consume_rest(true);
    assert_eq!(kind(reader.finish()), ErrorKind::WouldBlock);
    writer.append(b"45next");
    reader.finish().unwrap();
    assert_eq!(reader.get_ref().chunk(), b"next");
    reader.set_limit(Some(100));
    writer.close();
    assert_eq!(kind(reader.finish()), ErrorKind::UnexpectedEof);
}

#[test]
fn a_plain_writer_is_visible_at_once_and_would_block_when_full() {
    let (writer, mut reader) = bounded_byte_stream(4);
    let mut writer = BufferedWriter::new(writer);
    let slices = [IoSlice::new(b"ab"), IoSlice::new(b""), IoSlice::new(b"cde")];
    assert_eq!(writer.write_vectored(&slices).unwrap(), 4);
    assert_eq!(reader.chunk(), b"abcd");
    assert_eq!(kind(writer.write(b"e")), ErrorKind::WouldBlock);
    assert_eq!(writer.write(b"").unwrap(), 0);
    reader.consume(1);
    assert_eq!(writer.write(b"ef").unwrap(), 1);
    writer.flush().unwrap();
    drop(reader);
    assert_eq!(kind(writer.write(b"f")), ErrorKind::BrokenPipe);
    assert_eq!(kind(writer.flush()), ErrorKind::BrokenPipe);
    assert_eq!(kind(writer.finish()), ErrorKind::BrokenPipe);
    writer.on_drop_error(|error| assert_eq!(error.kind(), ErrorKind::BrokenPipe));
}

#[test]
fn a_framing_writer_keeps_what_it_accepted_until_there_is_room() {
    let (writer, mut reader) = bounded_byte_stream(7);
    let mut writer = BufferedWriter::framed_with(writer, LengthPrefix::new(1), 4);
    // Four bytes are a frame; the second one does not fit any more.
    assert_eq!(writer.write(b"abcdefgh").unwrap(), 4);
    assert_eq!(drain(&mut reader), b"\x04abcd");
    assert_eq!(writer.write(b"efgh").unwrap(), 4);
    assert_eq!(writer.write(b"ijkl").unwrap(), 4);
    assert_eq!(writer.pending(), 5);
    assert_eq!(kind(writer.write(b"m")), ErrorKind::WouldBlock);
    assert_eq!(kind(writer.flush()), ErrorKind::WouldBlock);
    assert_eq!(kind(writer.write_frame("x")), ErrorKind::WouldBlock);
    assert_eq!(drain(&mut reader), b"\x04efgh");
    assert_eq!(writer.write(b"mn").unwrap(), 2);
    assert_eq!(kind(writer.finish()), ErrorKind::WouldBlock);
    assert_eq!(drain(&mut reader), b"\x04ijkl");
    assert_eq!(kind(writer.write(b"late")), ErrorKind::BrokenPipe);
    assert_eq!(kind(writer.write_frame("late")), ErrorKind::BrokenPipe);
    writer.finish().unwrap();
    writer.finish().unwrap();
    assert_eq!(drain(&mut reader), b"\x02mn");
    assert!(reader.is_closed() && !reader.is_aborted());
    assert_eq!(kind(writer.write(b"o")), ErrorKind::BrokenPipe);
}

#[test]
fn a_writer_dropped_in_trouble_says_so_on_both_sides() {
    // No trouble: finished on drop.
    let (writer, mut reader) = byte_stream();
    let mut writer = BufferedWriter::framed(writer, Chunked);
    writer.write_all(b"x").unwrap();
    drop(writer);
    assert_eq!(drain(&mut reader), b"1\r\nx\r\n0\r\n\r\n");
    assert!(reader.is_closed() && !reader.is_aborted());

    // Full: the rest is lost, and both sides get an error.
    let reported = Arc::new(Mutex::new(None));
    let (writer, mut reader) = bounded_byte_stream(1);
    let mut writer = BufferedWriter::framed(writer, Chunked);
    let handler = reported.clone();
    writer.on_drop_error(move |error| *handler.lock().unwrap() = Some(error.kind()));
    writer.write_frame("abc").unwrap();
    drop(writer);
    assert_eq!(*reported.lock().unwrap(), Some(ErrorKind::WouldBlock));
    assert_eq!(drain(&mut reader), b"3\r\n");
    assert!(reader.is_aborted());

    // A panic: what was flushed is there, but it is not the end.
    let (writer, reader) = byte_stream();
    let result = std::thread::spawn(move || {
        let mut writer = BufferedWriter::new(writer);
        writer.on_drop_error(|_| {});
        writer.write_all(b"half a mes").unwrap();
        std::panic::resume_unwind(Box::new("on purpose"));
    });
    assert!(result.join().is_err());
    let mut text = Vec::new();
    let error = BufferedReader::new(reader)
        .read_to_end(&mut text)
        .unwrap_err();
    assert_eq!(
        (text.as_slice(), error.kind()),
        (&b"half a mes"[..], ErrorKind::UnexpectedEof)
    );
}

/// A framing with a suffix that depends on the payload, as a checksum does.
struct Summed;

impl Framing for Summed {
    const PREFIX: usize = 0;
    const SUFFIX: usize = 1;

    fn frame(
        &mut self,
        payload: &[u8],
        _: &mut [u8],
        suffix: &mut [u8],
    ) -> io::Result<(usize, usize)> {
        if payload.contains(&0) {
            return Err(ErrorKind::InvalidInput.into());
        }
        suffix[0] = payload.iter().fold(0, |sum, byte| sum ^ byte);
        Ok((0, 1))
    }
}

#[test]
fn a_framing_of_ones_own() {
    let (writer, mut reader) = byte_stream();
    let mut writer = BufferedWriter::framed(writer, Summed);
    writer.write_all(&[1, 2]).unwrap();
    writer.flush().unwrap();
    writer.write_frame(vec![4, 8]).unwrap();
    assert_eq!(drain(&mut reader), [1, 2, 3, 4, 8, 12]);
    writer.write_all(&[0]).unwrap();
    assert_eq!(kind(writer.flush()), ErrorKind::InvalidInput);
    assert_eq!(kind(writer.write_frame(vec![0])), ErrorKind::InvalidInput);
    assert_eq!(writer.pending(), 1, "kept");
    writer.abort();
    assert!(reader.is_aborted());
}

/// A source and a sink that give and take little at a time, and sometimes nothing.
struct Trickle {
    bytes: Vec<u8>,
    calls: usize,
}

impl Trickle {
    fn new(bytes: &[u8]) -> Self {
        Self {
            bytes: bytes.to_vec(),
            calls: 0,
        }
    }

    fn mood(&mut self) -> io::Result<()> {
        self.calls += 1;
        match self.calls % 4 {
            1 => Err(ErrorKind::Interrupted.into()),
            3 => Err(ErrorKind::WouldBlock.into()),
            _ => Ok(()),
        }
    }
}

impl Source for Trickle {
    fn read_from_source(&mut self, room: &mut [u8]) -> io::Result<usize> {
        self.mood()?;
        let count = self.bytes.len().min(room.len()).min(3);
        for (to, from) in room.iter_mut().zip(self.bytes.drain(..count)) {
            *to = from;
        }
        Ok(count)
    }
}

impl Sink for Trickle {
    fn write_to_sink(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.mood()?;
        let all: Vec<u8> = slices
            .iter()
            .flat_map(|slice| slice.to_vec())
            .take(3)
            .collect();
        self.bytes.extend_from_slice(&all);
        Ok(all.len())
    }
}

#[test]
fn sources_and_sinks_stand_behind_streams() {
    let mut source = SourceReader::new(Trickle::new(b"one\ntwo\nthree"));
    let mut text = Vec::new();
    loop {
        match source.read_to_end(&mut text) {
            Ok(_) => break,
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
    }
    assert_eq!(text, b"one\ntwo\nthree");
    assert!(source.into_parts().1.is_closed());

    let mut sink = SinkWriter::new(Trickle::new(b""), Chunked, 8);
    sink.write_all(b"hello, ").unwrap();
    sink.write_all(b"world").unwrap();
    while let Err(error) = sink.finish() {
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
    }
    assert_eq!(sink.get_ref().bytes, b"c\r\nhello, world\r\n0\r\n\r\n");
    assert_eq!(sink.pending(), 0);

    let mut plain = SinkWriter::new(Vec::new(), Plain, 4);
    plain.write_all(b"01234567").unwrap();
    plain.write_all(b"8").unwrap();
    assert_eq!(plain.get_ref(), b"01234567", "beyond the threshold");
    plain.flush().unwrap();
    assert_eq!(plain.get_ref(), b"012345678");
}

#[test]
fn fill_and_drain_move_bytes_without_a_detour() {
    let (mut writer, mut reader) = bounded_byte_stream(5);
    let mut source: &[u8] = b"0123456789";
    assert_eq!(fill_from(&mut writer, &mut source).unwrap(), 5);
    assert_eq!(
        kind(fill_from(&mut writer, &mut source)),
        ErrorKind::WouldBlock
    );
    let mut sink = Vec::new();
    assert_eq!(drain_to(&mut reader, &mut sink).unwrap(), 5);
    assert_eq!(drain_to(&mut reader, &mut sink).unwrap(), 0);
    assert_eq!(fill_from(&mut writer, &mut source).unwrap(), 5);
    assert_eq!(
        drain_to(&mut reader, &mut [0u8; 2].as_mut_slice()).unwrap(),
        2
    );
    assert_eq!(
        kind(drain_to(&mut reader, &mut [0u8; 0].as_mut_slice())),
        ErrorKind::WriteZero
    );
    assert_eq!(sink, b"01234");
    assert_eq!(fill_from(&mut writer, &mut source).unwrap(), 0, "the end");
    drop(reader);
    assert_eq!(
        kind(fill_from(&mut writer, &mut source)),
        ErrorKind::BrokenPipe
    );
}

/// Room that appears between a failed append and the check of its reason is not an error.
#[test]
fn two_threads_at_the_bound() {
    const TOTAL: usize = if cfg!(miri) { 100 } else { 10_000 };
    /// Others may need the core.
    fn would_block(error: io::Error, timeout: &mut u32) {
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
        *timeout += 1;
        if *timeout % 8 == 0 {
            std::thread::yield_now();
        }
    }
    let (writer, reader) = bounded_byte_stream(2);
    let producer = std::thread::spawn(move || {
        let mut writer = BufferedWriter::new(writer);
        let (mut written, mut timeout) = (0, 0);
        while written < TOTAL {
            match writer.write(&[written as u8]) {
                Ok(count) => written += count,
                Err(error) => would_block(error, &mut timeout),
            }
        }
        writer.finish().unwrap();
    });
    let mut reader = BufferedReader::new(reader);
    let (mut position, mut timeout) = (0, 0);
    loop {
        match reader.fill_buf() {
            Ok([]) => break,
            Ok(bytes) => {
                assert_eq!(bytes[0], position as u8);
                position += 1;
                reader.consume(1);
            }
            Err(error) => would_block(error, &mut timeout),
        }
    }
    assert_eq!(position, TOTAL);
    producer.join().unwrap();
}
