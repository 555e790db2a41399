//! The inbox: queue, doorbell and the count of senders together.
#![cfg(loom)]

#[allow(
    dead_code,
    reason = "the models of both queues; only `check` is used here"
)]
mod queue;

use efio_queue::SegQueue;
use efio_queue::inbox::{self, Sender, WakerSlot};
use efio_sync::{Alarm, Parker};
use loom::thread::{self, Thread};
use queue::check;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

type Queue = SegQueue<u32, 2>;

/// Wakes a task by unparking the thread that runs it.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Sends from a thread of its own, which drops the sender.
fn send<A: Alarm + 'static>(sender: Sender<u32, Queue, A>, item: u32) {
    thread::spawn(move || sender.send(item).unwrap());
}

/// While a sender is left no close notifies: only the sends wake the receiver.
#[test]
fn an_item_wakes_the_sleeper() {
    check(|| {
        let (sender, mut receiver) = inbox::new(Queue::with_slots(), Parker::new());
        send(sender.clone(), 1);
        assert_eq!(receiver.recv(), Some(1));
        drop(sender);
    });
}

/// The same for a batch.
#[test]
fn a_batch_wakes_the_sleeper() {
    check(|| {
        let (sender, mut receiver) = inbox::new(Queue::with_slots(), Parker::new());
        let sending = sender.clone();
        thread::spawn(move || sending.send_batch(&mut vec![1, 2]).unwrap());
        assert_eq!(receiver.recv(), Some(1));
        assert_eq!(receiver.recv(), Some(2));
        drop(sender);
    });
}

/// A receiver that sleeps gets both items, and returns `None` once the last sender is gone.
#[test]
fn items_and_the_end_wake_the_sleeper() {
    check(|| {
        let (sender, mut receiver) = inbox::new(Queue::with_slots(), Parker::new());
        send(sender.clone(), 1);
        send(sender, 2);
        let mut seen: Vec<u32> = std::iter::from_fn(|| receiver.recv()).collect();
        seen.sort_unstable();
        assert_eq!(seen, [1, 2]);
    });
}

/// The same for a task: a sender that finds it asleep finds its waker.
#[test]
fn items_and_the_end_wake_the_task() {
    check(|| {
        let (sender, mut receiver) = inbox::new(Queue::with_slots(), WakerSlot::new());
        send(sender.clone(), 1);
        send(sender, 2);
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        let mut context = Context::from_waker(&waker);
        let mut seen = vec![];
        loop {
            match receiver.poll_recv(&mut context) {
                Poll::Ready(Some(item)) => seen.push(item),
                Poll::Ready(None) => break,
                Poll::Pending => thread::park(),
            }
        }
        seen.sort_unstable();
        assert_eq!(seen, [1, 2]);
    });
}

/// The drop of one sender does not refuse what another sent before its own drop.
#[test]
fn the_last_sender_closes_after_the_items_of_all() {
    check(|| {
        let (sender, mut receiver) = inbox::new(Queue::with_slots(), WakerSlot::new());
        let other = sender.clone();
        let first = thread::spawn(move || sender.send(1).unwrap());
        other.send(2).unwrap();
        drop(other);
        first.join().unwrap();
        assert!(receiver.queue().is_closed());
        let mut seen = vec![];
        receiver.try_recv_batch(&mut seen, 3);
        seen.sort_unstable();
        assert_eq!(seen, [1, 2]);
    });
}

/// The receiver is dropped: a send returns its value, or its item is dropped with the inbox.
#[test]
fn a_dropped_receiver_refuses_later_sends() {
    check(|| {
        let (sender, receiver) = inbox::new(Queue::with_slots(), WakerSlot::new());
        let dropping = thread::spawn(move || drop(receiver));
        if let Err(refused) = sender.send(7) {
            assert!(refused.is_closed());
            assert_eq!(refused.into_inner(), 7);
        }
        dropping.join().unwrap();
        assert!(sender.send(8).is_err());
    });
}
