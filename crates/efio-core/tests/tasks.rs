//! Files used by tasks, polled by hand: which task is woken, and which event goes to the queue.

mod common;

use efio_core::sim::{Config, Simulation};
use efio_core::{AsyncFile, EventKind, File, OpenOptions, SimOptions};
use std::future::Future;
use std::io::{self, SeekFrom};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;
use tokio::io::{AsyncSeekExt, AsyncWriteExt};

#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// A task that counts how often it is woken.
struct Task {
    count: Arc<Count>,
    waker: Waker,
}

impl Task {
    fn new() -> Self {
        let count = Arc::new(Count::default());
        let waker = Waker::from(Arc::clone(&count));
        Self { count, waker }
    }

    fn woken(&self) -> usize {
        self.count.0.swap(0, Ordering::Relaxed)
    }

    fn cx(&self) -> Context<'_> {
        Context::from_waker(&self.waker)
    }
}

struct Harness {
    simulation: Simulation,
}

impl Harness {
    fn new() -> Self {
        Self::with(SimOptions::default())
    }

    fn with(options: SimOptions) -> Self {
        let config = Config {
            memory_budget: 4 << 20,
            write_behind: Some(8192),
            ..Config::default()
        };
        let mut simulation = Simulation::new(config, 3, options).unwrap();
        simulation.store().put("/file", &[7; 100_000]);
        Self { simulation }
    }

    fn open(&self, wakers: bool) -> File {
        let options = OpenOptions::new().read(true).write(true).events(!wakers);
        self.simulation.engine().open("/file", &options).unwrap()
    }

    /// Lets time pass and returns the events.
    fn settle(&mut self) -> Vec<EventKind> {
        for _ in 0..20 {
            self.simulation.turn(Duration::from_millis(100));
        }
        let events = self.simulation.engine().events();
        events.drain().map(|event| event.kind).collect()
    }
}

fn pending<T: std::fmt::Debug>(poll: Poll<io::Result<T>>) {
    assert!(poll.is_pending(), "{poll:?}");
}

fn ready<T>(poll: Poll<io::Result<T>>) -> T {
    match poll {
        Poll::Ready(result) => result.unwrap(),
        Poll::Pending => panic!("pending"),
    }
}

/// F47, for tasks: each thing that a task waits for wakes it, once.
#[test]
fn every_wait_is_woken() {
    let mut harness = Harness::new();
    let mut file = harness.open(true);
    let task = Task::new();
    pending(file.poll_open(&mut task.cx()));
    assert_eq!(harness.settle(), []);
    assert_eq!(task.woken(), 1);
    ready(file.poll_open(&mut task.cx()));

    let mut buf = [0; 100];
    pending(file.poll_read(&mut task.cx(), &mut buf));
    pending(file.poll_read(&mut task.cx(), &mut buf));
    assert_eq!(harness.settle(), []);
    assert_eq!(task.woken(), 1, "polled twice, woken once");
    assert_eq!(ready(file.poll_read(&mut task.cx(), &mut buf)), 100);

    while let Poll::Ready(result) = file.poll_write(&mut task.cx(), &[1; 5000]) {
        assert!(result.unwrap() > 0);
    }
    assert_eq!(harness.settle(), []);
    assert_eq!(task.woken(), 1);
    assert!(ready(file.poll_write(&mut task.cx(), &[1; 5000])) > 0);

    pending(file.poll_flush(&mut task.cx()));
    assert_eq!(harness.settle(), []);
    assert_eq!(task.woken(), 1);
    ready(file.poll_flush(&mut task.cx()));

    let mark = file.sync().unwrap();
    pending(file.poll_sync(&mut task.cx(), mark));
    assert_eq!(harness.settle(), []);
    assert_eq!(task.woken(), 1);
    ready(file.poll_sync(&mut task.cx(), mark));

    pending(file.poll_close(&mut task.cx()));
    assert_eq!(harness.settle(), []);
    assert_eq!(task.woken(), 1);
    ready(file.poll_close(&mut task.cx()));
    ready(file.poll_close(&mut task.cx()));
}

