//! Workers that share one queue of tasks and sleep while it is empty.
//!
//! ```text
//!  submit ──► work queue ──► next
//!        └─ idle list: whose bell to ring
//! ```
//!
//! Both lists are MPMC; an idle worker lists itself and then looks at the work queue once more, so
//! that a task pushed in between is seen by one side or the other.
//!
//! A worker may find a task while it stands in the list, and cannot leave it: it is marked busy
//! there, and passed over. If it was chosen just before that, it passes the choice on, so that no
//! task waits behind one that hangs while another worker is idle (F45).
//!
//! | worker's state | `next` finds nothing | finds a task | comes up in the list |
//! |---|---|---|---|
//! | unlisted | → idle, lists itself | stays; wakes another if there is more | – |
//! | idle | stays | → busy | → unlisted, is rung |
//! | busy | → idle | stays | → unlisted, the next one comes up |

use efio_queue::SegQueue;
use efio_sync::shim::atomic::{AtomicBool, AtomicU32, Ordering, fence};
use efio_sync::{Doorbell, Parker};

/// A fixed number of workers, and their tasks.
pub struct Crew<T> {
    work: SegQueue<T>,
    workers: Vec<Worker>,
    /// Workers that found nothing to do, and some that found something since.
    idle: SegQueue<usize>,
    stop: AtomicBool,
}

struct Worker {
    bell: Doorbell<Parker>,
    /// UNLISTED, IDLE or BUSY.
    state: AtomicU32,
}

/// Not in the list.
const UNLISTED: u32 = 0;
/// In the list, and about to sleep.
const IDLE: u32 = 1;
/// In the list, and at work.
const BUSY: u32 = 2;

impl<T> Crew<T> {
    /// A crew of `workers`, numbered from 0.
    pub fn new(workers: usize) -> Self {
        let worker = || Worker {
            bell: Doorbell::new(Parker::new()),
            state: AtomicU32::new(UNLISTED),
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
        self.wake_one();
    }

    /// Wakes a worker of the idle list, if one is idle.
    fn wake_one(&self) {
        while let Some(number) = self.idle.pop() {
            let worker = &self.workers[number];
            // Release: pairs with the exchange in `got_task`, which sees what there is to do.
            // Acquire: with the swap in `next`.
            if worker.state.swap(UNLISTED, Ordering::AcqRel) == IDLE {
                worker.bell.ring();
                return;
            }
        }
    }

    /// The next task of worker `number`, which sleeps until there is one; `None` after
    /// [`stop`](Self::stop), when none is left.
    pub fn next(&self, number: usize) -> Option<T> {
        let me = &self.workers[number];
        loop {
            if let Some(task) = self.work.pop() {
                self.got_task(me);
                return Some(task);
            }
            // Acquire: pairs with the store in `stop`.
            if self.stop.load(Ordering::Acquire) {
                return None;
            }
            // AcqRel: with the swap in `wake_one`: off the list before listed again.
            let before = me.state.swap(IDLE, Ordering::AcqRel);
            if before == UNLISTED && self.idle.push(number).is_err() {
                unreachable!("the idle list is never closed");
            }
            // SeqCst: pairs with the fence in `submit`.
            fence(Ordering::SeqCst);
            if let Some(task) = self.work.pop() {
                self.got_task(me);
                return Some(task);
            }
            me.bell.wait(None);
        }
    }

    /// A worker is about to be busy. It may have been chosen for another task than the one that it
    /// found.
    fn got_task(&self, me: &Worker) {
        // AcqRel: with the swap in `wake_one`. Either that one finds BUSY and passes us over, or
        // it came first, and the task that it was for is seen here.
        let marked = me
            .state
            .compare_exchange(IDLE, BUSY, Ordering::AcqRel, Ordering::Acquire);
        if marked == Err(UNLISTED) && !self.work.is_empty() {
            self.wake_one();
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
