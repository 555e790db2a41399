//! The workers of the pool backend: no task waits while its worker sleeps, and a stalled worker
//! stalls no other. A task that no worker takes is a deadlock, which loom reports.
#![cfg(loom)]

mod core_engine;

use core_engine::{Trail, check};
use efio_core::model::WorkQueue;
use loom::sync::{Arc, Notify};
use loom::thread;

const LONG: usize = 1;
const SHORT: usize = 2;

#[test]
fn a_worker_that_goes_idle_misses_no_task() {
    check(3, || {
        let work = Arc::new(WorkQueue::new(1, |_| false));
        let trail = Trail::new();
        let worker = {
            let (work, trail) = (work.clone(), trail.clone());
            thread::spawn(move || {
                for task in 0..2 {
                    assert_eq!(work.next(0, || {}), Some(task));
                    trail.check(task, 1);
                }
            })
        };
        for task in 0..2 {
            trail.write(task, 1);
            work.submit(task);
        }
        worker.join().unwrap();
    });
}

/// One worker that is active, or being woken, or falling asleep while a short task is submitted.
#[test]
fn a_short_task_is_taken() {
    check(3, || {
        let work = Arc::new(WorkQueue::new(1, |_| true));
        let worker = {
            let work = work.clone();
            thread::spawn(move || {
                for task in 0..3 {
                    assert_eq!(work.next(0, || {}), Some(task));
                }
            })
        };
        for task in 0..3 {
            work.submit_short(task);
        }
        worker.join().unwrap();
    });
}

/// A long task ends only once the short one that was submitted after it is done. The worker that
/// was woken for one of them may take either, and another worker has to come for the other.
#[test]
fn a_long_task_delays_no_short_one() {
    check(1, || {
        let work = Arc::new(WorkQueue::new(2, |&task| task == SHORT));
        let done = Arc::new(Notify::new());
        let workers = [0, 1].map(|number| {
            let (work, done) = (work.clone(), done.clone());
            thread::spawn(move || {
                while let Some(task) = work.next(number, || {}) {
                    if task == SHORT {
                        done.notify();
                    } else {
                        done.wait();
                        work.stop();
                    }
                }
            })
        });
        work.submit(LONG);
        work.submit_short(SHORT);
        for worker in workers {
            worker.join().unwrap();
        }
    });
}

/// F45: a worker that took a task never comes back, as with a hung disk; the other worker takes the
/// other task.
fn a_task_that_hangs() {
    let work = Arc::new(WorkQueue::new(2, |_| false));
    let workers = [0, 1].map(|number| {
        let work = work.clone();
        thread::spawn(move || work.next(number, || {}).unwrap())
    });
    work.submit(1);
    thread::yield_now();
    work.submit(2);
    let done: usize = workers
        .into_iter()
        .map(|worker| worker.join().unwrap())
        .sum();
    assert_eq!(done, 3);
}

#[test]
fn a_task_that_hangs_stalls_no_other() {
    check(1, a_task_that_hangs);
}

/// All interleavings with two preemptions would take minutes: this checks the first 10 000.
#[test]
fn a_task_that_hangs_stalls_no_other_in_part() {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(2);
    builder.max_branches = 20_000;
    builder.max_permutations = Some(10_000);
    builder.check(a_task_that_hangs);
}

/// A worker that ends sees what was done before the stop.
#[test]
fn a_stop_is_seen_with_what_came_before() {
    check(3, || {
        let work = Arc::new(WorkQueue::<usize>::new(1, |_| false));
        let trail = Trail::new();
        let worker = {
            let (work, trail) = (work.clone(), trail.clone());
            thread::spawn(move || {
                assert_eq!(work.next(0, || {}), None);
                trail.check(0, 1);
            })
        };
        trail.write(0, 1);
        work.stop();
        worker.join().unwrap();
    });
}
