//! Faults that were found by use, each as the program that showed it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Wake, Waker};

use efio_chunks::{
    AlignedBuf, Chunk, ChunkReader, ChunkWriter, Notify, Options, TaskWaker, bounded,
    bounded_byte_stream, unbounded,
};

/// A chunk whose drop panics, if it is live.
struct Bomb {
    bytes: Vec<u8>,
    is_live: bool,
    dropped: Arc<AtomicUsize>,
}

// SAFETY: as for the vector.
unsafe impl Chunk for Bomb {
    fn as_ptr(&self) -> *const u8 {
        self.bytes.as_ptr()
    }

    fn len(&self) -> usize {
        self.bytes.len()
    }
}

impl Drop for Bomb {
    fn drop(&mut self) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
        assert!(!self.is_live, "bomb");
    }
}

type Bombs = (ChunkWriter<Bomb>, ChunkReader<Bomb>, Arc<AtomicUsize>);

/// A stream of 100 bytes: a live bomb of 60 and another of 40. Counts those that were dropped.
fn bombs() -> Bombs {
    let dropped = Arc::new(AtomicUsize::new(0));
    let (mut writer, reader) = bounded(100);
    for (len, is_live) in [(60, true), (40, false)] {
        let bytes = vec![1; len];
        let dropped = dropped.clone();
        let bomb = Bomb {
            bytes,
            is_live,
            dropped,
        };
        writer.push(bomb).ok().unwrap();
    }
    (writer, reader, dropped)
}

fn panics(call: impl FnOnce()) -> bool {
    catch_unwind(AssertUnwindSafe(call)).is_err()
}

/// The account is right after the drop of a chunk panicked, whichever call dropped it.
#[test]
fn a_chunk_whose_drop_panics_is_accounted_for() {
    let calls: [fn(&mut ChunkReader<Bomb>); 3] = [
        |reader| _ = reader.consume(60),
        |reader| _ = reader.read(&mut [0; 60]),
        |reader| _ = reader.consume(80),
    ];
    for (call, left) in calls.into_iter().zip([40; 3]) {
        let (mut writer, mut reader, dropped) = bombs();
        assert!(panics(|| call(&mut reader)));
        assert_eq!(dropped.load(Ordering::Relaxed), 1);
        assert_eq!(
            (writer.buffered(), reader.len(), reader.chunk().len()),
            (left, left, left)
        );
        assert_eq!(reader.consume(1000), left);
        assert_eq!((writer.buffered(), reader.len()), (0, 0));
        assert!(writer.has_room_for(100));
        drop(writer);
        assert!(reader.is_closed() && !reader.is_aborted());
    }
}

/// An end that leaves with a chunk whose drop panics has left, and drops the others.
#[test]
fn the_drop_of_a_chunk_may_panic_when_an_end_leaves() {
    // The reader first: the writer learns of it.
    let (writer, reader, dropped) = bombs();
    assert!(panics(|| drop(reader)));
    assert!(writer.is_reader_gone());
    assert_eq!(dropped.load(Ordering::Relaxed), 2);
    drop(writer);
    // The reader last.
    let (writer, reader, dropped) = bombs();
    drop(writer);
    assert!(panics(|| drop(reader)));
    assert_eq!(dropped.load(Ordering::Relaxed), 2);
}

