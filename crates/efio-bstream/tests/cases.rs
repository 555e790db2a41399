//! Faults that were found by use, each as the program that showed it.

use std::cell::RefCell;
use std::io::{self, ErrorKind, Read, Write};
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use efio_bstream::{
    AsyncReader, AsyncWriter, BufferedWriter, Chunked, Plain, SinkWriter, SourceReader,
    async_stream,
};
use efio_chunks::{Buffer, bounded_byte_stream, byte_stream};

/// F75: a writer that is dropped while its thread panics reports to a standard error whose reader
/// is gone. The process goes on.
#[test]
#[cfg_attr(miri, ignore = "it starts no processes")]
fn reporting_to_a_broken_stderr_does_not_abort() {
    const CHILD: &str = "EFIO_BSTREAM_BROKEN_STDERR";
    if std::env::var_os(CHILD).is_some() {
        std::panic::set_hook(Box::new(|_| {}));
        // Standard error is a pipe whose reader is gone, once standard input has ended.
        io::copy(&mut io::stdin(), &mut io::sink()).unwrap();
        assert!(io::stderr().write_all(b"x").is_err());
        let framed = std::thread::spawn(|| {
            let (writer, _reader) = byte_stream();
            let mut writer = BufferedWriter::framed(writer, Chunked);
            writer.write_all(b"x").unwrap();
            panic!("a bug in one request");
        });
        let sink = std::thread::spawn(|| {
            let mut writer = SinkWriter::new(io::sink(), Chunked, 100);
            writer.write_all(b"x").unwrap();
            panic!("a bug in another request");
        });
        assert!(framed.join().is_err() && sink.join().is_err());
        return;
    }
    let name = "reporting_to_a_broken_stderr_does_not_abort";
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(CHILD, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stderr.take());
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success(), "it was aborted");
}

/// F80: a bounded stream under framing, with a flush after each line.
#[test]
fn a_bound_holds_for_the_memory_of_small_frames() {
    const BOUND: usize = if cfg!(miri) { 64 << 10 } else { 1 << 20 };
    let (writer, mut reader) = bounded_byte_stream(BOUND);
    let mut writer = BufferedWriter::framed(writer, Chunked);
    writer.on_drop_error(|_| {});
    let mut frames = 0;
    while writer.write_all(b"0123456789").is_ok() && writer.flush().is_ok() {
        frames += 1;
    }
    assert!(frames > BOUND / 100, "{frames}");
    let mut memory = 0;
    while let Some(popped) = reader.pop() {
        memory += match popped.into_chunk() {
            Buffer::Vec(bytes) => bytes.capacity() + 64,
            other => panic!("{other:?}"),
        };
    }
    assert!(memory < 3 * BOUND, "{memory} bytes in {frames} frames");
}

/// Frames as long as memory, or as long as what is flushed.
#[test]
fn a_frame_may_be_of_any_length() {
    for capacity in [usize::MAX, isize::MAX as usize, usize::MAX >> 2, 1 << 40] {
        let (writer, mut reader) = byte_stream();
        let mut writer = BufferedWriter::framed_with(writer, Chunked, capacity);
        writer.write_all(b"hello").unwrap();
        assert_eq!(reader.len(), 0, "not flushed");
        writer.flush().unwrap();
        assert_eq!(reader.chunk(), b"5\r\nhello\r\n");
        reader.consume(100);
        if cfg!(miri) {
            continue; // Long only.
        }
        let long = vec![b'x'; 3 << 20];
        for half in long.chunks(1 << 20) {
            writer.write_all(half).unwrap();
        }
        writer.flush().unwrap();
        assert_eq!(reader.len(), b"300000\r\n".len() + long.len() + 2);
    }
}

/// A sink that shows what arrived, and takes no more than so many bytes in all.
#[derive(Clone)]
struct Shown(Rc<RefCell<Vec<u8>>>, usize);

