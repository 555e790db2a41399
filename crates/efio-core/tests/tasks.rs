//! Files used by tasks, polled by hand: which task is woken, and which event goes to the queue.

mod common;

use efio_core::sim::{Config, Simulation};
use efio_core::{EventKind, File, OpenOptions, SimOptions};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

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
