//! `RwSpinLock`: exclusion, publication both ways, progress of a waiting writer, upgrades and
//! downgrades.
#![cfg(loom)]

use efio_sync::RwSpinLock;
use loom::sync::Arc;
use loom::thread;

fn model(preemptions: usize, run: impl Fn() + Sync + Send + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(preemptions);
    model.check(run);
}

#[test]
fn writers_exclude_each_other() {
    model(3, || {
        let lock = Arc::new(RwSpinLock::new(0));
        let other = {
            let lock = Arc::clone(&lock);
            thread::spawn(move || *lock.write() += 1)
        };
        *lock.write() += 1;
        other.join().unwrap();
        assert_eq!(*lock.read(), 2);
    });
}

/// The writer must see that the readers are gone (loom checks that the reads happened before the
/// write), a reader must see all of the writer's work.
#[test]
fn a_reader_sees_all_or_nothing() {
    model(3, || {
        let lock = Arc::new(RwSpinLock::new((0, 0)));
        let reader = {
            let lock = Arc::clone(&lock);
            thread::spawn(move || {
                let pair = lock.read();
                assert_eq!(pair.0, pair.1);
            })
        };
        {
            let mut pair = lock.write();
            pair.0 = 1;
            pair.1 = 1;
        }
        reader.join().unwrap();
    });
}

/// The two readers' releases are one release sequence: the writer acquires from both.
#[test]
fn a_writer_comes_after_both_readers() {
    model(2, || {
        let lock = Arc::new(RwSpinLock::new(0));
        let readers = [(); 2].map(|()| {
            let lock = Arc::clone(&lock);
            thread::spawn(move || {
                if let Some(value) = lock.try_read() {
                    assert!(*value == 0 || *value == 1);
                }
            })
        });
        *lock.write() = 1;
        for reader in readers {
            reader.join().unwrap();
        }
    });
}

#[test]
fn a_writer_comes_after_an_upgradable_reader() {
    model(3, || {
        let lock = Arc::new(RwSpinLock::new(0));
        let reader = {
            let lock = Arc::clone(&lock);
            thread::spawn(move || {
                let value = lock.upgradable_read();
                assert!(*value == 0 || *value == 1);
            })
        };
        *lock.write() = 1;
        reader.join().unwrap();
    });
}

/// While a writer waits no new reader locks, so the writer waits for one critical section and not
/// for a stream of them. A waiting writer shows only by its effect: in some schedule a reader has
/// to be held back although only readers hold the lock, and then until the writer was served.
#[test]
fn a_waiting_writer_holds_new_readers_back() {
    static HELD_BACK: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);
    model(3, || {
        let lock = Arc::new(RwSpinLock::new(0));
        let reader = lock.read();
        let writer = {
            let lock = Arc::clone(&lock);
            thread::spawn(move || *lock.write() = 1)
        };
        let mut held_back = false;
        for _ in 0..2 {
            match lock.try_read() {
                Some(_) => assert!(!held_back, "let in before the writer"),
                None => held_back = true,
            }
            thread::yield_now();
        }
        if held_back {
            HELD_BACK.store(true, std::sync::atomic::Ordering::Relaxed);
        }
        drop(reader);
        writer.join().unwrap();
        assert_eq!(*lock.read(), 1);
    });
    assert!(HELD_BACK.load(std::sync::atomic::Ordering::Relaxed));
}

#[test]
fn a_downgraded_writer_publishes_and_keeps_writers_out() {
    model(3, || {
        let lock = Arc::new(RwSpinLock::new(0));
        let other = {
            let lock = Arc::clone(&lock);
            thread::spawn(move || {
                if let Some(value) = lock.try_read() {
                    assert!(*value == 0 || *value == 1);
                }
                if let Some(mut value) = lock.try_write() {
                    *value += 1;
                }
            })
        };
        let mut guard = lock.write();
        *guard += 1;
        let seen = *guard;
        let guard = guard.downgrade();
        assert_eq!(*guard, seen, "no writer in between");
        drop(guard);
        other.join().unwrap();
    });
}

#[test]
fn an_upgrade_is_one_step() {
    model(3, || {
        let lock = Arc::new(RwSpinLock::new(0));
        let other = {
            let lock = Arc::clone(&lock);
            thread::spawn(move || {
                let value = lock.upgradable_read();
                let seen = *value;
                let mut value = value.upgrade();
                assert_eq!(*value, seen, "no writer in between");
                *value += 1;
            })
        };
        {
            let value = lock.read();
            assert!(*value <= 1);
        }
        other.join().unwrap();
        assert_eq!(*lock.read(), 1);
    });
}

#[test]
fn upgradable_readers_exclude_each_other() {
    model(2, || {
        let lock = Arc::new(RwSpinLock::new(0));
        let other = {
            let lock = Arc::clone(&lock);
            thread::spawn(move || {
                let value = lock.upgradable_read();
                let mut value = value.upgrade();
                *value += 1;
            })
        };
        let value = lock.upgradable_read();
        let seen = *value;
        let mut value = value.try_upgrade().expect("no other thread can hold it");
        *value += 1;
        let value = value.downgrade_to_upgradable();
        assert_eq!(*value.downgrade(), seen + 1);
        other.join().unwrap();
        assert_eq!(*lock.read(), 2);
    });
}
