//! Each lock under real threads: no increment is lost, and only its holder uses the data.

use std::mem;
use std::num::NonZeroU32;
use std::pin::pin;
use std::thread;

use efio_sync::{CasCell, CasLock, McsLock, McsNode, RwSpinLock, SpinLock};

const THREADS: u32 = 4;
const TURNS: u32 = if cfg!(miri) { 5 } else { 20_000 };

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
fn a_lock_that_is_handed_over_is_adopted_once() {
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
    for _ in 0..if cfg!(miri) { 3 } else { 200 } {
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

#[test]
fn mcs_lock_loses_no_increment() {
    static COUNT: McsLock<u32> = McsLock::new(0);
    on_threads(|_| COUNT.with(|count| *count += 1));
    COUNT.with(|count| assert_eq!(*count, THREADS * TURNS));
}

#[test]
fn mcs_lock_try_lock_fails_while_held() {
    let lock = McsLock::new(1);
    let mut node = pin!(McsNode::new());
    let mut other = pin!(McsNode::new());
    let guard = lock.lock(node.as_mut());
    assert!(lock.is_locked() && !guard.has_waiter());
    assert!(lock.try_lock(other.as_mut()).is_none());
    drop(guard);
    assert!(lock.try_lock(other.as_mut()).is_some());
    assert!(
        lock.try_lock(node.as_mut()).is_some(),
        "a node is used again"
    );
}

#[test]
fn mcs_guard_that_is_leaked_opens_with_its_node() {
    let lock = McsLock::new(0);
    {
        let node = pin!(McsNode::new());
        mem::forget(lock.lock(node));
        assert!(lock.is_locked());
    }
    assert!(!lock.is_locked());

    let mut node = pin!(McsNode::new());
    mem::forget(lock.lock(node.as_mut()));
    let mut guard = lock.lock(node.as_mut());
    *guard += 1;
}

#[test]
fn mcs_guard_that_is_leaked_lets_the_next_one_in() {
    let lock = McsLock::new(0);
    thread::scope(|scope| {
        let node = pin!(McsNode::new());
        let mut guard = lock.lock(node);
        let waiter = scope.spawn(|| lock.with(|count| *count += 1));
        while !guard.has_waiter() {
            thread::yield_now();
        }
        *guard += 1;
        mem::forget(guard);
        assert!(!waiter.is_finished());
    });
    lock.with(|count| assert_eq!(*count, 2));
}

/// A thread that waits when the holder releases the lock gets it before the holder does again.
#[test]
fn mcs_lock_is_first_come_first_served() {
    let lock = McsLock::new(0);
    for round in 1..=200 {
        thread::scope(|scope| {
            let mut node = pin!(McsNode::new());
            let guard = lock.lock(node.as_mut());
            scope.spawn(|| lock.with(|served| *served += 1));
            while !guard.has_waiter() {
                thread::yield_now();
            }
            drop(guard);
            assert_eq!(*lock.lock(node.as_mut()), round, "overtaken");
        });
    }
}

#[test]
fn rw_spin_lock_loses_no_increment_and_no_reader_sees_a_half() {
    static PAIR: RwSpinLock<(u32, u32)> = RwSpinLock::new((0, 0));
    on_threads(|number| match number {
        1 => {
            let mut pair = PAIR.write();
            pair.0 += 1;
            pair.1 += 1;
        }
        2 => {
            let pair = PAIR.upgradable_read();
            let seen = *pair;
            let mut pair = pair.upgrade();
            assert_eq!(*pair, seen);
            *pair = (seen.0 + 1, seen.1 + 1);
            let pair = pair.downgrade();
            assert_eq!(pair.0, seen.0 + 1);
        }
        _ => {
            let pair = PAIR.read();
            assert_eq!(pair.0, pair.1);
        }
    });
    assert_eq!(*PAIR.read(), (2 * TURNS, 2 * TURNS));
}

#[test]
fn rw_spin_lock_follows_its_table() {
    let lock = RwSpinLock::new(());
    let read = lock.read();
    assert!(lock.try_read().is_some());
    assert!(lock.try_write().is_none());
    let upgradable = lock.try_upgradable_read().unwrap();
    assert!(lock.try_upgradable_read().is_none());
    assert!(lock.try_read().is_some());
    let upgradable = upgradable.try_upgrade().unwrap_err();
    drop(read);
    let write = upgradable.try_upgrade().unwrap();
    assert!(lock.try_read().is_none());
    assert!(lock.try_upgradable_read().is_none());
    let upgradable = write.downgrade_to_upgradable();
    assert!(lock.try_read().is_some());
    assert!(lock.try_write().is_none());
    let read = upgradable.downgrade();
    assert!(lock.try_upgradable_read().is_some());
    drop(read);
    let read = lock.try_write().unwrap().downgrade();
    assert!(lock.try_read().is_some());
    assert!(lock.try_write().is_none());
    drop(read);
    assert!(lock.try_write().is_some());
}

/// Readers that overlap all the time would starve a writer for whom they are not held back.
#[test]
fn rw_spin_lock_writer_gets_in_between_endless_readers() {
    let lock = RwSpinLock::new(false);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| while !*lock.read() {});
        }
        *lock.write() = true;
    });
}
