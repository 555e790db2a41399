//! Every lock and the doorbell under many threads, as a plain program: ThreadSanitizer is not to
//! see the test harness, nor scoped threads. Arguments select by name; the command is in
//! docs/TESTING.md.
//!
//! The data under each lock is plain memory, so that a missing ordering is a data race.

use std::num::NonZeroU32;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use efio_sync::{
    CasCell, Doorbell, EventFd, McsLock, McsNode, Parker, RwSpinLock, Sleep, SpinLock,
};

const THREADS: u32 = 4;

/// Takes the number of turns of each thread.
type Stress = fn(u64);

fn main() {
    let names: Vec<String> = std::env::args()
        .skip(1)
        .filter(|arg| !arg.starts_with('-'))
        .collect();
    let turns = std::env::var("STRESS_TURNS").map_or(20_000, |turns| turns.parse().unwrap());
    let stresses: [(&str, Stress); 7] = [
        ("spin_lock", spin_lock),
        ("cas_cell", cas_cell),
        ("hand_over", hand_over),
        ("mcs_lock", mcs_lock),
        ("rw_spin_lock", rw_spin_lock),
        ("doorbell_parker", |turns| {
            doorbell(turns, Doorbell::new(Parker::new()))
        }),
        ("doorbell_event_fd", |turns| {
            doorbell(turns, Doorbell::new(EventFd::new().unwrap()))
        }),
    ];
    for (name, stress) in stresses {
        if names.is_empty() || names.iter().any(|wanted| name.contains(wanted.as_str())) {
            stress(turns);
            println!("{name}: {turns} turns");
        }
    }
}

fn tag(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number + 1).unwrap()
}

/// Runs `work` on several threads with their numbers, and waits for them.
fn on_threads<L: Send + Sync + 'static>(
    lock: &Arc<L>,
    work: impl Fn(&L, u32) + Copy + Send + 'static,
) {
    let threads: Vec<_> = (0..THREADS)
        .map(|number| {
            let lock = Arc::clone(lock);
            thread::spawn(move || work(&lock, number))
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
}

fn spin_lock(turns: u64) {
    let lock = Arc::new(SpinLock::new(0));
    on_threads(&lock, move |lock, _| {
        for _ in 0..turns {
            *lock.lock() += 1;
            if let Some(mut count) = lock.try_lock() {
                *count += 0;
            }
        }
    });
    assert_eq!(*lock.lock(), turns * u64::from(THREADS));
}

fn cas_cell(turns: u64) {
    let cell = Arc::new(CasCell::new(0));
    on_threads(&cell, move |cell, number| {
        for turn in 0..turns {
            let mut count = cell.acquire(tag(number));
            *count += 1;
            assert_eq!(count.tag(), tag(number));
            if turn % 64 == 0 {
                // Long enough for the others to go to sleep.
                (0..8).for_each(|_| thread::yield_now());
            }
        }
    });
    assert_eq!(*cell.acquire(tag(0)), turns * u64::from(THREADS));
}

/// The lock goes round: each thread adopts it and hands it to the next.
fn hand_over(turns: u64) {
    let cell = Arc::new(CasCell::new(0));
    cell.acquire(tag(0)).hand_over(tag(0));
    let rounds = turns / 100;
    on_threads(&cell, move |cell, number| {
        for round in 0..rounds {
            let mut count = loop {
                assert!(cell.try_acquire(tag(99)).is_err(), "no gap");
                match cell.adopt(tag(number)) {
                    Some(count) => break count,
                    None => thread::yield_now(),
                }
            };
            assert_eq!(*count, round * u64::from(THREADS) + u64::from(number));
            *count += 1;
            count.hand_over(tag((number + 1) % THREADS));
        }
        // The lock still goes round: no thread releases it before all are through.
    });
    assert_eq!(*cell.adopt(tag(0)).unwrap(), rounds * u64::from(THREADS));
}

fn mcs_lock(turns: u64) {
    let lock = Arc::new(McsLock::new(0));
    on_threads(&lock, move |lock, _| {
        let mut node = pin!(McsNode::new());
        for turn in 0..turns {
            match turn % 3 {
                0 => lock.with(|count| *count += 1),
                1 => *lock.lock(node.as_mut()) += 1,
                _ => {
                    let mut guard = lock.lock(node.as_mut());
                    *guard += 1;
                    // Opens when the node is used again.
                    std::mem::forget(guard);
                    drop(lock.lock(node.as_mut()));
                }
            }
        }
    });
    lock.with(|count| assert_eq!(*count, turns * u64::from(THREADS)));
}

fn rw_spin_lock(turns: u64) {
    let lock = Arc::new(RwSpinLock::new((0, 0)));
    on_threads(&lock, move |lock, number| {
        for turn in 0..turns {
            match (turn + u64::from(number)) % 4 {
                0 => {
                    let mut pair = lock.write();
                    pair.0 += 1;
                    pair.1 += 1;
                    if turn % 8 < 4 {
                        let pair = pair.downgrade();
                        assert_eq!(pair.0, pair.1);
                    }
                }
                1 => {
                    let pair = lock.upgradable_read();
                    let seen = pair.0;
                    let mut pair = pair.upgrade();
                    assert_eq!(pair.0, seen);
                    *pair = (seen + 1, seen + 1);
                    drop(pair.downgrade_to_upgradable().downgrade());
                }
                _ => {
                    let pair = lock.read();
                    assert_eq!(pair.0, pair.1);
                }
            }
        }
    });
    assert_eq!(lock.read().0, turns * u64::from(THREADS) / 2);
}

/// What several ringers write, plain memory in cells of their own, and how far each one is.
struct Payload(
    [CasCell<u64>; THREADS as usize],
    [AtomicU64; THREADS as usize],
);

fn doorbell<S: Sleep + Send + Sync + 'static>(turns: u64, bell: Doorbell<S>) {
    let turns = turns / 10;
    let values = Payload(
        [const { CasCell::new(0) }; 4],
        [const { AtomicU64::new(0) }; 4],
    );
    let shared = Arc::new((bell, values));
    let ringers: Vec<_> = (0..THREADS)
        .map(|number| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                let (bell, Payload(values, sent)) = &*shared;
                for turn in 1..=turns {
                    *values[number as usize].acquire(tag(number)) = turn;
                    // Relaxed: that it is seen is the doorbell's work.
                    sent[number as usize].store(turn, Ordering::Relaxed);
                    bell.notify();
                }
            })
        })
        .collect();
    let (bell, Payload(values, sent)) = &*shared;
    let all_sent = || {
        sent.iter()
            .all(|sent| sent.load(Ordering::Relaxed) == turns)
    };
    while !all_sent() {
        assert!(bell.wait(None));
    }
    for ringer in ringers {
        ringer.join().unwrap();
    }
    for value in values {
        assert_eq!(*value.acquire(tag(0)), turns);
    }
}
