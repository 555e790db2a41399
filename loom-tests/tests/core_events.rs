//! The queue of events and its level: a look that found nothing is followed by a raised signal when
//! something comes. The signal is a loom word instead of an eventfd.
#![cfg(loom)]

mod core_engine;

use core_engine::check;
use efio_core::model::{Signal, SignalledQueue};
use efio_sync::Alarm;
use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;

/// What poll would see of an eventfd.
struct Level {
    up: Mutex<bool>,
    rises: Condvar,
}

impl Level {
    fn new() -> Self {
        Self {
            up: Mutex::new(false),
            rises: Condvar::new(),
        }
    }

    fn is_up(&self) -> bool {
        *self.up.lock().unwrap()
    }

    /// A poll without a timeout.
    fn poll(&self) {
        let mut up = self.up.lock().unwrap();
        while !*up {
            up = self.rises.wait(up).unwrap();
        }
    }
}

impl Alarm for Level {
    fn wake(&self) {
        *self.up.lock().unwrap() = true;
        self.rises.notify_all();
    }
}

impl Signal for Level {
    fn clear(&self) {
        *self.up.lock().unwrap() = false;
    }
}

type Queue = SignalledQueue<u32, Level>;

fn queue() -> Arc<Queue> {
    Arc::new(SignalledQueue::new(Level::new()))
}

/// Polls and takes until `count` events came.
fn take(queue: &Queue, count: usize) -> Vec<u32> {
    let mut taken = vec![];
    while taken.len() < count {
        queue.signal().poll();
        while let Some(event) = queue.next() {
            taken.push(event);
        }
        // The signal may have been up already while its push was still under way.
        thread::yield_now();
    }
    taken
}

#[test]
fn a_poll_after_an_empty_look_hears_of_the_next_event() {
    check(3, || {
        let queue = queue();
        let driver = {
            let queue = queue.clone();
            thread::spawn(move || {
                queue.push(1);
                queue.push(2);
            })
        };
        assert_eq!(take(&queue, 2), [1, 2]);
        driver.join().unwrap();
        assert_eq!(queue.next(), None);
        assert!(!queue.signal().is_up());
    });
}

/// A driver and a closing thread, say.
#[test]
fn events_of_two_pushers_are_heard_of() {
    check(2, || {
        let queue = queue();
        let pushers = [1, 2].map(|event| {
            let queue = queue.clone();
            thread::spawn(move || queue.push(event))
        });
        let mut taken = take(&queue, 2);
        taken.sort_unstable();
        assert_eq!(taken, [1, 2]);
        pushers
            .into_iter()
            .for_each(|pusher| pusher.join().unwrap());
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
