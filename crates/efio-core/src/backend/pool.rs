//! The pool backend: worker threads that make the blocking system calls.
//!
//! ```text
//!  driver ── work queue ──► workers ── done queue ──► driver
//!                                 └─ the driver's doorbell
//! ```
//!
//! Two rules save wake-ups:
//!
//! 1. Short tasks (open, close) go to a worker that is awake, if one is; see [`WorkQueue`]. Should
//!    that worker hang, the driver notices after [`STALL_AFTER`] and wakes another one.
//! 2. A worker does not notify the driver after each short task while the driver wakes by itself
//!    within [`MAX_COALESCE`].

use super::work_queue::MAX_BATCH;
use super::{Backend, WorkQueue};
use crate::config::Config;
use crate::error::Errno;
use crate::memory;
use crate::op::{Completion, FileId, Memory, Op, Outcome, ReadNow, Request, Transfer};
use crate::page::Block;
use crate::sys::file::{DescriptorLease, KernelFile};
use crate::sys::signals;
use efio_queue::SegQueue;
use efio_sync::{Doorbell, EventFd};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// The longest sleep of the driver during which completions of short tasks are coalesced into one
/// notification.
const MAX_COALESCE: Duration = Duration::from_millis(2);
/// Another worker is woken when no worker has taken a pending task for this long.
const STALL_AFTER: Duration = Duration::from_millis(1);
/// After a stall this many tasks wake a worker each: a disk that hangs will hang for longer.
const BACKOFF_TASKS: u32 = 64;

/// Worker threads with `preadv2`, `pwritev2`, `fdatasync`.
pub struct PoolBackend {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    in_flight: usize,
    /// Tasks are pending and no worker is idle: all have stalled, perhaps for long.
    all_stalled: bool,
    /// How many more tasks wake a worker each, after a stall.
    backoff: u32,
}

struct Shared {
    work: WorkQueue<Task>,
    done: SegQueue<Completion<KernelFile>>,
    driver: Arc<Doorbell<EventFd>>,
    /// The driver sleeps for [`MAX_COALESCE`] at most.
    driver_returns_soon: AtomicBool,
}

/// A sleep of the driver, from [`PoolBackend::before_sleep`] to [`PoolBackend::after_sleep`].
pub struct Sleep {
    /// How long it may take.
    pub timeout: Option<Duration>,
    /// Tasks that were pending when it began, and the time then; `None` if stalls are not watched.
    watch: Option<(usize, Instant)>,
}

/// A request, and the descriptor lease that a read or write acquired for it.
struct Task {
    request: Request<KernelFile>,
    lease: io::Result<Option<DescriptorLease>>,
}

impl PoolBackend {
    /// Starts the configured number of threads, which notify `driver` of completions.
    ///
    /// # Errors
    ///
    /// The error of spawning a thread (F40); the threads started so far end.
    pub fn start(config: &Config, driver: Arc<Doorbell<EventFd>>) -> io::Result<Self> {
        let workers = config.workers;
        let shared = Arc::new(Shared {
            work: WorkQueue::new(workers, Task::is_short),
            done: SegQueue::new(),
            driver,
            driver_returns_soon: AtomicBool::new(false),
        });
        let mut pool = Self {
            shared,
            threads: Vec::with_capacity(workers),
            in_flight: 0,
            all_stalled: false,
            backoff: 0,
        };
        for number in 0..workers {
            let shared = Arc::clone(&pool.shared);
            let thread = thread::Builder::new()
                .name(format!("{}-io-{number}", config.thread_name))
                .spawn(move || shared.work(number))?;
            pool.threads.push(thread);
        }
        Ok(pool)
    }

    /// Queues a request; there is always room.
    pub fn begin(&mut self, request: Request<KernelFile>) {
        let lease = match &request.op {
            Op::Transfer(transfer) => transfer.file.acquire(transfer.cache_mode).map(Some),
            _ => Ok(None),
        };
        let task = Task { request, lease };
        if task.is_short() && self.backoff == 0 {
            self.shared.work.submit_short(task);
        } else {
            self.backoff = self.backoff.saturating_sub(1);
            self.shared.work.submit(task);
        }
        self.in_flight += 1;
    }

