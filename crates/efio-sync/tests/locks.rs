//! Each lock under real threads: no increment is lost, and custody means what it says.

use std::num::NonZeroU32;
use std::thread;

use efio_sync::{CasCell, CasLock, SpinLock};

const THREADS: u32 = 4;
const TURNS: u32 = 20_000;

fn tag(tag: u32) -> NonZeroU32 {
    NonZeroU32::new(tag).unwrap()
}

/// Runs `turn` on several threads; each gets its number, from 1.
fn on_threads(turn: impl Fn(u32) + Sync) {
    thread::scope(|scope| {
        for number in 1..=THREADS {
            let turn = &turn;
            scope.spawn(move || (0..TURNS).for_each(|_| turn(number)));
        }
    });
}

#[test]
fn spin_lock_loses_no_increment() {
    static COUNT: SpinLock<u32> = SpinLock::new(0);
    on_threads(|_| COUNT.with(|count| *count += 1));
    assert_eq!(*COUNT.lock(), THREADS * TURNS);
}

#[test]
fn spin_lock_try_lock_fails_while_held() {
    let mut lock = SpinLock::new(1);
    let guard = lock.lock();
    assert!(lock.is_locked());
    assert!(lock.try_lock().is_none());
    drop(guard);
    *lock.try_lock().unwrap() += 1;
    *lock.get_mut() += 1;
    assert_eq!(lock.into_inner(), 3);
}

#[test]
fn spin_lock_opens_when_its_holder_panics() {
    let lock = SpinLock::new(());
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        lock.with(|()| std::panic::resume_unwind(Box::new(())))
    }));
    assert!(panicked.is_err());
    assert!(lock.try_lock().is_some());
}

#[test]
fn cas_cell_loses_no_increment() {
    static COUNT: CasCell<u32> = CasCell::new(0);
    on_threads(|number| *COUNT.acquire(tag(number)) += 1);
    assert_eq!(*COUNT.acquire(tag(1)), THREADS * TURNS);
}

#[test]
fn cas_lock_names_its_holder() {
    let lock = CasLock::new();
    assert_eq!(lock.holder(), None);
    let guard = lock.try_acquire(tag(7)).unwrap();
    assert_eq!(guard.tag(), tag(7));
    assert_eq!(lock.holder(), Some(tag(7)));
    assert_eq!(lock.try_acquire(tag(8)).unwrap_err(), tag(7));
    drop(guard);
    assert_eq!(lock.holder(), None);
}

#[test]
fn handed_over_custody_is_adopted_once() {
    let cell = CasCell::new(1);
    let mut guard = cell.acquire(tag(1));
    *guard += 1;
    guard.hand_over(tag(2));
    assert_eq!(cell.holder(), Some(tag(2)));
    assert_eq!(cell.try_acquire(tag(3)).unwrap_err(), tag(2));
    assert!(cell.adopt(tag(1)).is_none());
    assert_eq!(
        cell.holder(),
        Some(tag(2)),
        "a failed adoption changes nothing"
    );
    let adopted = cell.adopt(tag(2)).unwrap();
    assert_eq!(*adopted, 2);
    assert!(cell.adopt(tag(2)).is_none());
    drop(adopted);
    assert_eq!(cell.holder(), None);
}

#[test]
fn cas_lock_waiters_sleep_and_are_woken() {
    let lock = CasLock::new();
    for _ in 0..200 {
        let guard = lock.acquire(tag(9));
        thread::scope(|scope| {
            for number in 1..=3 {
                let lock = &lock;
                scope.spawn(move || drop(lock.acquire(tag(number))));
            }
            // Long enough for some of them to spin out and sleep.
            (0..20).for_each(|_| thread::yield_now());
            drop(guard);
        });
    }
}
