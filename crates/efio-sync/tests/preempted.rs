//! The holder of a lock is taken off the processor (F49): a waiter spins for a bounded time, and
//! then lets others run, or sleeps. The waiter here shares the only processor that the holder may
//! use, so each moment that it spins is one that the holder does not get.
#![cfg(target_os = "linux")]

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use efio_sync::{CasCell, CasLock, McsLock, RwSpinLock, SpinLock};

/// What the holder has to do while it holds the lock, in time of its processor.
const WORK: Duration = Duration::from_millis(60);

/// Binds this thread to the first processor that it may use.
fn bind() {
    // SAFETY: plain bits, for which zero is valid; the kernel reads and writes as many as are said.
    unsafe {
        let mut all: libc::cpu_set_t = std::mem::zeroed();
        let size = size_of_val(&all);
        assert_eq!(libc::sched_getaffinity(0, size, &raw mut all), 0);
        let first = (0..libc::CPU_SETSIZE as usize).find(|&cpu| libc::CPU_ISSET(cpu, &all));
        let mut one: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(first.expect("we run somewhere"), &mut one);
        assert_eq!(libc::sched_setaffinity(0, size, &raw const one), 0);
    }
}

/// How long this thread has run so far.
fn run_time() -> Duration {
    // SAFETY: plain numbers, for which zero is valid, and room for them.
    let time = unsafe {
        let mut time: libc::timespec = std::mem::zeroed();
        libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time);
        time
    };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// How long a waiter runs while another thread of the same processor holds the lock and works.
/// `hold` takes the lock, runs what it is given, and gives the lock back.
fn cost_of_waiting(hold: impl Fn(&dyn Fn()) + Sync) -> Duration {
    let held = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            bind();
            hold(&|| {
                held.store(true, Ordering::Release);
                let end = run_time() + WORK;
                while run_time() < end {}
            });
        });
        let waiter = scope.spawn(|| {
            bind();
            while !held.load(Ordering::Acquire) {
                thread::sleep(Duration::from_millis(1));
            }
            let before = run_time();
            hold(&|| ());
            run_time() - before
        });
        waiter.join().unwrap()
    })
}

/// The holder and a waiter that spins share the processor evenly. One that yields or sleeps takes a
/// fraction of a millisecond.
const MOST: Duration = Duration::from_millis(10);

const ME: NonZeroU32 = NonZeroU32::new(1).unwrap();

#[test]
fn a_waiter_lets_a_preempted_holder_run() {
    let spin = SpinLock::new(());
    let mcs = McsLock::new(());
    let shared = RwSpinLock::new(());
    let lock = CasLock::new();
    let cell = CasCell::new(());
    let costs = [
        ("SpinLock", cost_of_waiting(|act| spin.with(|()| act()))),
        ("McsLock", cost_of_waiting(|act| mcs.with(|()| act()))),
        (
            "RwSpinLock",
            cost_of_waiting(|act| {
                let _guard = shared.write();
                act();
            }),
        ),
        (
            "CasLock",
            cost_of_waiting(|act| {
                let _guard = lock.acquire(ME);
                act();
            }),
        ),
        (
            "CasCell",
            cost_of_waiting(|act| {
                let _guard = cell.acquire(ME);
                act();
            }),
        ),
    ];
    for (name, cost) in costs {
        println!("{name}: {cost:?} while the holder ran {WORK:?}");
        assert!(cost < MOST, "{name}: {cost:?}");
    }
}
