//! Workers that share one queue of tasks and sleep while it is empty.
//!
//! ```text
//!  submit ──► work queue ──► next
//!        └─ idle list: whose bell to ring
//! ```
//!
//! Both lists are MPMC; an idle worker lists itself and then looks at the work queue once more, so
//! that a task pushed in between is seen by one side or the other.

use efio_queue::SegQueue;
use efio_sync::shim::atomic::{AtomicBool, Ordering, fence};
use efio_sync::{Doorbell, Parker};

/// A fixed number of workers, and their tasks.
pub struct Crew<T> {
    work: SegQueue<T>,
    workers: Vec<Worker>,
    /// Workers that found nothing to do.
    idle: SegQueue<usize>,
    stop: AtomicBool,
}

struct Worker {
    bell: Doorbell<Parker>,
    /// Whether it stands in the idle list.
    listed: AtomicBool,
}

impl<T> Crew<T> {
    /// A crew of `workers`, numbered from 0.
    pub fn new(workers: usize) -> Self {
        let worker = || Worker {
            bell: Doorbell::new(Parker::new()),
            listed: AtomicBool::new(false),
        };
        Self {
            work: SegQueue::new(),
            workers: (0..workers).map(|_| worker()).collect(),
            idle: SegQueue::new(),
            stop: AtomicBool::new(false),
        }
    }

    /// Gives the crew a task.
    pub fn submit(&self, task: T) {
        if self.work.push(task).is_err() {
            unreachable!("the work queue is never closed");
        }
        // SeqCst: pairs with the fence in `next`. Of "push, look for an idle worker" here and
        // "list myself, look for work" there, one looks after the other wrote.
        fence(Ordering::SeqCst);
        if let Some(number) = self.idle.pop() {
            let worker = &self.workers[number];
            // Release: pairs with the swap in `next`: off the list before listed again.
            worker.listed.store(false, Ordering::Release);
            worker.bell.ring();
        }
    }

    /// The next task of worker `number`, which sleeps until there is one; `None` after
    /// [`stop`](Self::stop), when none is left.
    pub fn next(&self, number: usize) -> Option<T> {
        let me = &self.workers[number];
        loop {
            if let Some(task) = self.work.pop() {
                return Some(task);
            }
            // Acquire: pairs with the store in `stop`.
            if self.stop.load(Ordering::Acquire) {
                return None;
            }
            // AcqRel: pairs with the store in `submit`.
            if !me.listed.swap(true, Ordering::AcqRel) && self.idle.push(number).is_err() {
                unreachable!("the idle list is never closed");
            }
            // SeqCst: pairs with the fence in `submit`.
            fence(Ordering::SeqCst);
            match self.work.pop() {
                Some(task) => return Some(task),
                None => drop(me.bell.wait(None)),
            }
        }
    }

    /// Lets the workers go home when the work is done.
    pub fn stop(&self) {
        // Release: pairs with the load in `next`.
        self.stop.store(true, Ordering::Release);
        for worker in &self.workers {
            worker.bell.ring();
        }
    }
}
