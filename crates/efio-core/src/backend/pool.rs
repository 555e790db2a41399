//! The pool backend: worker threads that make the blocking system calls.
//!
//! ```text
//!  Driver ── crew: work queue ──► workers ── done queue ──► Driver
//!                                       └─ the driver's doorbell
//! ```

use super::{Backend, Crew};
use crate::config::Config;
use crate::error::Errno;
use crate::op::{Completion, Op, Outcome, ReadNow, Request};
use crate::page::Block;
use crate::sys::file::{KernelFile, Way};
use crate::sys::signals;
use efio_queue::SegQueue;
use efio_sync::{Doorbell, EventFd};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Worker threads with `preadv2`, `pwritev2`, `fdatasync`.
pub struct PoolBackend {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    in_flight: usize,
}

struct Shared {
    crew: Crew<Task>,
    done: SegQueue<Completion<KernelFile>>,
    driver: Arc<Doorbell<EventFd>>,
}

/// A request, and the way of a read or write, which was begun for it.
struct Task {
    request: Request<KernelFile>,
    way: io::Result<Option<Way>>,
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
            crew: Crew::new(workers),
            done: SegQueue::new(),
            driver,
        });
        let mut pool = Self {
            shared,
            threads: Vec::with_capacity(workers),
            in_flight: 0,
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
        let way = match &request.op {
            Op::Read { file, route, .. }
            | Op::Write { file, route, .. }
            | Op::WriteBlock { file, route, .. } => file.begin(*route).map(Some),
            _ => Ok(None),
        };
        self.shared.crew.submit(Task { request, way });
        self.in_flight += 1;
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
            out.push(completion);
        }
    }

    fn read_now(file: &Arc<KernelFile>) -> Option<Arc<dyn ReadNow>> {
        KernelFile::READS_NOW.then(|| Arc::clone(file) as Arc<dyn ReadNow>)
    }

    fn wait(&mut self, timeout: Option<Duration>) {
        self.shared.driver.wait(timeout);
    }
}

impl Drop for PoolBackend {
    /// Ends the workers. With ops in flight it does not wait for them: a hung disk must not hang
    /// the caller (F45). The threads own what they use.
    fn drop(&mut self) {
        self.shared.crew.stop();
        if self.in_flight == 0 {
            for thread in self.threads.drain(..) {
                // A worker catches what an op throws; nothing is left to report.
                let _ = thread.join();
            }
        }
    }
}

impl Shared {
    /// The life of worker `number`.
    fn work(&self, number: usize) {
        signals::block_all();
        while let Some(task) = self.crew.next(number) {
            self.complete(perform(task));
        }
    }

    fn complete(&self, completion: Completion<KernelFile>) {
        if self.done.push(completion).is_err() {
            unreachable!("the done queue is never closed");
        }
        self.driver.ring();
    }
}

/// Does the op. Should it panic, it ends with `EIO` (F54) and the worker lives on.
fn perform(task: Task) -> Completion<KernelFile> {
    let Task { request, way } = task;
    let Request { id, op } = request;
    catch_unwind(AssertUnwindSafe(|| {
        let (outcome, block) = match way {
            Ok(Some(way)) => transfer(op, way),
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
fn transfer(op: Op<KernelFile>, way: Way) -> (Outcome<KernelFile>, Option<Block>) {
    let (file, result, block) = match op {
        Op::Read {
            file,
            offset,
            mut block,
            start,
            len,
            ..
        } => {
            let result = file.read(way, offset, &mut block.as_mut_slice()[start..][..len]);
            (file, result, Some(block))
        }
        Op::WriteBlock {
            file,
            offset,
            block,
            start,
            len,
            ..
        } => {
            let result = file.write_bytes(way, offset, &block.as_slice()[start..][..len]);
            (file, result, Some(block))
        }
        Op::Write {
            file,
            offset,
            slices,
            ..
        } => {
            let result = file.write(way, offset, &slices);
            (file, result, None)
        }
        _ => unreachable!("only a read or write has a way"),
    };
    file.end(way);
    (result.map_or_else(failed, Outcome::Done), block)
}

/// What moves no bytes.
fn other(op: Op<KernelFile>) -> Outcome<KernelFile> {
    let result = match op {
        Op::Open(spec) => {
            let opened = KernelFile::open(*spec);
            return opened.map_or_else(failed, |(file, facts)| Outcome::Opened(file, facts));
        }
        Op::Truncate { file, len } => file.truncate(len),
        Op::Size { file } => return file.size().map_or_else(failed, Outcome::Done),
        Op::Sync { file, name_too } => file.sync(name_too),
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
