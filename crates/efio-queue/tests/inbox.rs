//! The receiver's side of an inbox: it wakes for each item, for the close, and in time.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

use efio_queue::inbox::{self, RecvTimeoutError, WakerSlot};
use efio_queue::{MsQueue, PushError, SegQueue};
use efio_sync::Parker;

/// Items of one sender.
const EACH: u64 = if cfg!(miri) { 20 } else { 10_000 };

#[test]
fn the_receiver_gets_everything_and_then_the_end() {
    let (sender, mut receiver) = inbox::new(SegQueue::new(), Parker::new());
    for producer in 0..3 {
        let sender = sender.clone();
        thread::spawn(move || {
            for item in 0..EACH {
                sender.send(producer * EACH + item).unwrap();
            }
            sender.send_batch(&mut vec![u64::MAX]).unwrap();
        });
    }
    drop(sender);
    let mut items = vec![];
    while let Some(item) = receiver.recv() {
        items.push(item);
    }
    items.sort_unstable();
    assert!(items.into_iter().eq((0..3 * EACH).chain([u64::MAX; 3])));
}

#[test]
fn ping_pong_sleeps_and_wakes() {
    let (there, mut here) = inbox::new(MsQueue::with_capacity(1), Parker::new());
    let (back, mut again) = inbox::new(SegQueue::new(), Parker::new());
    let echo = thread::spawn(move || {
        while let Some(item) = here.recv() {
            back.send(item).unwrap();
        }
    });
    for item in 0..EACH.min(1000) {
        there.send(item).unwrap();
        assert_eq!(again.recv(), Some(item));
    }
    drop(there);
    echo.join().unwrap();
    assert_eq!(again.recv(), None);
}

#[test]
fn a_timeout_ends_the_wait() {
    let (sender, mut receiver) = inbox::new(SegQueue::new(), Parker::new());
    let start = Instant::now();
    let timeout = Duration::from_millis(20);
    assert_eq!(
        receiver.recv_timeout(timeout),
        Err(RecvTimeoutError::Timeout)
    );
    assert!(start.elapsed() >= timeout);
    sender.send(1).unwrap();
    assert_eq!(receiver.recv_timeout(Duration::ZERO), Ok(1));
    assert_eq!(
        receiver.recv_timeout(Duration::ZERO),
        Err(RecvTimeoutError::Timeout)
    );
    assert!(sender.close());
    assert_eq!(
        receiver.recv_timeout(Duration::MAX),
        Err(RecvTimeoutError::Closed)
    );
}

#[test]
fn sends_are_refused_when_the_receiver_is_gone() {
    let (sender, receiver) = inbox::new(SegQueue::new(), Parker::new());
    drop(receiver);
    assert_eq!(sender.send(1), Err(PushError::Closed(1)));
}

/// Counts wake-ups, and unparks the thread that made it.
struct Task(AtomicUsize, thread::Thread);

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
        self.1.unpark();
    }
}

fn task() -> (Arc<Task>, Waker) {
    let task = Arc::new(Task(AtomicUsize::new(0), thread::current()));
    (task.clone(), task.into())
}

#[test]
fn a_pending_task_is_woken_once() {
    let (sender, mut receiver) = inbox::new(SegQueue::new(), WakerSlot::new());
    let (task, waker) = task();
    let mut context = Context::from_waker(&waker);
    assert_eq!(receiver.poll_recv(&mut context), Poll::Pending);
    assert_eq!(receiver.poll_recv(&mut context), Poll::Pending);
    sender.send(1).unwrap();
    sender.send(2).unwrap();
    assert_eq!(task.0.load(Ordering::SeqCst), 1);
    assert_eq!(receiver.poll_recv(&mut context), Poll::Ready(Some(1)));
    assert_eq!(receiver.poll_recv(&mut context), Poll::Ready(Some(2)));
    assert_eq!(receiver.poll_recv(&mut context), Poll::Pending);
    drop(sender);
    assert_eq!(task.0.load(Ordering::SeqCst), 2);
    assert_eq!(receiver.poll_recv(&mut context), Poll::Ready(None));
}

#[test]
fn a_task_gets_everything_from_other_threads() {
    let (sender, mut receiver) = inbox::new(SegQueue::new(), WakerSlot::new());
    let producers = [0, 1].map(|_| {
        let sender = sender.clone();
        thread::spawn(move || (1..=EACH).for_each(|item| sender.send(item).unwrap()))
    });
    drop(sender);
    let (_, waker) = task();
    let mut context = Context::from_waker(&waker);
    let mut sum = 0u64;
    loop {
        match pin!(receiver.recv_async()).poll(&mut context) {
            Poll::Ready(Some(item)) => sum += item,
            Poll::Ready(None) => break,
            Poll::Pending => thread::park(),
        }
    }
    assert_eq!(sum, EACH * (EACH + 1));
    producers
        .into_iter()
        .for_each(|producer| producer.join().unwrap());
}