/// Tasks beside the event queue: what happens once is reported to both, and a call that would block
/// is notified by the means by which it was made.
#[test]
fn an_ordinary_file_serves_tasks_and_the_queue() {
    let mut harness = Harness::new();
    let mut file = harness.open(false);
    let task = Task::new();
    pending(file.poll_open(&mut task.cx()));
    assert_eq!(harness.settle(), [EventKind::Opened]);
    assert_eq!(task.woken(), 1);

    pending(file.poll_read(&mut task.cx(), &mut [0; 10]));
    assert_eq!(harness.settle(), [], "the task waits, and no loop");
    assert_eq!(task.woken(), 1);
    file.set_position(50_000).unwrap();
    assert!(file.read(&mut [0; 10]).is_err());
    assert_eq!(harness.settle(), [EventKind::Readable]);
    assert_eq!(task.woken(), 0, "the loop waits, and no task");
    file.set_position(20_000).unwrap();
    assert!(file.read(&mut [0; 10]).is_err());
    pending(file.poll_read(&mut task.cx(), &mut [0; 10]));
    assert_eq!(harness.settle(), [EventKind::Readable]);
    assert_eq!(task.woken(), 1);

    pending(file.poll_close(&mut task.cx()));
    assert_eq!(harness.settle(), [EventKind::Closed { result: Ok(()) }]);
    assert_eq!(task.woken(), 1);
}

/// Two tasks at one file; one that finds bytes does not consume the other's wake-up.
#[test]
fn a_wake_up_reaches_the_task_that_waits() {
    let mut harness = Harness::new();
    let file = harness.open(true);
    harness.settle();
    let (one, two) = (Task::new(), Task::new());
    pending(file.poll_read(&mut one.cx(), &mut [0; 10]));
    pending(file.poll_read(&mut two.cx(), &mut [0; 10]));
    harness.settle();
    assert_eq!((one.woken(), two.woken()), (1, 1));
    file.set_position(10).unwrap();
    pending(file.poll_read(&mut one.cx(), &mut [0; 10]));
    file.write(b"bytes").unwrap();
    pending(file.poll_flush(&mut two.cx()));
    harness.settle();
    ready(file.poll_flush(&mut two.cx()));
    assert_eq!(two.woken(), 1);
    assert_eq!(one.woken(), 1, "the write ended what it waited for");
    pending(file.poll_read(&mut one.cx(), &mut [0; 10]));
    harness.settle();
    assert_eq!((one.woken(), two.woken()), (1, 0));
}

/// A close wakes every task that waits for the file.
#[test]
fn a_close_wakes_all() {
    let mut harness = Harness::new();
    let mut file = harness.open(true);
    let (one, two) = (Task::new(), Task::new());
    pending(file.poll_open(&mut one.cx()));
    pending(file.poll_read(&mut one.cx(), &mut [0; 10]));
    pending(file.poll_close(&mut two.cx()));
    harness.settle();
    assert_eq!((one.woken(), two.woken()), (2, 1));
    let Poll::Ready(Err(error)) = file.poll_read(&mut one.cx(), &mut [0; 10]) else {
        panic!()
    };
    assert_eq!(error.raw_os_error(), Some(libc::EBADF));
}

/// F53, for the code of a waker.
#[test]
fn a_panicking_waker_is_counted() {
    struct Bomb;
    impl Wake for Bomb {
        fn wake(self: Arc<Self>) {
            panic!("planned");
        }
    }
    let mut harness = Harness::new();
    let file = harness.open(true);
    let task = Task::new();
    let bomb = Waker::from(Arc::new(Bomb));
    pending(file.poll_open(&mut Context::from_waker(&bomb)));
    pending(file.poll_open(&mut task.cx()));
    harness.settle();
    assert_eq!(task.woken(), 1);
    assert_eq!(harness.simulation.engine().stats().callback_panics, 1);
}

