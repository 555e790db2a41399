//! The workers of the pool backend: no task waits while its worker sleeps, and a worker that is
//! held up holds up nobody else. A task that nobody does is a deadlock, which loom reports.
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

/// One worker that is nimble, or called, or falling asleep while a brief task is added.
#[test]
fn a_brief_task_is_fetched() {
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

/// A long task takes until the brief one is done that came behind it: the worker that was woken for
/// one of them takes either, and the other one is left to nobody that does not come.
#[test]
fn a_long_task_holds_up_no_brief_one() {
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

/// F45: a worker that got a task never comes back, as a hung disk might have it; the other one gets
/// the other task.
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
fn a_task_that_hangs_holds_up_nobody() {
    check(1, a_task_that_hangs);
}

/// All interleavings with two preemptions would take minutes: the first 10 000 of them.
#[test]
fn a_task_that_hangs_holds_up_nobody_in_part() {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(2);
    builder.max_branches = 20_000;
    builder.max_permutations = Some(10_000);
    builder.check(a_task_that_hangs);
}

/// What was done before the stop is seen by those who go home.
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