    /// Prepares a sleep of the driver. While tasks are pending, the driver sleeps for
    /// [`STALL_AFTER`] at most and then checks whether a worker took one.
    pub fn before_sleep(&self, timeout: Option<Duration>) -> Sleep {
        let pending = self.shared.work.pending();
        let watch = pending > 0 && !self.all_stalled;
        let timeout = if watch {
            Some(timeout.map_or(STALL_AFTER, |timeout| timeout.min(STALL_AFTER)))
        } else {
            timeout
        };
        // Relaxed: a worker that does not see the flag yet notifies the driver.
        let returns_soon = timeout.is_some_and(|timeout| timeout <= MAX_COALESCE);
        self.shared
            .driver_returns_soon
            .store(returns_soon, Ordering::Relaxed);
        Sleep {
            timeout,
            watch: watch.then(|| (pending, Instant::now())),
        }
    }

    /// Ends a sleep of the driver, which reaps completions next.
    pub fn after_sleep(&mut self, sleep: Sleep) {
        self.shared
            .driver_returns_soon
            .store(false, Ordering::Relaxed);
        // SeqCst: pairs with the fence in `complete`. Of "clear the flag, look for completions"
        // here and "push, look at the flag" there, one looks after the other wrote.
        fence(Ordering::SeqCst);
        if let Some((pending, begun)) = sleep.watch {
            let stalled = begun.elapsed() >= STALL_AFTER && self.shared.work.pending() >= pending;
            if stalled {
                self.backoff = BACKOFF_TASKS;
                self.all_stalled = !self.shared.work.wake_one();
            }
        }
    }
}

impl Task {
    /// Whether the task takes microseconds unless its disk hangs. A read or write moves bytes, and
    /// a sync waits for the disk.
    fn is_short(&self) -> bool {
        matches!(self.request.op, Op::Open(_) | Op::Close(_))
    }
}

impl Backend for PoolBackend {
    type File = KernelFile;

    fn submit(&mut self, request: Request<KernelFile>) -> Result<(), Request<KernelFile>> {
        self.begin(request);
        Ok(())
    }

    fn reap(&mut self, out: &mut Vec<Completion<KernelFile>>) {
        while let Some(completion) = self.shared.done.pop() {
            self.in_flight -= 1;
            self.all_stalled = false;
            memory::grow(out).push(completion);
        }
    }

    fn id(file: &KernelFile) -> FileId {
        file.id()
    }

    fn read_now(file: &Arc<KernelFile>) -> Option<Arc<dyn ReadNow>> {
        KernelFile::READS_NOW.then(|| Arc::clone(file) as Arc<dyn ReadNow>)
    }

    fn wait(&mut self, timeout: Option<Duration>) {
        let sleep = self.before_sleep(timeout);
        self.shared.driver.wait(sleep.timeout);
        self.after_sleep(sleep);
    }
}

impl Drop for PoolBackend {
    /// Stops the workers, and joins them if no op is in flight. Otherwise it does not wait: a hung
    /// disk must not hang the caller (F45). The threads own what they use.
    fn drop(&mut self) {
        self.shared.work.stop();
        if self.in_flight == 0 {
            for thread in self.threads.drain(..) {
                // A worker catches the panics of its ops; nothing is left to report.
                let _ = thread.join();
            }
        }
    }
}

