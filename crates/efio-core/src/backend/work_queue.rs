//! Workers that share one queue of tasks and sleep while it is empty.
//!
//! ```text
//!  submit ──► work queue ──► next
//!        └─ idle list: which worker to wake
//! ```
//!
//! Both lists are MPMC. An idle worker lists itself and then checks the work queue once more, so
//! that one side or the other sees a task pushed in between.
//!
//! A worker that finds a task while it is listed cannot remove itself: it marks itself busy, and
//! `wake_one` skips it. A worker that `wake_one` chose just before it took another task wakes the
//! next idle worker, so that no task waits after one that hangs while another worker is idle (F45).
//!
//! A short task wakes no worker while an active one, which performs short tasks only, will reach
//! the end of the queue soon. Should the active worker hang, the submitter sees that tasks stay
//! pending, and wakes another worker with `wake_one`.
//!
//! | worker's state | `next` finds nothing | `next` finds a task | `wake_one` pops it |
//! |---|---|---|---|
//! | unlisted | → idle, lists itself | stays; wakes another if there is more | – |
//! | idle | stays | → busy | → unlisted, is woken |
//! | busy | → idle | stays | → unlisted, `wake_one` pops the next |

use crate::memory;
use efio_queue::SegQueue;
use efio_sync::shim::atomic::{AtomicBool, AtomicU32, Ordering, fence};
use efio_sync::{Doorbell, Parker};

/// The tasks of a fixed number of workers.
pub struct WorkQueue<T> {
    work: SegQueue<T>,
    workers: Vec<Worker>,
    /// Workers that found nothing to do, and some that found something since.
    idle: SegQueue<usize>,
    is_short: fn(&T) -> bool,
    /// How many workers perform short tasks, one after the other.
    active: AtomicU32,
    /// A worker was woken for a short task, and does not run yet.
    wake_pending: AtomicBool,
    stop: AtomicBool,
}

struct Worker {
    doorbell: Doorbell<Parker>,
    /// UNLISTED, IDLE or BUSY.
    state: AtomicU32,
    /// Whether `active` counts the worker. Only the worker uses it.
    is_active: AtomicBool,
}

/// Not in the list.
const UNLISTED: u32 = 0;
/// In the list, and about to sleep.
const IDLE: u32 = 1;
/// In the list, and performing a task.
const BUSY: u32 = 2;

/// The most short tasks that may be pending for a worker that is awake.
pub const MAX_BATCH: usize = 8;

impl<T> WorkQueue<T> {
    /// Creates a queue for `workers`, numbered from 0; `is_short` says which tasks are short unless
    /// they hang.
    pub fn new(workers: usize, is_short: fn(&T) -> bool) -> Self {
        let worker = || Worker {
            doorbell: Doorbell::new(Parker::new()),
            state: AtomicU32::new(UNLISTED),
            is_active: AtomicBool::new(false),
        };
        Self {
            work: SegQueue::new(),
            workers: (0..workers).map(|_| worker()).collect(),
            idle: SegQueue::new(),
            is_short,
            active: AtomicU32::new(0),
            wake_pending: AtomicBool::new(false),
            stop: AtomicBool::new(false),
        }
    }

    /// Submits a task, and wakes an idle worker for it.
    pub fn submit(&self, task: T) {
        self.push(task);
        self.wake_one();
    }

    /// Submits a short task, which may be left to a worker that is awake. Only one thread calls
    /// this.
    pub fn submit_short(&self, task: T) {
        self.push(task);
        if !self.active_worker_takes_it() {
            // Relaxed: only this thread reads it, and the woken worker clears it.
            self.wake_pending.store(true, Ordering::Relaxed);
            if !self.wake_one() {
                self.wake_pending.store(false, Ordering::Relaxed);
            }
        }
    }

    fn push(&self, task: T) {
        memory::push(&self.work, task);
        // SeqCst: pairs with the fences in `next` and `on_task`. Of "push, look for an idle or
        // active worker" here and "list myself, or become inactive, look for work" there, one looks
        // after the other wrote.
        fence(Ordering::SeqCst);
    }

