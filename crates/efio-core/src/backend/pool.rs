//! The pool backend: worker threads that make the blocking system calls.
//!
//! ```text
//!  Driver ── crew: work queue ──► workers ── done queue ──► Driver
//!                                       └─ the driver's doorbell
//! ```

use super::work_queue::MAX_BATCH;
use super::{Backend, WorkQueue};
use crate::config::Config;
use crate::error::Errno;
use crate::memory;
use crate::op::{Completion, FileId, Op, Outcome, ReadNow, Request};
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

/// A driver that sleeps no longer than this may be rung for several brief tasks at once.
const MAX_COALESCE: Duration = Duration::from_millis(2);
/// When tasks wait for so long and nobody took one, another worker is woken.
const STALL_AFTER: Duration = Duration::from_millis(1);
/// So many tasks after that wake a worker each: a disk that hangs will hang for longer.
const BACKOFF_TASKS: u32 = 64;

/// Worker threads with `preadv2`, `pwritev2`, `fdatasync`.
pub struct PoolBackend {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    in_flight: usize,
    /// Tasks wait and no worker is idle: all are held up, perhaps for long.
    all_stalled: bool,
    /// Tasks that get a worker of their own, after one was held up.
    backoff: u32,
}

struct Shared {
    work: WorkQueue<Task>,
    done: SegQueue<Completion<KernelFile>>,
    driver: Arc<Doorbell<EventFd>>,
    /// The driver sleeps for a moment at most.
    driver_returns_soon: AtomicBool,
}

/// A sleep of the driver, from [`PoolBackend::before_sleep`] to [`PoolBackend::after_sleep`].
pub struct Sleep {
    /// How long it may take.
    pub timeout: Option<Duration>,
    /// Tasks that nobody had taken when it began, if that is watched, and when that was.
    watch: Option<(usize, Instant)>,
}

/// A request, and the way of a read or write, which was begun for it.
struct Task {
    request: Request<KernelFile>,
    lease: io::Result<Option<DescriptorLease>>,
}

impl PoolBackend {
    /// Starts the configured number of threads that ring `driver` after each completion.
    ///
    /// # Errors
    ///
    /// What spawning a thread says (F40); the threads started so far end.
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