/// "Nobody is called who did not ask."
#[test]
fn hooks_are_not_called_unasked() {
    fn counting() -> (Arc<AtomicUsize>, Arc<dyn Notify>) {
        let calls = Arc::new(AtomicUsize::new(0));
        let count = calls.clone();
        let hook = move || _ = count.fetch_add(1, Ordering::Relaxed);
        (calls, Arc::new(hook))
    }
    let (calls, hook) = counting();
    let (writer, reader) = Options::new().on_writable(hook).build::<Vec<u8>>();
    drop(reader);
    assert_eq!(calls.load(Ordering::Relaxed), 0, "the writer did not ask");
    drop(writer);

    let (calls, hook) = counting();
    let options = Options::new().max_bytes(1).on_writable(hook);
    let (mut writer, reader) = options.build::<Vec<u8>>();
    writer.push(vec![1]).unwrap();
    assert!(writer.arm(1));
    drop(reader);
    assert_eq!(calls.load(Ordering::Relaxed), 1, "it asked");
    assert!(!writer.arm(1));
    drop(writer);
    assert_eq!(calls.load(Ordering::Relaxed), 1);

    let (calls, hook) = counting();
    let (mut writer, mut reader) = Options::new().on_readable(hook).build_bytes();
    writer.append(b"x");
    writer.seal();
    assert_eq!(calls.load(Ordering::Relaxed), 0, "the reader did not ask");
    reader.consume(1);
    assert!(reader.arm());
    drop(writer);
    assert_eq!(calls.load(Ordering::Relaxed), 1, "it asked");
}

/// A hook that panics leaves a stream that is sound, and an end that has left.
#[test]
fn a_hook_may_panic() {
    let bomb = || -> Arc<dyn Notify> { Arc::new(|| panic!("hook")) };
    let (mut writer, mut reader) = Options::new().on_readable(bomb()).build::<AlignedBuf>();
    assert!(reader.arm());
    assert!(panics(|| writer.open(AlignedBuf::new(64, 1)).unwrap()));
    assert_eq!(writer.append(b"here"), 4);
    assert_eq!(reader.consume(4), 4);
    assert!(reader.arm());
    assert!(panics(|| writer.seal()));
    assert_eq!(writer.append(b"the tail is sealed"), 0);
    assert!(reader.arm());
    assert!(panics(|| drop(writer)));
    assert!(reader.is_closed() && reader.is_writer_gone());

    let (mut writer, reader) = Options::new().max_bytes(1).on_writable(bomb()).build();
    writer.push(vec![1]).unwrap();
    assert!(writer.arm(1));
    assert!(panics(|| drop(reader)));
    assert!(writer.is_reader_gone());
}

/// F80: the bound of a stream holds for its memory, whatever the chunks are like.
#[test]
fn a_bound_holds_for_memory() {
    const BOUND: usize = if cfg!(miri) { 64 << 10 } else { 1 << 20 };
    // A byte each, with a node and an allocation.
    let (mut writer, mut reader) = bounded_byte_stream(BOUND);
    let tiny = (0..BOUND)
        .take_while(|_| writer.push(vec![1u8]).is_ok())
        .count();
    assert!(
        tiny * (size_of::<Vec<u8>>() + 24) <= 2 * BOUND,
        "{tiny} chunks"
    );
    assert!(writer.arm(1) && writer.allowance(1) == 0 && writer.append(b"x") == 0);
    assert_eq!(reader.consume(1), 1);
    assert!(!writer.arm(1));
    writer.push(vec![1u8]).unwrap();

    // A byte each, with room for many.
    let (mut writer, mut reader) = bounded_byte_stream(BOUND);
    let large = || {
        let mut large = Vec::with_capacity(BOUND / 8);
        large.push(1u8);
        large
    };
    let count = (0..BOUND)
        .take_while(|_| writer.push(large()).is_ok())
        .count();
    assert!((8..=16).contains(&count), "{count}");
    // Without company anything goes.
    assert_eq!(reader.consume(count), count);
    writer.push(vec![0u8; 3 * BOUND]).unwrap();
    assert_eq!(reader.consume(3 * BOUND), 3 * BOUND);
    writer.push(large()).unwrap();

    // Tails that are sealed early.
    let (mut writer, _reader) = bounded_byte_stream(BOUND);
    let mut tails = 0;
    while writer.append(b"x") == 1 {
        writer.seal();
        tails += 1;
    }
    assert!(tails * 4096 <= 2 * BOUND, "{tails} tails");

    // Full ones take what they always took.
    let (mut writer, _reader) = bounded_byte_stream(BOUND);
    assert_eq!(writer.append(&vec![0; 2 * BOUND]), BOUND);
    let (mut writer, _reader) = bounded::<Vec<u8>>(100);
    assert_eq!(
        (0..200)
            .take_while(|_| writer.push(vec![0]).is_ok())
            .count(),
        100
    );
}

