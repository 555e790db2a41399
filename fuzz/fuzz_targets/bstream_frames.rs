//! Any writes, flushes and whole frames, through small frames and small streams: the bytes come out
//! as they went in, frame by frame.
#![no_main]

use std::io::{self, ErrorKind, Read, Write};

use arbitrary::Arbitrary;
use efio_bstream::LengthPrefix;
use efio_bstream::{BufferedWriter, Chunked, ChunkedDecoder, Deframing, FrameReader, Framing};
use efio_chunks::{Buffer, bounded_byte_stream};
use libfuzzer_sys::fuzz_target;

#[derive(Debug, Arbitrary)]
enum Act {
    Write(u16),
    Frame(u16),
    Flush,
    Read(u8),
}

fn done(result: io::Result<()>) -> bool {
    match result {
        Ok(()) => true,
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::WouldBlock);
            false
        }
    }
}

fn run<F: Framing, D: Deframing>(framing: F, deframing: D, sizes: (u8, u16), acts: &[Act]) {
    let (writer, reader) = bounded_byte_stream(usize::from(sizes.1));
    let mut writer = BufferedWriter::framed_with(writer, framing, usize::from(sizes.0) + 1);
    let mut reader = FrameReader::new(reader, deframing);
    let (mut sent, mut got) = (Vec::new(), Vec::new());
    let mut pull = |got: &mut Vec<u8>, max: usize| {
        let mut buf = vec![0; max];
        loop {
            match reader.read(&mut buf) {
                Ok(0) => match reader.next_frame() {
                    Ok(true) => {}
                    Ok(false) => return true,
                    Err(error) => return done(Err(error)),
                },
                Ok(count) => got.extend_from_slice(&buf[..count]),
                Err(error) => return done(Err(error)),
            }
        }
    };
    for act in acts {
        match act {
            Act::Write(len) => {
                let bytes: Vec<u8> = (0..*len % 2000).map(|i| (i ^ len) as u8).collect();
                match writer.write(&bytes) {
                    Ok(count) => sent.extend_from_slice(&bytes[..count]),
                    Err(error) => _ = done(Err(error)),
                }
            }
            Act::Frame(len) => {
                let bytes: Vec<u8> = (0..*len % 2000).map(|i| (i ^ len) as u8).collect();
                if done(writer.write_frame(Buffer::Vec(bytes.clone()))) {
                    sent.extend_from_slice(&bytes);
                }
            }
            Act::Flush => _ = done(writer.flush()),
            Act::Read(max) => _ = pull(&mut got, usize::from(*max) + 1),
        }
    }
    while !done(writer.finish()) {
        pull(&mut got, 100);
    }
    assert!(pull(&mut got, 100));
    assert_eq!(sent, got);
}

fuzz_target!(|input: ((u8, u16), bool, Vec<Act>)| {
    let (sizes, chunked, acts) = input;
    if chunked {
        run(Chunked, ChunkedDecoder::new(), sizes, &acts);
    } else {
        run(LengthPrefix::new(4), LengthPrefix::new(4), sizes, &acts);
    }
});