impl Write for Shown {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut shown = self.0.borrow_mut();
        match bytes.len().min(self.1 - shown.len()) {
            0 => Err(ErrorKind::WouldBlock.into()),
            count => {
                shown.extend_from_slice(&bytes[..count]);
                Ok(count)
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Shown {
    fn new(most: usize) -> Self {
        Self(Rc::default(), most)
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.borrow().clone()).unwrap()
    }
}

/// As with std's `BufWriter` nothing is lost, and the reader sees (F77) that it was not finished.
#[test]
fn a_sink_writer_that_is_dropped_flushes() {
    let shown = Shown::new(1000);
    let mut writer = SinkWriter::new(shown.clone(), Plain, 65536);
    writeln!(writer, "order 1 paid").unwrap();
    writeln!(writer, "order 2 paid").unwrap();
    drop(writer);
    assert_eq!(shown.text(), "order 1 paid\norder 2 paid\n");

    let shown = Shown::new(1000);
    let mut writer = SinkWriter::new(shown.clone(), Chunked, 65536);
    writeln!(writer, "order 1 paid").unwrap();
    drop(writer);
    assert_eq!(
        shown.text(),
        "d\r\norder 1 paid\n\r\n",
        "without the last chunk"
    );

    let shown = Shown::new(1000);
    let mut writer = SinkWriter::new(shown.clone(), Chunked, 65536);
    writeln!(writer, "order 1 paid").unwrap();
    writer.finish().unwrap();
    drop(writer);
    assert_eq!(shown.text(), "d\r\norder 1 paid\n\r\n0\r\n\r\n");

    // The handler gets the error when bytes are lost.
    let reported = Arc::new(Mutex::new(None));
    let handler = reported.clone();
    let mut writer = SinkWriter::new(Shown::new(5), Plain, 65536);
    writer.on_drop_error(move |error| *handler.lock().unwrap() = Some(error.kind()));
    writeln!(writer, "order 1 paid").unwrap();
    drop(writer);
    assert_eq!(*reported.lock().unwrap(), Some(ErrorKind::WouldBlock));
}

/// F65: each read at the end of a file reads from the source again.
#[test]
fn a_source_that_grows_reads_on() {
    /// Gives what is there, and the end whenever there is nothing.
    struct Growing(Rc<RefCell<Vec<u8>>>);

    impl Read for Growing {
        fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
            let mut file = self.0.borrow_mut();
            let count = file.len().min(room.len());
            room[..count].copy_from_slice(&file[..count]);
            file.drain(..count);
            Ok(count)
        }
    }

    let file = Rc::new(RefCell::new(b"one".to_vec()));
    let mut reader = SourceReader::new(Growing(file.clone()));
    let mut text = String::new();
    assert_eq!(reader.read_to_string(&mut text).unwrap(), 3);
    assert_eq!(reader.read(&mut [0; 9]).unwrap(), 0);
    file.borrow_mut().extend_from_slice(b" and two");
    assert_eq!(reader.read_to_string(&mut text).unwrap(), 8);
    assert_eq!(text, "one and two");
}

/// A task that owns the other end.
struct Task {
    _owned: Mutex<Option<AsyncWriter>>,
}

impl Wake for Task {
    fn wake(self: Arc<Self>) {}
}

fn task(owned: Option<AsyncWriter>) -> Waker {
    Waker::from(Arc::new(Task {
        _owned: Mutex::new(owned),
    }))
}

/// F81: the task that polled first owns the writer, gave the reader away and was cancelled: only
/// the waker holds it, which the next poll replaces.
#[test]
fn a_replaced_waker_may_own_the_writer() {
    let (writer, mut reader): (_, AsyncReader<_>) = async_stream(1024);
    let first = task(Some(writer));
    assert!(
        reader
            .poll_bytes(&mut Context::from_waker(&first))
            .is_pending()
    );
    drop(first);
    let second = task(None);
    let polled = reader.poll_bytes(&mut Context::from_waker(&second));
    let Poll::Ready(Err(error)) = polled else {
        panic!("the writer is gone")
    };
    assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
}

/// F77: the reader sees whether its writer was cancelled or finished.
#[test]
fn a_cancelled_writer_does_not_look_finished() {
    let waker = task(None);
    let mut context = Context::from_waker(&waker);
    for is_done in [true, false] {
        let (mut writer, mut reader) = async_stream(1024);
        assert!(writer.poll_append(&mut context, b"half").is_ready());
        if is_done {
            writer.close();
        }
        drop(writer);
        let Poll::Ready(Ok(b"half")) = reader.poll_bytes(&mut context) else {
            panic!("what was written is there")
        };
        reader.consume_bytes(4);
        match reader.poll_bytes(&mut context) {
            Poll::Ready(Ok([])) => assert!(is_done),
            Poll::Ready(Err(error)) => {
                assert!(!is_done);
                assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
            }
            other => panic!("{other:?}"),
        }
    }
}
