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
//! What is brief does not wake a worker while another one is awake that will be at the end of the
//! queue in a moment: it is counted as nimble. Should it hang at what it does before, whoever gave the
//! tasks sees that they wait, and wakes another one with `wake_one`.
//!
//! | worker's state | `next` finds nothing | finds a task | comes up in the list |
//! |---|---|---|---|
//! | unlisted | → idle, lists itself | stays; wakes another if there is more | – |
//! | idle | stays | → busy | → unlisted, is rung |
//! | busy | → idle | stays | → unlisted, the next one comes up |

use crate::memory;
use efio_queue::SegQueue;
use efio_sync::shim::atomic::{AtomicBool, AtomicU32, Ordering, fence};
use efio_sync::{Doorbell, Parker};

/// A fixed number of workers, and their tasks.
pub struct WorkQueue<T> {
    work: SegQueue<T>,
    workers: Vec<Worker>,
    /// Workers that found nothing to do, and some that found something since.
    idle: SegQueue<usize>,
    is_short: fn(&T) -> bool,
    /// Workers that do brief tasks, one after the other.
    active: AtomicU32,
    /// One was woken for a brief task, and has not come yet.
    wake_pending: AtomicBool,
    stop: AtomicBool,
}

struct Worker {
    bell: Doorbell<Parker>,
    /// UNLISTED, IDLE or BUSY.
    state: AtomicU32,
    /// Counted as nimble. The worker's own.
    is_active: AtomicBool,
}

/// Not in the list.
const UNLISTED: u32 = 0;
/// In the list, and about to sleep.
const IDLE: u32 = 1;
/// In the list, and at work.
const BUSY: u32 = 2;

/// As many brief tasks may wait for a worker that is awake.
pub const MAX_BATCH: usize = 8;

impl<T> WorkQueue<T> {
    /// A crew of `workers`, numbered from 0, and which tasks are brief unless they hang.
    pub fn new(workers: usize, is_brief: fn(&T) -> bool) -> Self {
        let worker = || Worker {
            bell: Doorbell::new(Parker::new()),
            state: AtomicU32::new(UNLISTED),
            is_active: AtomicBool::new(false),
        };
        Self {
            work: SegQueue::new(),
            workers: (0..workers).map(|_| worker()).collect(),
            idle: SegQueue::new(),
            is_short: is_brief,
            active: AtomicU32::new(0),
            wake_pending: AtomicBool::new(false),
            stop: AtomicBool::new(false),
        }
    }

    /// Gives the crew a task, and an idle worker for it.
    pub fn submit(&self, task: T) {
        self.push(task);
        self.wake_one();
    }

    /// Gives the crew a brief task, which may be left to a worker that is awake. Only one thread
    /// calls this.
    pub fn submit_short(&self, task: T) {
        self.push(task);
        if !self.active_worker_takes_it() {
            // Relaxed: read again by this thread alone, and taken back by the worker that comes.
            self.wake_pending.store(true, Ordering::Relaxed);
            if !self.wake_one() {
                self.wake_pending.store(false, Ordering::Relaxed);
            }
        }
    }

    fn push(&self, task: T) {
        memory::push(&self.work, task);
        // SeqCst: pairs with the fences in `next` and `got_task`. Of "push, look for a worker that is
        // idle or nimble" here and "list myself, or be nimble no more, look for work" there, one looks
        // after the other wrote.
        fence(Ordering::SeqCst);
    }

    /// Whether a worker that is awake already will soon be at the end of the queue, if none hangs.
    fn active_worker_takes_it(&self) -> bool {
        let awake =
            self.wake_pending.load(Ordering::Relaxed) || self.active.load(Ordering::Relaxed) > 0;
        awake && self.work.len() <= MAX_BATCH
    }

    /// Tasks that no worker has taken.
    pub fn pending(&self) -> usize {
        self.work.len()
    }

    /// Wakes a worker of the idle list, if one is idle; whether one was.
    pub fn wake_one(&self) -> bool {
        while let Some(number) = self.idle.pop() {
            let worker = &self.workers[number];
            // Release: pairs with the exchange in `got_task`, which sees what there is to do.
            // Acquire: with the swap in `next`.
            if worker.state.swap(UNLISTED, Ordering::AcqRel) == IDLE {
                worker.bell.ring();
                return true;
            }
        }
        false
    }

    /// The next task of worker `number`, which sleeps until there is one; `None` after
    /// [`stop`](Self::stop), when none is left. Before it sleeps it does what `idle` says.
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
            // AcqRel: with the swap in `wake_one`: off the list before listed again.
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
            me.bell.wait(None);
            self.on_wake();
        }
    }

    /// A worker is about to be busy. It may have been chosen for another task than the one that it
    /// found.
    fn on_task(&self, me: &Worker, task: &T) {
        // AcqRel: with the swap in `wake_one`. Either that one finds BUSY and passes us over, or
        // it came first, and the task that it was for is seen here.
        let marked = me
            .state
            .compare_exchange(IDLE, BUSY, Ordering::AcqRel, Ordering::Acquire);
        let is_brief = (self.is_short)(task);
        let left = self.set_active(me, is_brief);
        if marked != Err(UNLISTED) && !left {
            return;
        }
        // SeqCst: pairs with the fence in `push`, which may have left a task to us.
        fence(Ordering::SeqCst);
        let most = if is_brief { MAX_BATCH } else { 0 };
        if self.work.len() > most {
            self.wake_one();
        }
    }

    /// A worker that was woken looks at the queue, and at its end once more before it sleeps.
    fn on_wake(&self) {
        // Relaxed: the fence in `next`, or in `got_task`, comes before the worker is lost from sight.
        if self.wake_pending.load(Ordering::Relaxed) {
            self.wake_pending.store(false, Ordering::Relaxed);
        }
    }

    /// Counts the worker as nimble, or not; whether it was and is no more.
    fn set_active(&self, me: &Worker, nimble: bool) -> bool {
        // Relaxed, all three: nobody else looks at the mark, and the count is only looked at
        // behind a fence.
        if me.is_active.load(Ordering::Relaxed) == nimble {
            return false;
        }
        me.is_active.store(nimble, Ordering::Relaxed);
        if nimble {
            self.active.fetch_add(1, Ordering::Relaxed);
        } else {
            self.active.fetch_sub(1, Ordering::Relaxed);
        }
        !nimble
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
