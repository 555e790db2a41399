//! `CasLock` and `CasCell`: mutual exclusion, publication, sleeping waiters, hand-over.
//!
//! Under loom a waiter goes to sleep at once, so that every contended schedule runs through the
//! event count; a lost wake-up is a deadlock, which loom reports.
#![cfg(loom)]

use std::num::NonZeroU32;

use efio_sync::CasCell;
use loom::sync::Arc;
use loom::thread;

fn model(preemptions: usize, run: impl Fn() + Sync + Send + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(preemptions);
    model.check(run);
}

fn tag(tag: u32) -> NonZeroU32 {
    NonZeroU32::new(tag).unwrap()
}

#[test]
fn one_at_a_time_and_sleepers_are_woken() {
    model(3, || {
        let cell = Arc::new(CasCell::new(0));
        let other = {
            let cell = Arc::clone(&cell);
            thread::spawn(move || *cell.acquire(tag(1)) += 1)
        };
        *cell.acquire(tag(2)) += 1;
        other.join().unwrap();
        assert_eq!(*cell.acquire(tag(3)), 2);
    });
}

/// Two threads may sleep at a time: a wake that is meant for one must not be lost on the other.
#[test]
fn two_sleepers_are_both_woken() {
    model(2, || {
        let cell = Arc::new(CasCell::new(0));
        let others = [1, 2].map(|number| {
            let cell = Arc::clone(&cell);
            thread::spawn(move || *cell.acquire(tag(number)) += 1)
        });
        *cell.acquire(tag(3)) += 1;
        for other in others {
            other.join().unwrap();
        }
        assert_eq!(*cell.acquire(tag(4)), 3);
    });
}

/// A holder that returns takes the lock again before the sleeper does.
#[test]
fn a_barging_holder_wakes_the_sleeper_too() {
    model(3, || {
        let cell = Arc::new(CasCell::new(0));
        let other = {
            let cell = Arc::clone(&cell);
            thread::spawn(move || *cell.acquire(tag(1)) += 1)
        };
        for _ in 0..2 {
            *cell.acquire(tag(2)) += 1;
        }
        other.join().unwrap();
        assert_eq!(*cell.acquire(tag(3)), 3);
    });
}

#[test]
fn try_acquire_publishes() {
    model(3, || {
        let cell = Arc::new(CasCell::new(0));
        let other = {
            let cell = Arc::clone(&cell);
            thread::spawn(move || {
                cell.try_acquire(tag(1))
                    .map(|mut value| *value += 1)
                    .is_ok()
            })
        };
        let mine = match cell.try_acquire(tag(2)) {
            Ok(mut value) => {
                *value += 1;
                true
            }
            Err(holder) => {
                assert_eq!(holder, tag(1));
                false
            }
        };
        let theirs = other.join().unwrap();
        assert_eq!(
            *cell.try_acquire(tag(3)).unwrap(),
            u32::from(mine) + u32::from(theirs)
        );
    });
}

/// The lock passes from 1 to 2 with what 1 wrote, while 3 tries to take it in between.
#[test]
fn hand_over_leaves_no_gap() {
    model(3, || {
        let cell = Arc::new(CasCell::new(0));
        let mut guard = cell.try_acquire(tag(1)).unwrap();
        let adopter = {
            let cell = Arc::clone(&cell);
            thread::spawn(move || match cell.adopt(tag(2)) {
                Some(mut value) => {
                    assert_eq!(*value, 1);
                    *value = 2;
                    true
                }
                None => false,
            })
        };
        let intruder = {
            let cell = Arc::clone(&cell);
            thread::spawn(move || match cell.try_acquire(tag(3)) {
                Ok(value) => assert_eq!(*value, 2, "only after the adopter"),
                Err(holder) => assert!(holder == tag(1) || holder == tag(2)),
            })
        };
        *guard = 1;
        guard.hand_over(tag(2));
        intruder.join().unwrap();
        if !adopter.join().unwrap() {
            assert_eq!(*cell.adopt(tag(2)).unwrap(), 1);
        }
        assert_eq!(cell.holder(), None);
    });
}

/// Of two threads that adopt with the same tag, one gets the guard.
#[test]
fn a_lock_is_adopted_once() {
    model(3, || {
        let cell = Arc::new(CasCell::new(0));
        cell.try_acquire(tag(1)).unwrap().hand_over(tag(2));
        let adopt = |cell: &CasCell<i32>| cell.adopt(tag(2)).map(|mut value| *value += 1).is_some();
        let other = {
            let cell = Arc::clone(&cell);
            thread::spawn(move || adopt(&cell))
        };
        let mine = adopt(&cell);
        assert_ne!(mine, other.join().unwrap());
        assert_eq!(*cell.try_acquire(tag(3)).unwrap(), 1);
    });
}