impl Shared {
    /// Runs worker `number` until the queue stops.
    ///
    /// The worker notifies the driver of its completions
    ///
    /// 1. before it sleeps,
    /// 2. before a long task, of the completions so far,
    /// 3. after a task, if the task was long, [`MAX_BATCH`] completions are unreported, or the
    ///    driver does not wake soon by itself.
    fn work(&self, number: usize) {
        signals::block();
        let mut unreported = 0;
        loop {
            let task = self
                .work
                .next(number, || self.notify_driver(&mut unreported));
            let Some(task) = task else { return };
            let is_short = task.is_short();
            if !is_short {
                self.notify_driver(&mut unreported);
            }
            self.complete(perform(task));
            unreported += 1;
            if !is_short
                || unreported >= MAX_BATCH
                || !self.driver_returns_soon.load(Ordering::Relaxed)
            {
                self.notify_driver(&mut unreported);
            }
        }
    }

    fn complete(&self, completion: Completion<KernelFile>) {
        memory::push(&self.done, completion);
        // SeqCst: pairs with the fence in `after_sleep`.
        fence(Ordering::SeqCst);
    }

    /// Notifies the driver if there are completions that it was not notified of.
    fn notify_driver(&self, unreported: &mut usize) {
        if std::mem::take(unreported) > 0 {
            self.driver.notify();
        }
    }
}

/// Performs the op. An op that panics fails with `EIO` (F54), and the worker goes on.
fn perform(task: Task) -> Completion<KernelFile> {
    let Task { request, lease } = task;
    let Request { id, op } = request;
    catch_unwind(AssertUnwindSafe(|| {
        let (outcome, block) = match (op, lease) {
            (Op::Transfer(transfer), Ok(Some(lease))) => perform_transfer(transfer, lease),
            (op, Err(error)) => (failed(error), op.into_block()),
            (op, Ok(_)) => (perform_other(op), None),
        };
        Completion { id, outcome, block }
    }))
    .unwrap_or(Completion {
        id,
        outcome: Outcome::Failed(Errno(libc::EIO)),
        block: None,
    })
}

/// Performs a read or write.
fn perform_transfer(
    transfer: Transfer<KernelFile>,
    lease: DescriptorLease,
) -> (Outcome<KernelFile>, Option<Block>) {
    let Transfer {
        file,
        offset,
        mut memory,
        ..
    } = transfer;
    let _in_use = LeaseInUse(&file, lease);
    let result = match &mut memory {
        Memory::Fill(range) => file.read(lease, offset, range.as_mut_slice()),
        Memory::Block(range) => file.write(lease, offset, range.as_slice()),
        Memory::Slices(slices) => {
            let slices = slices.iter().map(|slice| slice.as_slice());
            file.write_slices(lease, offset, slices)
        }
    };
    let outcome = result.map_or_else(failed, Outcome::Done);
    (outcome, memory.into_block())
}

/// Releases the lease of a read or write when it ends, also by a panic: otherwise the file could
/// not switch between direct and buffered ops any more.
struct LeaseInUse<'a>(&'a KernelFile, DescriptorLease);

impl Drop for LeaseInUse<'_> {
    fn drop(&mut self) {
        self.0.release(self.1);
    }
}

/// Performs an op that transfers no bytes.
fn perform_other(op: Op<KernelFile>) -> Outcome<KernelFile> {
    let result = match op {
        Op::Open(spec) => {
            return match KernelFile::open(&spec) {
                Ok((file, facts)) => Outcome::Opened(file, facts),
                Err(error) if Errno::from(&error).is_transient() => Outcome::NotYet(spec),
                Err(error) => failed(error),
            };
        }
        Op::Truncate { file, len } => file.truncate(len),
        Op::Empty { file } => file.truncate(0),
        Op::Size { file } => return file.size().map_or_else(failed, Outcome::Done),
        Op::Sync { file, name_too } => {
            return match file.sync(name_too) {
                Ok(None) => Outcome::Done(0),
                Ok(Some(name)) => Outcome::Synced(name),
                Err(error) => failed(error),
            };
        }
        Op::Close(file) => file.close(),
        Op::Transfer(_) => unreachable!("a read or write has a lease"),
    };
    result.map_or_else(failed, |()| Outcome::Done(0))
}

fn failed(error: io::Error) -> Outcome<KernelFile> {
    Outcome::Failed(error.into())
}

#[cfg(test)]
mod tests;