    /// Whether a worker that is awake will reach the end of the queue soon, if none hangs.
    fn active_worker_takes_it(&self) -> bool {
        let awake =
            self.wake_pending.load(Ordering::Relaxed) || self.active.load(Ordering::Relaxed) > 0;
        awake && self.work.len() <= MAX_BATCH
    }

    /// Returns how many tasks no worker has taken.
    pub fn pending(&self) -> usize {
        self.work.len()
    }

    /// Wakes an idle worker, and returns whether there was one.
    pub fn wake_one(&self) -> bool {
        while let Some(number) = self.idle.pop() {
            let worker = &self.workers[number];
            // Release: pairs with the exchange in `on_task`, which then sees the pushed task.
            // Acquire: pairs with the swap in `next`.
            if worker.state.swap(UNLISTED, Ordering::AcqRel) == IDLE {
                worker.doorbell.notify();
                return true;
            }
        }
        false
    }

    /// Takes the next task for worker `number`, which sleeps until there is one. Returns `None`
    /// after [`stop`](Self::stop), when no task is left. Calls `idle` before it sleeps.
    pub fn next(&self, number: usize, mut idle: impl FnMut()) -> Option<T> {
        let me = &self.workers[number];
        loop {
            if let Some(task) = self.work.pop() {
                self.on_task(me, &task);
                return Some(task);
            }
            // Acquire: pairs with the store in `stop`.
            if self.stop.load(Ordering::Acquire) {
                return None;
            }
            idle();
            // AcqRel: pairs with the swap in `wake_one`: off the list before listed again.
            let before = me.state.swap(IDLE, Ordering::AcqRel);
            if before == UNLISTED {
                memory::push(&self.idle, number);
            }
            self.set_active(me, false);
            // SeqCst: pairs with the fence in `push`.
            fence(Ordering::SeqCst);
            if let Some(task) = self.work.pop() {
                self.on_task(me, &task);
                return Some(task);
            }
            me.doorbell.wait(None);
            self.on_wake();
        }
    }

    /// Marks a worker as busy. `wake_one` may have chosen it for another task than the one that it
    /// found.
    fn on_task(&self, me: &Worker, task: &T) {
        // AcqRel: pairs with the swap in `wake_one`. Either `wake_one` finds BUSY and skips us, or
        // it came first, and we see the task that it woke us for.
        let marked = me
            .state
            .compare_exchange(IDLE, BUSY, Ordering::AcqRel, Ordering::Acquire);
        let is_short = (self.is_short)(task);
        let left = self.set_active(me, is_short);
        if marked != Err(UNLISTED) && !left {
            return;
        }
        // SeqCst: pairs with the fence in `push`, whose thread may have left a task to us.
        fence(Ordering::SeqCst);
        let most = if is_short { MAX_BATCH } else { 0 };
        if self.work.len() > most {
            self.wake_one();
        }
    }

    /// Clears `wake_pending`: the woken worker checks the queue, and checks it again before it
    /// sleeps.
    fn on_wake(&self) {
        // Relaxed: the fence in `next` or `on_task` comes before the worker stops being counted on.
        if self.wake_pending.load(Ordering::Relaxed) {
            self.wake_pending.store(false, Ordering::Relaxed);
        }
    }

    /// Counts the worker as active, or not any more. Returns whether it became inactive.
    fn set_active(&self, me: &Worker, active: bool) -> bool {
        // Relaxed, all three: no other thread reads the flag, and the count is read only after a
        // fence.
        if me.is_active.load(Ordering::Relaxed) == active {
            return false;
        }
        me.is_active.store(active, Ordering::Relaxed);
        if active {
            self.active.fetch_add(1, Ordering::Relaxed);
        } else {
            self.active.fetch_sub(1, Ordering::Relaxed);
        }
        !active
    }

    /// Stops the workers once no task is left.
    pub fn stop(&self) {
        // Release: pairs with the load in `next`.
        self.stop.store(true, Ordering::Release);
        for worker in &self.workers {
            worker.doorbell.notify();
        }
    }
}
