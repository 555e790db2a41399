//! Transfers on the real kernel: what arrives is what was there, whatever the sizes, and a step
//! returns what it waits for.

mod common;

use common::{Dir, TIMEOUT, errno, event, pattern, read_all};
use efio_core::transfer::{CopyFile, ReceiveFile, SendFile, Step};
use efio_core::{Engine, EventKind, File, IoMode, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::{Duration, Instant};

const MODES: [IoMode; 3] = [IoMode::Direct, IoMode::Uncached, IoMode::Cached];

fn engine(mode: IoMode) -> Engine {
    Engine::builder()
        .memory_budget(4 << 20)
        .io_mode(mode)
        .start()
        .unwrap()
}

fn open(engine: &Engine, path: &std::path::Path, write: bool) -> File {
    let options = if write {
        OpenOptions::new().write(true).create(true)
    } else {
        OpenOptions::new().read(true)
    };
    engine.open(path, &options).unwrap()
}

/// Steps until the transfer is done; waits for events of `file` and, a moment, for the socket.
fn finish(
    engine: &Engine,
    mut step: impl FnMut() -> std::io::Result<Step>,
    file_is_source: bool,
) -> std::io::Result<()> {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        assert!(Instant::now() < deadline, "the transfer does not end");
        match (step()?, file_is_source) {
            (Step::Done, _) => return Ok(()),
            (Step::Moved(_), _) => {}
            (Step::WaitSource, true) => {
                event(engine, |event| event.kind == EventKind::Readable);
            }
            (Step::WaitTarget, false) => {
                event(engine, |event| event.kind == EventKind::Writable);
            }
            _ => thread::sleep(Duration::from_micros(100)),
        }
    }
}

#[test]
fn a_file_goes_to_a_socket() {
    let dir = Dir::new();
    let bytes = pattern(3_000_001);
    std::fs::write(dir.join("source"), &bytes).unwrap();
    for mode in MODES {
        let engine = engine(mode);
        for (from, len) in [
            (0, None),
            (0, Some(0)),
            (1, Some(4095)),
            (123_457, Some(2_000_000)),
        ] {
            let file = open(&engine, &dir.join("source"), false);
            file.set_position(from as u64).unwrap();
            let (mut ours, mut theirs) = UnixStream::pair().unwrap();
            ours.set_nonblocking(true).unwrap();
            let peer = thread::spawn(move || {
                let mut got = Vec::new();
                theirs.read_to_end(&mut got).unwrap();
                got
            });
            let mut send = SendFile::new(len);
            finish(&engine, || send.step(&file, &mut ours), true).unwrap();
            drop(ours);
            let wanted = &bytes[from..len.map_or(bytes.len(), |len| from + len as usize)];
            assert!(peer.join().unwrap() == wanted, "{mode:?} {from} {len:?}");
            assert_eq!(send.transferred(), wanted.len() as u64);
            // The position is after the bytes that were sent.
            let rest = read_all(&engine, &file, 100_000).unwrap();
            assert!(
                rest == bytes[from + wanted.len()..],
                "{mode:?} {from} {len:?}"
            );
        }
    }
}

#[test]
fn a_socket_goes_to_a_file() {
    let dir = Dir::new();
    let bytes = pattern(20_000_003);
    for mode in MODES {
        let engine = engine(mode);
        let path = dir.join("target");
        let file = open(&engine, &path, true);
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let upload = bytes.clone();
        let peer = thread::spawn(move || {
            for part in upload.chunks(77_777) {
                theirs.write_all(part).unwrap();
            }
        });
        // A call of write in between, and a length: the rest stays in the socket.
        let mut receive = ReceiveFile::new(Some(5_000_001));
        finish(&engine, || receive.step(&file, &ours), false).unwrap();
        common::write_all(&engine, &file, b"between").unwrap();
        let mut rest = ReceiveFile::new(None);
        finish(&engine, || rest.step(&file, &ours), false).unwrap();
        peer.join().unwrap();
        assert_eq!(
            receive.transferred() + rest.transferred(),
            bytes.len() as u64
        );

        let fd = file.fd();
        file.close().unwrap();
        common::closed(&engine, fd).unwrap();
        let got = std::fs::read(&path).unwrap();
        assert!(got[..5_000_001] == bytes[..5_000_001], "{mode:?}");
        assert_eq!(&got[5_000_001..5_000_008], b"between");
        assert!(got[5_000_008..] == bytes[5_000_001..], "{mode:?}");
        std::fs::remove_file(path).unwrap();
    }
}

