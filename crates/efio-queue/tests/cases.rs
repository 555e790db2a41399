//! Faults that were found by use, each as the program that showed it. Some show under Miri alone
//! (`.ci/miri`).

use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Wake, Waker};
use std::thread;

use efio_queue::inbox::{self, WakerSlot};
use efio_queue::{MsQueue, Queue, SegQueue};
use efio_sync::Parker;

/// A value is popped and dropped by another thread before the push that linked it has returned.
#[test]
fn ms_values_leave_during_their_push() {
    const ITEMS: u64 = 20;
    let queue = MsQueue::<Box<u64>>::new();
    thread::scope(|scope| {
        for producer in 0..3u64 {
            let queue = &queue;
            scope.spawn(move || {
                (0..ITEMS).for_each(|item| queue.push(Box::new(producer << 32 | item)).unwrap());
            });
        }
        for _ in 0..2 {
            scope.spawn(|| {
                let (mut got, mut out) = (0, vec![]);
                while got < ITEMS {
                    out.clear();
                    got += queue.pop_batch(&mut out, 50) as u64;
                    if queue.is_empty() {
                        thread::yield_now();
                        got += 1;
                    }
                }
            });
        }
    });
}

/// The smallest: two segments, one of them retired through the pool.
#[test]
fn seg_segments_are_freed() {
    let queue = SegQueue::<u8, 1>::with_slots();
    queue.push(1).unwrap();
    queue.push(2).unwrap();
    assert_eq!(queue.pop(), Some(1));
    drop(queue);

    let mut queue = SegQueue::<u8, 1>::with_slots();
    for item in 0..3 {
        queue.push(item).unwrap();
        assert_eq!(queue.pop(), Some(item));
    }
    queue.shrink_to_fit();
    queue.push(3).unwrap();
    assert_eq!(queue.pop_mut(), Some(3));
}

/// F81: a request carries the sender of its reply. The server leaves with the request in its inbox;
/// the client, which keeps its end of the inbox, must be notified that there will be no reply.
#[test]
fn a_receiver_that_leaves_drops_the_messages() {
    fn check(queue: impl Queue<mpsc::Sender<u8>>) {
        let (sender, receiver) = inbox::new(queue, Parker::new());
        let (reply, answer) = mpsc::channel();
        sender.send(reply.clone()).unwrap();
        sender.send(reply).unwrap();
        drop(receiver);
        assert_eq!(answer.try_recv(), Err(mpsc::TryRecvError::Disconnected));
        drop(sender);
    }
    check(SegQueue::new());
    check(MsQueue::new());
}

/// A message that owns a sender of the inbox it is in, and sends when it is dropped.
struct Last(Option<Sender>);
type Sender = inbox::Sender<Last, SegQueue<Last>, Parker>;

impl Drop for Last {
    fn drop(&mut self) {
        if let Some(sender) = self.0.take() {
            assert!(
                sender
                    .send(Last(None))
                    .is_err_and(|error| error.is_closed())
            );
        }
    }
}

/// F81: what is dropped calls back.
#[test]
fn a_message_may_send_when_it_is_dropped() {
    let (sender, receiver) = inbox::new(SegQueue::new(), Parker::new());
    sender.send(Last(Some(sender.clone()))).unwrap();
    drop(receiver);
    assert!(sender.queue().is_empty());
}

/// A task that owns the sending end of the inbox that it was woken for.
struct Owner {
    _sender: Mutex<Option<inbox::Sender<u8, SegQueue<u8>, WakerSlot>>>,
}

impl Wake for Owner {
    fn wake(self: Arc<Self>) {}
}

/// F81: the waker that is replaced is the last owner of the other end, whose drop wakes.
#[test]
fn a_replaced_waker_may_own_the_sender() {
    let (sender, mut receiver) = inbox::new(SegQueue::new(), WakerSlot::new());
    let first = Waker::from(Arc::new(Owner {
        _sender: Mutex::new(Some(sender)),
    }));
    assert!(
        receiver
            .poll_recv(&mut Context::from_waker(&first))
            .is_pending()
    );
    drop(first);
    let second = Waker::from(Arc::new(Owner {
        _sender: Mutex::new(None),
    }));
    let mut context = Context::from_waker(&second);
    while receiver.poll_recv(&mut context).is_pending() {}
}
