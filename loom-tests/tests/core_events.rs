//! The queue of events and its signal: once a consumer found the queue empty, the next event raises
//! the signal, for waiters that see its level and for waiters that consume its edges (F82). The
//! signal is a loom word instead of an eventfd.
#![cfg(loom)]

mod core_engine;

use core_engine::check;
use efio_core::model::{Signal, SignalledQueue};
use efio_sync::Alarm;
use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;

/// The kernel's state of an eventfd and of the one epoll set that it is in.
#[derive(Default)]
struct State {
    /// It can be read.
    up: bool,
    /// It was written since the set last returned it.
    edge: bool,
}

/// An eventfd and its waiter.
#[derive(Default)]
struct Descriptor {
    state: Mutex<State>,
    rises: Condvar,
}

impl Descriptor {
    fn is_up(&self) -> bool {
        self.state.lock().unwrap().up
    }

    fn wait(&self, mut is_ready: impl FnMut(&mut State) -> bool) {
        let mut state = self.state.lock().unwrap();
        while !is_ready(&mut state) {
            state = self.rises.wait(state).unwrap();
        }
    }
}

impl Alarm for Descriptor {
    fn wake(&self) {
        *self.state.lock().unwrap() = State {
            up: true,
            edge: true,
        };
        self.rises.notify_all();
    }
}

impl Signal for Descriptor {
    fn clear(&self) {
        self.state.lock().unwrap().up = false;
    }
}

/// How a waiter waits, without a timeout.
trait Wait: 'static {
    fn wait(signal: &Descriptor);
    /// Before it waits again.
    fn again() {}
}

/// poll(2), and epoll(7) without EPOLLET.
struct Level;

impl Wait for Level {
    fn wait(signal: &Descriptor) {
        signal.wait(|state| state.up);
    }

    fn again() {
        // The signal may have been up already while its push was still in progress.
        thread::yield_now();
    }
}

/// epoll(7) with EPOLLET: each write is reported once, if the descriptor can still be read by then.
struct Edge;

impl Wait for Edge {
    fn wait(signal: &Descriptor) {
        signal.wait(|state| std::mem::take(&mut state.edge) && state.up);
    }
}

type Queue = SignalledQueue<u32, Descriptor>;

fn queue() -> Arc<Queue> {
    Arc::new(SignalledQueue::new(Descriptor::default()))
}

/// Waits, then takes events until the queue is empty; again until it has taken `count`.
fn take<W: Wait>(queue: &Queue, count: usize) -> Vec<u32> {
    let mut taken = vec![];
    while taken.len() < count {
        W::wait(queue.signal());
        while let Some(event) = queue.next() {
            taken.push(event);
        }
        W::again();
    }
    taken
}

fn one_waiter<W: Wait>(events: u32) {
    let queue = queue();
    let driver = {
        let queue = queue.clone();
        thread::spawn(move || (0..events).for_each(|event| queue.push(event)))
    };
    let taken = take::<W>(&queue, events as usize);
    assert!(taken.into_iter().eq(0..events));
    driver.join().unwrap();
    assert_eq!(queue.next(), None);
    assert!(!queue.signal().is_up());
}

#[test]
fn a_poll_of_an_empty_queue_returns_at_the_next_event() {
    check(3, || one_waiter::<Level>(2));
}

/// F82.
#[test]
fn an_edge_follows_each_event_after_an_empty_queue() {
    check(3, || one_waiter::<Edge>(2));
    check(2, || one_waiter::<Edge>(3));
}

/// For example the driver and a thread that closes.
fn two_pushers<W: Wait>() {
    let queue = queue();
    let pushers = [1, 2].map(|event| {
        let queue = queue.clone();
        thread::spawn(move || queue.push(event))
    });
    let mut taken = take::<W>(&queue, 2);
    taken.sort_unstable();
    assert_eq!(taken, [1, 2]);
    pushers
        .into_iter()
        .for_each(|pusher| pusher.join().unwrap());
    assert_eq!(queue.next(), None);
    assert!(!queue.signal().is_up());
}

#[test]
fn events_of_two_pushers_raise_the_signal() {
    check(2, two_pushers::<Level>);
}

/// F82.
#[test]
fn events_of_two_pushers_raise_edges() {
    check(2, two_pushers::<Edge>);
}

/// F82: one thread takes events without waiting, while another waits for edges and has to get the
/// later events.
#[test]
fn an_edge_follows_despite_a_taker_that_does_not_wait() {
    check(1, || {
        let queue = queue();
        let driver = {
            let queue = queue.clone();
            thread::spawn(move || queue.push(0))
        };
        let other = {
            let queue = queue.clone();
            thread::spawn(move || {
                let took = queue.next().is_some();
                queue.push(1);
                took
            })
        };
        let mut taken = take::<Edge>(&queue, 1);
        driver.join().unwrap();
        let took = other.join().unwrap();
        let left = 2 - usize::from(took) - taken.len();
        taken.extend(take::<Edge>(&queue, left));
        assert_eq!(queue.next(), None);
        assert!(!queue.signal().is_up());
    });
}

/// Each event goes to one of them, and an event that neither took keeps the signal up.
fn two_takers(events: u32) {
    let queue = queue();
    queue.push(1);
    let taker = {
        let queue = queue.clone();
        thread::spawn(move || queue.next().into_iter().chain(queue.next()).count())
    };
    let driver = {
        let queue = queue.clone();
        thread::spawn(move || (1..events).for_each(|event| queue.push(event + 1)))
    };
    let mut taken = queue.next().into_iter().chain(queue.next()).count();
    taken += taker.join().unwrap();
    driver.join().unwrap();
    if taken < events as usize {
        assert!(
            queue.signal().is_up(),
            "an event is pending and the signal is down"
        );
    }
    taken += std::iter::from_fn(|| queue.next()).count();
    assert_eq!(taken, events as usize);
    assert!(!queue.signal().is_up());
}

#[test]
fn two_takers_leave_no_event_unsignalled() {
    check(2, || two_takers(2));
}

/// The thread that takes the signal down takes one event and leaves another.
#[test]
fn a_taker_that_leaves_an_event_raises_the_signal_again() {
    check(2, || two_takers(3));
}