/// F80: a reader that gives a chunk back without a byte that it had not consumed before says so.
#[test]
fn memory_that_is_given_back_wakes() {
    let calls = Arc::new(AtomicUsize::new(0));
    let count = calls.clone();
    let hook = move || _ = count.fetch_add(1, Ordering::Relaxed);
    let options = Options::new().max_bytes(100).on_writable(Arc::new(hook));
    let (mut writer, mut reader) = options.build::<AlignedBuf>();
    writer.open(AlignedBuf::new(64 << 10, 1)).unwrap();
    assert_eq!(writer.append(b"some"), 4);
    assert_eq!(reader.consume(4), 4);
    let mut small = AlignedBuf::new(1, 1);
    small.extend_from_slice(b"x");
    writer.push(small).unwrap();
    assert!(writer.arm(1), "the tail is still there");
    assert_eq!(reader.front().map(|front| front.bytes().len()), Some(1));
    assert_eq!(calls.load(Ordering::Relaxed), 1);
    assert!(!writer.arm(1));
}

/// F76: not more bytes than can be counted. (Only memory that is lent is that large.)
#[test]
fn a_stream_without_a_bound_refuses_more_than_it_can_count() {
    /// Says that it is larger than it is; nobody looks.
    struct Huge;
    // SAFETY: not kept: nobody reads its bytes in this test.
    unsafe impl Chunk for Huge {
        fn as_ptr(&self) -> *const u8 {
            std::ptr::NonNull::dangling().as_ptr()
        }

        fn len(&self) -> usize {
            usize::MAX >> 2
        }
    }
    for (mut writer, _reader) in [unbounded(), bounded(usize::MAX)] {
        let pushed = (0..9).take_while(|_| writer.push(Huge).is_ok()).count();
        assert_eq!((pushed, writer.max_bytes()), (2, None));
        assert_eq!(writer.buffered(), 2 * (usize::MAX >> 2));
        assert!(!writer.has_room_for(usize::MAX >> 2) && writer.has_room_for(1));
    }
}

/// A task that owns what notifies it.
struct Task {
    _owned: Mutex<Option<ChunkWriter<Vec<u8>>>>,
}

impl Wake for Task {
    fn wake(self: Arc<Self>) {}
}

/// F81: the waker that is replaced is the last owner of a task that owns the other end.
#[test]
fn a_replaced_waker_may_own_the_other_end() {
    let task = |owned| {
        Waker::from(Arc::new(Task {
            _owned: Mutex::new(owned),
        }))
    };
    let hook = Arc::new(TaskWaker::new());
    let (writer, mut reader) = Options::new().on_readable(hook.clone()).build();
    hook.register(&task(Some(writer)));
    assert!(reader.arm());
    hook.register(&task(None));
    assert!(reader.is_closed());
}

/// F77: a writer that a panic drops was not done.
#[test]
fn a_writer_dropped_by_a_panic_gives_the_stream_up() {
    let (mut writer, mut reader) = unbounded();
    assert!(panics(move || {
        writer.push(vec![1]).unwrap();
        panic!("a bug in the producer")
    }));
    assert_eq!(reader.consume(10), 1);
    assert!(reader.is_closed() && reader.is_aborted());
    // But one that is closed while its thread panics is closed.
    struct Closes(Option<ChunkWriter<Vec<u8>>>);
    impl Drop for Closes {
        fn drop(&mut self) {
            self.0.take().unwrap().close();
        }
    }
    let (writer, reader) = unbounded();
    let closes = Closes(Some(writer));
    assert!(panics(move || {
        let _closes = closes;
        panic!("a bug somewhere else")
    }));
    assert!(reader.is_closed() && !reader.is_aborted());
}