/// The error of the file comes to each poll, and every wait ends.
#[test]
fn a_failure_wakes_all() {
    let mut harness = Harness::with(SimOptions {
        sync_errors: 1000,
        ..SimOptions::default()
    });
    let file = harness.open(true);
    harness.settle();
    file.write(b"bytes").unwrap();
    let task = Task::new();
    let mark = file.sync().unwrap();
    pending(file.poll_sync(&mut task.cx(), mark));
    assert_eq!(harness.settle(), []);
    assert_eq!(task.woken(), 1);
    for poll in [
        file.poll_sync(&mut task.cx(), mark),
        file.poll_flush(&mut task.cx()),
    ] {
        let Poll::Ready(Err(error)) = poll else {
            panic!("{poll:?}")
        };
        assert_eq!(error.raw_os_error(), Some(libc::EIO));
    }
}

/// Polls a future once, and drops it.
fn once<T>(task: &Task, future: impl Future<Output = io::Result<T>>) -> Poll<io::Result<T>> {
    pin!(future).poll(&mut task.cx())
}

/// F86: what a dropped seek found is put back to where the position is, not to where it was.
#[test]
fn a_dropped_seek_leaves_a_position_that_was_set_since() {
    let mut harness = Harness::new();
    let mut file = AsyncFile::from(harness.open(true));
    harness.settle();
    let task = Task::new();
    pending(once(&task, file.seek(SeekFrom::End(0))));
    harness.settle();
    file.get_ref().set_position(5).unwrap();
    assert_eq!(ready(once(&task, file.seek(SeekFrom::Current(2)))), 7);
}

/// F86, F89: the end that a dropped seek asked for is not that of a later one.
#[test]
fn a_seek_behind_an_append_does_not_use_the_end_that_a_dropped_one_found() {
    let mut harness = Harness::with(SimOptions {
        vague_sizes: true,
        ..SimOptions::default()
    });
    let options = OpenOptions::new().read(true).append(true).events(false);
    let file = harness.simulation.engine().open("/file", &options);
    let mut file = AsyncFile::from(file.unwrap());
    let task = Task::new();
    file.get_ref().write(b"one").unwrap();
    pending(once(&task, file.stream_position()));
    harness.settle();
    file.get_ref().write(b"two").unwrap();
    pending(once(&task, file.stream_position()));
    pending(once(&task, file.seek(SeekFrom::Current(-1))));
    harness.settle();
    let mut seek = pin!(file.seek(SeekFrom::Current(-1)));
    pending(seek.as_mut().poll(&mut task.cx()));
    harness.settle();
    assert_eq!(ready(seek.as_mut().poll(&mut task.cx())), 100_005);
    file.get_ref().write(b"three").unwrap();
    assert_eq!(ready(once(&task, file.seek(SeekFrom::Start(7)))), 7);
}

/// F86: a flush, or a seek of futures, does not go on with a dropped one from before a write.
#[test]
fn a_dropped_flush_does_not_answer_a_later_one() {
    let mut harness = Harness::new();
    let mut file = AsyncFile::from(harness.open(true));
    let (one, two) = (Task::new(), Task::new());
    harness.settle();
    file.get_ref().write(b"one").unwrap();
    pending(once(&one, file.flush()));
    harness.settle();
    assert_eq!(ready(once(&two, file.write(b"two"))), 3);
    pending(once(&one, file.flush()));
    harness.settle();
    file.get_ref().write(b"three").unwrap();
    pending(once(&one, file.flush()));
    harness.settle();
    ready(once(&one, file.flush()));

    let end = |file: &mut AsyncFile| {
        let file = Pin::new(file);
        futures_io::AsyncSeek::poll_seek(file, &mut one.cx(), SeekFrom::End(0))
    };
    pending(end(&mut file));
    harness.settle();
    file.get_ref().set_len(10).unwrap();
    pending(end(&mut file));
    harness.settle();
    assert_eq!(ready(end(&mut file)), 10);
}

/// F86: the length that a dropped seek asked for is not that after a truncation.
#[test]
fn a_truncation_voids_what_was_asked_before() {
    let mut harness = Harness::new();
    let mut file = AsyncFile::from(harness.open(true));
    let task = Task::new();
    harness.settle();
    pending(once(&task, file.seek(SeekFrom::End(0))));
    harness.settle();
    file.get_ref().set_len(10).unwrap();
    pending(file.get_ref().poll_len(&mut task.cx()));
    harness.settle();
    assert_eq!(ready(file.get_ref().poll_len(&mut task.cx())), 10);
}
