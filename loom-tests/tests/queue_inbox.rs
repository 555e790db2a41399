//! The inbox: queue, doorbell and the count of senders together.
#![cfg(loom)]

#[allow(
    dead_code,
    reason = "the models of both queues; here only `check` is used"
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

/// Wakes a task by letting the thread go on that runs it.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Sends from a thread of its own; the sender is dropped there.
fn send<A: Alarm + 'static>(sender: Sender<u32, Queue, A>, item: u32) {
    thread::spawn(move || sender.send(item).unwrap());
}

/// While a sender is left no close comes to ring: the sends alone wake the receiver.
#[test]
fn a_sleeper_hears_of_an_item() {
    check(|| {
        let (sender, mut receiver) = inbox::new(Queue::with_slots(), Parker::new());
        send(sender.clone(), 1);
        assert_eq!(receiver.recv(), Some(1));
        drop(sender);
    });
}

/// The same for a batch.
#[test]
fn a_sleeper_hears_of_a_batch() {
    check(|| {
        let (sender, mut receiver) = inbox::new(Queue::with_slots(), Parker::new());
        let sending = sender.clone();
        thread::spawn(move || sending.send_batch(&mut vec![1, 2]).unwrap());
        assert_eq!(receiver.recv(), Some(1));
        assert_eq!(receiver.recv(), Some(2));
        drop(sender);
    });
}

/// A receiver that sleeps gets both items, and hears that the last sender is gone.
#[test]
fn a_sleeper_hears_of_items_and_of_the_end() {
    check(|| {
        let (sender, mut receiver) = inbox::new(Queue::with_slots(), Parker::new());
        send(sender.clone(), 1);
        send(sender, 2);
        let mut seen: Vec<u32> = std::iter::from_fn(|| receiver.recv()).collect();
        seen.sort_unstable();
        assert_eq!(seen, [1, 2]);
    });
}

/// The same for a task: who finds it asleep finds its waker.
#[test]
fn a_task_hears_of_items_and_of_the_end() {
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

/// What one sender sent before it was dropped is not refused by the close of the other.
#[test]
fn the_last_sender_closes_behind_the_items_of_all() {
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

/// A receiver that leaves: a send is refused with its value, or accepted and dropped with the inbox.
#[test]
fn a_receiver_that_leaves_refuses_what_comes_later() {
    check(|| {
        let (sender, receiver) = inbox::new(Queue::with_slots(), WakerSlot::new());
        let leaving = thread::spawn(move || drop(receiver));
        if let Err(refused) = sender.send(7) {
            assert!(refused.is_closed());
            assert_eq!(refused.into_inner(), 7);
        }
        leaving.join().unwrap();
        assert!(sender.send(8).is_err());
    });
}