#[test]
fn a_file_goes_to_a_file_wherever_it_begins() {
    let dir = Dir::new();
    let bytes = pattern(9_000_001);
    std::fs::write(dir.join("source"), &bytes).unwrap();
    for mode in MODES {
        let engine = engine(mode);
        // Congruent modulo 4 KiB, where pages move, and not, where they are copied.
        for (from, to, len) in [(0, 0, None), (5000, 904, Some(3_000_000)), (17, 4096, None)] {
            let path = dir.join("target");
            let source = open(&engine, &dir.join("source"), false);
            let target = open(&engine, &path, true);
            source.set_position(from as u64).unwrap();
            target.set_position(to).unwrap();
            let mut copy = CopyFile::new(len);
            let deadline = Instant::now() + TIMEOUT;
            loop {
                assert!(Instant::now() < deadline);
                let wanted = match copy.step(&source, &target).unwrap() {
                    Step::Done => break,
                    Step::Moved(_) => continue,
                    Step::WaitSource => (source.fd(), EventKind::Readable),
                    Step::WaitTarget => (target.fd(), EventKind::Writable),
                };
                event(&engine, |event| {
                    event.fd == wanted.0 && event.kind == wanted.1
                });
            }
            let fd = target.fd();
            target.close().unwrap();
            common::closed(&engine, fd).unwrap();
            let wanted = &bytes[from..len.map_or(bytes.len(), |len| from + len as usize)];
            assert_eq!(copy.transferred(), wanted.len() as u64);
            let got = std::fs::read(&path).unwrap();
            assert!(got[to as usize..] == *wanted, "{mode:?} {from} {to}");
            std::fs::remove_file(path).unwrap();
        }
    }
}

#[test]
fn a_transfer_says_what_is_wrong() {
    let dir = Dir::new();
    std::fs::write(dir.join("short"), b"short").unwrap();
    let engine = engine(IoMode::Auto);
    let short = open(&engine, &dir.join("short"), false);

    let mut send = SendFile::new(Some(6));
    let mut taken = Vec::new();
    let error = finish(&engine, || send.step(&short, &mut taken), true).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
    assert_eq!((taken.as_slice(), send.transferred()), (&b"short"[..], 5));

    let target = open(&engine, &dir.join("target"), true);
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    // Our end would wait; a step does not.
    let mut receive = ReceiveFile::new(Some(6));
    assert_eq!(receive.step(&target, &ours).unwrap(), Step::WaitSource);
    theirs.write_all(b"short").unwrap();
    drop(theirs);
    assert_eq!(receive.step(&target, &ours).unwrap(), Step::Moved(5));
    let error = receive.step(&target, &ours).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnexpectedEof);

    let no_socket = std::fs::File::open(dir.join("short")).unwrap();
    assert_eq!(
        errno(ReceiveFile::new(None).step(&target, &no_socket)),
        libc::ENOTSOCK
    );
    assert_eq!(
        errno(ReceiveFile::new(None).step(&short, &ours)),
        libc::EBADF
    );
    assert_eq!(
        errno(SendFile::new(None).step(&target, &mut Vec::new())),
        libc::EBADF
    );
    assert_eq!(
        errno(CopyFile::new(None).step(&target, &short)),
        libc::EBADF
    );
}

/// The target of a step may use the file that is being sent: no lock is held meanwhile.
#[test]
fn a_position_moved_during_a_step_is_noticed() {
    struct Meddler<'a>(&'a File);
    impl Write for Meddler<'_> {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.set_position(0)?;
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let dir = Dir::new();
    std::fs::write(dir.join("source"), pattern(10_000)).unwrap();
    let engine = engine(IoMode::Auto);
    let file = open(&engine, &dir.join("source"), false);
    file.set_position(1).unwrap();
    let mut send = SendFile::new(None);
    let result = finish(&engine, || send.step(&file, &mut Meddler(&file)), true);
    assert_eq!(errno(result), libc::EBUSY);
}