    /// Begins a request; there is always room.
    pub fn begin(&mut self, request: Request<KernelFile>) {
        let lease = match &request.op {
            Op::Read {
                file, cache_mode, ..
            }
            | Op::Write {
                file, cache_mode, ..
            }
            | Op::WriteBlock {
                file, cache_mode, ..
            } => file.acquire(*cache_mode).map(Some),
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

    /// The driver is about to sleep. While tasks wait for a worker that is awake it does so for a
    /// moment only, and sees whether one came.
    pub fn before_sleep(&self, timeout: Option<Duration>) -> Sleep {
        let waiting = self.shared.work.pending();
        let watch = waiting > 0 && !self.all_stalled;
        let timeout = if watch {
            Some(timeout.map_or(STALL_AFTER, |timeout| timeout.min(STALL_AFTER)))
        } else {
            timeout
        };
        // Relaxed: a worker that does not see it rings.
        let patient = timeout.is_some_and(|timeout| timeout <= MAX_COALESCE);
        self.shared
            .driver_returns_soon
            .store(patient, Ordering::Relaxed);
        Sleep {
            timeout,
            watch: watch.then(|| (waiting, Instant::now())),
        }
    }

    /// The driver slept, and is going to look for completions.
    pub fn after_sleep(&mut self, sleep: Sleep) {
        self.shared
            .driver_returns_soon
            .store(false, Ordering::Relaxed);
        // SeqCst: with the fence in `complete`. Of "patient no longer, look for completions" here and
        // "push, look whether it is patient" there, one looks after the other wrote.
        fence(Ordering::SeqCst);
        if let Some((waiting, begun)) = sleep.watch {
            let held_up = begun.elapsed() >= STALL_AFTER && self.shared.work.pending() >= waiting;
            if held_up {
                self.backoff = BACKOFF_TASKS;
                self.all_stalled = !self.shared.work.wake_one();
            }
        }
    }
}

impl Task {
    /// Whether it takes microseconds, unless its disk hangs. A read or write moves bytes, a sync waits
    /// for the disk.
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
    /// Ends the workers. With ops in flight it does not wait for them: a hung disk must not hang
    /// the caller (F45). The threads own what they use.
    fn drop(&mut self) {
        self.shared.work.stop();
        if self.in_flight == 0 {
            for thread in self.threads.drain(..) {
                // A worker catches what an op throws; nothing is left to report.
                let _ = thread.join();
            }
        }
    }
}

impl Shared {
    /// The life of worker `number`. The driver is rung once for several brief tasks, if it is back in
    /// a moment in any case.
    fn work(&self, number: usize) {
        signals::block();
        let mut untold = 0;
        loop {
            let task = self.work.next(number, || self.notify_driver(&mut untold));
            let Some(task) = task else { return };
            let is_brief = task.is_short();
            if !is_brief {
                self.notify_driver(&mut untold);
            }
            self.complete(perform(task));
            untold += 1;
            if !is_brief || untold >= MAX_BATCH || !self.driver_returns_soon.load(Ordering::Relaxed)
            {
                self.notify_driver(&mut untold);
            }
        }
    }

    fn complete(&self, completion: Completion<KernelFile>) {
        memory::push(&self.done, completion);
        // SeqCst: with the fence in `after_sleep`.
        fence(Ordering::SeqCst);
    }

    /// Rings the driver for completions that it was not told of.
    fn notify_driver(&self, untold: &mut usize) {
        if std::mem::take(untold) > 0 {
            self.driver.ring();
        }
    }
}

/// Does the op. Should it panic, it ends with `EIO` (F54) and the worker lives on.
fn perform(task: Task) -> Completion<KernelFile> {
    let Task { request, lease } = task;
    let Request { id, op } = request;
    catch_unwind(AssertUnwindSafe(|| {
        let (outcome, block) = match lease {
            Ok(Some(lease)) => transfer(op, lease),
            Ok(None) => (other(op), None),
            Err(error) => (failed(error), memory(op)),
        };
        Completion { id, outcome, block }
    }))
    .unwrap_or(Completion {
        id,
        outcome: Outcome::Failed(Errno(libc::EIO)),
        block: None,
    })
}

/// A read or write.
fn transfer(op: Op<KernelFile>, lease: DescriptorLease) -> (Outcome<KernelFile>, Option<Block>) {
    let (result, block) = match op {
        Op::Read {
            file,
            offset,
            mut block,
            start,
            len,
            ..
        } => {
            let _under_way = LeaseInUse(&file, lease);
            let result = file.read(lease, offset, &mut block.as_mut_slice()[start..][..len]);
            (result, Some(block))
        }
        Op::WriteBlock {
            file,
            offset,
            block,
            start,
            len,
            ..
        } => {
            let _under_way = LeaseInUse(&file, lease);
            let result = file.write_bytes(lease, offset, &block.as_slice()[start..][..len]);
            (result, Some(block))
        }
        Op::Write {
            file,
            offset,
            slices,
            ..
        } => {
            let _under_way = LeaseInUse(&file, lease);
            (file.write(lease, offset, &slices), None)
        }
        _ => unreachable!("only a read or write has a way"),
    };
    (result.map_or_else(failed, Outcome::Done), block)
}

/// A read or write on its way, which ends here, also when it panics: the file would not switch between
/// direct and buffered ops any more.
struct LeaseInUse<'a>(&'a KernelFile, DescriptorLease);

impl Drop for LeaseInUse<'_> {
    fn drop(&mut self) {
        self.0.release(self.1);
    }
}

/// What moves no bytes.
fn other(op: Op<KernelFile>) -> Outcome<KernelFile> {
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
        Op::Read { .. } | Op::Write { .. } | Op::WriteBlock { .. } => {
            unreachable!("a read or write has a way")
        }
    };
    result.map_or_else(failed, |()| Outcome::Done(0))
}

/// The memory that goes back with the completion.
fn memory(op: Op<KernelFile>) -> Option<Block> {
    match op {
        Op::Read { block, .. } | Op::WriteBlock { block, .. } => Some(block),
        _ => None,
    }
}

fn failed(error: io::Error) -> Outcome<KernelFile> {
    Outcome::Failed(error.into())
}

#[cfg(test)]
mod tests;
