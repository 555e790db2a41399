//! The queue of events and its signal: a look that found nothing is followed by a raised signal when
//! something comes, for waiters that see its level and for waiters that consume its edges (F82). The
//! signal is a loom word instead of an eventfd.
#![cfg(loom)]

mod core_engine;

use core_engine::check;
use efio_core::model::{Signal, SignalledQueue};
use efio_sync::Alarm;
use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;

/// What the kernel knows of an eventfd and of the one epoll set that it is in.
#[derive(Default)]
struct State {
    /// It can be read.
    up: bool,
    /// It was written since the set last told of it.
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

    fn wait(&self, mut is_told: impl FnMut(&mut State) -> bool) {
        let mut state = self.state.lock().unwrap();
        while !is_told(&mut state) {
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

/// epoll(7) with EPOLLET: each write is told once, if the descriptor can still be read by then.
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

/// Waits, then takes until there is none, until `count` events came.
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
fn a_poll_after_an_empty_look_hears_of_the_next_event() {
    check(3, || one_waiter::<Level>(2));
}

/// F82.
#[test]
fn an_edge_follows_each_empty_look_that_an_event_follows() {
    check(3, || one_waiter::<Edge>(2));
    check(2, || one_waiter::<Edge>(3));
}

/// A driver and a closing thread, say.
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
fn events_of_two_pushers_are_heard_of() {
    check(2, two_pushers::<Level>);
}

/// F82.
#[test]
fn events_of_two_pushers_are_heard_of_by_their_edges() {
    check(2, two_pushers::<Edge>);
}

/// A thread that takes what it finds, beside the one that waits for edges and has to get what comes
/// later. F82.
#[test]
fn an_edge_follows_beside_a_taker_that_does_not_wait() {
    check(1, || {
        let queue = queue();
        let driver = {
            let queue = queue.clone();
            thread::spawn(move || queue.push(0))
        };
        let passer = {
            let queue = queue.clone();
            thread::spawn(move || {
                let passed = queue.next().is_some();
                queue.push(1);
                passed
            })
        };
        let mut taken = take::<Edge>(&queue, 1);
        driver.join().unwrap();
        let passed = passer.join().unwrap();
        let left = 2 - usize::from(passed) - taken.len();
        taken.extend(take::<Edge>(&queue, left));
        assert_eq!(queue.next(), None);
        assert!(!queue.signal().is_up());
    });
}

/// Each event goes to one of them, and what neither took keeps the signal up.
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
            "an event waits and nobody hears of it"
        );
    }
    taken += std::iter::from_fn(|| queue.next()).count();
    assert_eq!(taken, events as usize);
    assert!(!queue.signal().is_up());
}

#[test]
fn two_takers_leave_nothing_unheard() {
    check(2, || two_takers(2));
}

/// The one who takes the signal down finds one event and leaves another.
#[test]
fn who_takes_the_signal_down_and_leaves_an_event_raises_it() {
    check(2, || two_takers(3));
}
