//! The uring backend: direct writes and most reads through one io_uring, the rest on workers.
//!
//! ```text
//!          ┌─ reads, direct writes ──► ring ─────┐ one io_uring_enter submits and
//!  driver ─┤                                     ├ waits for completions, for the
//!          └─ open, buffered writes, ► workers ──┘ doorbell and for the timeout
//!             sync, close
//! ```
//!
//! Some ops block inside the kernel: an open that creates a file, a sync, and each buffered write
//! on most file systems. The ring would pass these to kernel threads. The workers of the pool
//! backend do the same at a lower cost, and the ring never blocks.
//!
//! Only the driver thread creates, uses and drops the ring. The descriptor is close-on-exec (F56);
//! a forked child has neither the driver thread nor the ring's memory, so it cannot submit anything
//! (F51).

mod buffers;
mod doorbell;
mod in_flight;
mod ring;
#[cfg(test)]
mod tests;

use super::{Backend, PoolBackend};
use crate::config::Config;
use crate::op::{CacheMode, Completion, FileId, Op, ReadNow, Request, Transfer};
use crate::stats::Counters;
use crate::sys::file::KernelFile;
use crate::sys::retry;
use buffers::Buffers;
use doorbell::{DOORBELL, DoorbellPoll};
use efio_sync::{Doorbell, EventFd};
use in_flight::InFlight;
use io_uring::opcode;
use ring::{EnterResult, Ring};
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The most ops in flight on the ring, the poll of the doorbell among them.
const DEPTH: u32 = 256;
/// An op of this many bytes is submitted at once, not batched with others: the disk works on it
/// while the driver maps memory for the next one.
const LARGE: usize = 256 << 10;
/// How many turns an op may wait to be submitted in one system call with others.
const MAX_DEFERRED_TURNS: u32 = 2;
/// How long to wait before the kernel is entered again when it is out of memory.
const BUSY_PAUSE: Duration = Duration::from_millis(1);
/// How long a dropped backend waits for ops in flight.
const DROP_TIMEOUT: Duration = Duration::from_millis(50);
/// The `user_data` of the operation that probes the ring.
const PROBE: u64 = u64::MAX - 1;

/// An io_uring and a pool of workers.
pub struct UringBackend {
    // The ring is dropped first, and the memory of its ops only afterwards. `drop` has leaked the
    // memory that the kernel may still use by then.
    ring: Ring,
    in_flight: InFlight,
    buffers: Buffers,
    doorbell_poll: DoorbellPoll,
    workers: PoolBackend,
    driver: Arc<Doorbell<EventFd>>,
    counters: Arc<Counters>,
    /// Turns since an entry was pushed that the kernel has not taken.
    deferred_turns: u32,
    /// The kernel refuses to be entered: the workers perform all ops.
    refused: bool,
}

impl UringBackend {
    /// Creates and probes the ring, and starts the workers. The driver thread calls this.
    ///
    /// # Errors
    ///
    /// The errors of [`Ring::new`], `EPERM` or the like when only entering is forbidden, and the
    /// errors of [`PoolBackend::start`].
    pub fn start(
        config: &Config,
        driver: Arc<Doorbell<EventFd>>,
        counters: Arc<Counters>,
    ) -> io::Result<Self> {
        let mut ring = Ring::new(DEPTH)?;
        let mut doorbell_poll = DoorbellPoll::new(driver.alarm());
        doorbell_poll.arm(&mut ring);
        probe(&mut ring, &mut doorbell_poll)?;
        Ok(Self {
            buffers: Buffers::new(&ring, config.memory_budget),
            ring,
            in_flight: InFlight::default(),
            doorbell_poll,
            workers: PoolBackend::start(config, Arc::clone(&driver))?,
            driver,
            counters,
            deferred_turns: 0,
            refused: false,
        })
    }

    /// Enters the kernel, and abandons the ring if the kernel refuses it.
    fn enter(&mut self, wait: bool, timeout: Option<Duration>) {
        self.deferred_turns = 0;
        self.counters.driver.ring_enters.add(1);
        match self.ring.enter(wait, timeout) {
            EnterResult::Done => {}
            // Completions are available, or the doorbell ends the pause.
            EnterResult::Busy if wait => {
                let short = timeout.map_or(BUSY_PAUSE, |timeout| timeout.min(BUSY_PAUSE));
                self.driver.alarm().wait(Some(short));
                self.driver.alarm().clear();
            }
            EnterResult::Busy => {}
            EnterResult::Fatal => self.abandon_ring(),
        }
    }

    /// Gives up the ring: the workers perform all ops from now on. Ops that the kernel took and has
    /// not completed are lost, and their memory is leaked; the driver handles them as those of a
    /// disk that hangs.
    fn abandon_ring(&mut self) {
        self.refused = true;
        self.counters.driver.rings_lost.add(1);
        let taken = self.ring.taken();
        for request in self.in_flight.take_unsubmitted(taken) {
            self.workers.begin(request);
        }
    }

    /// Passes the completions in the ring to `take`.
    fn collect(&mut self, mut take: impl FnMut(Completion<KernelFile>)) {
        while let Some(entry) = self.ring.pop() {
            match entry.user_data() {
                DOORBELL => self.doorbell_poll.on_notified(&entry),
                op => match self.in_flight.complete(op, entry.result()) {
                    Some(completion) => take(completion),
                    None => self.counters.driver.stray_completions.add(1),
                },
            }
        }
    }
}

/// Probes with one no-op whether the kernel lets us enter, and polls a doorbell.
fn probe(ring: &mut Ring, doorbell_poll: &mut DoorbellPoll) -> io::Result<()> {
    let nop = opcode::Nop::new().build().user_data(PROBE);
    // SAFETY: it names no memory and no descriptor.
    unsafe { ring.push(&nop) };
    let mut is_done = false;
    while !is_done {
        // A debugger that stops the thread interrupts it here.
        retry(|| ring.submitter().submit_and_wait(1))?;
        while let Some(entry) = ring.pop() {
            if entry.result() < 0 {
                return Err(io::Error::from_raw_os_error(-entry.result()));
            }
            match entry.user_data() {
                DOORBELL => doorbell_poll.on_notified(&entry),
                other => is_done |= other == PROBE,
            }
        }
    }
    Ok(())
}

impl Backend for UringBackend {
    type File = KernelFile;

    fn submit(&mut self, request: Request<KernelFile>) -> Result<(), Request<KernelFile>> {
        let (id, transfer) = match request {
            Request {
                id,
                op: Op::Transfer(transfer),
            } if !self.refused && is_for_the_ring(&transfer) => (id, transfer),
            request => return self.workers.submit(request),
        };
        let refuse = |transfer| Request {
            id,
            op: Op::Transfer(transfer),
        };
        if self.in_flight.len() + 1 >= DEPTH as usize {
            return Err(refuse(transfer));
        }
        let is_large = transfer.memory.bytes() >= LARGE;
        let pushed = self
            .in_flight
            .push(&mut self.ring, &mut self.buffers, id, transfer);
        match pushed {
            Ok(fixed) => {
                self.counters.driver.ring_ops.add(1);
                self.counters
                    .driver
                    .ring_unregistered
                    .add(u64::from(!fixed));
                if is_large {
                    self.enter(false, None);
                }
                Ok(())
            }
            // The op fails on a worker, with the error of the system call.
            Err(transfer) => self.workers.submit(refuse(transfer)),
        }
    }

    fn id(file: &KernelFile) -> FileId {
        file.id()
    }

    fn flush(&mut self) {
        if !self.refused && self.ring.taken() < self.ring.pushed() {
            self.enter(false, None);
        }
    }

    fn reap(&mut self, out: &mut Vec<Completion<KernelFile>>) {
        self.workers.reap(out);
        if !self.refused {
            let has_unsubmitted = self.ring.taken() < self.ring.pushed();
            self.deferred_turns += u32::from(has_unsubmitted);
            if self.deferred_turns > MAX_DEFERRED_TURNS || self.ring.needs_enter() {
                self.enter(false, None);
            }
        }
        self.collect(|completion| out.push(completion));
    }

    fn read_now(file: &Arc<KernelFile>) -> Option<Arc<dyn ReadNow>> {
        PoolBackend::read_now(file)
    }

    fn forget_slab(&mut self, number: u32) {
        self.buffers.forget(&self.ring, number);
    }

    fn wait(&mut self, timeout: Option<Duration>) {
        if self.refused {
            return self.workers.wait(timeout);
        }
        if self.driver.arm() {
            self.doorbell_poll.arm(&mut self.ring);
            let bound = self.doorbell_poll.bound(timeout);
            let sleep = self.workers.before_sleep(bound);
            let begun = self.doorbell_poll.is_bound(timeout).then(Instant::now);
            self.enter(true, sleep.timeout);
            if let Some(begun) = begun {
                self.doorbell_poll
                    .check(self.driver.alarm(), begun.elapsed());
            }
            self.workers.after_sleep(sleep);
            self.driver.disarm();
        }
    }
}

/// Whether the kernel can begin the op without blocking.
fn is_for_the_ring(transfer: &Transfer<KernelFile>) -> bool {
    (transfer.is_read() || transfer.cache_mode == CacheMode::Direct) && transfer.file.may_use_ring()
}

impl Drop for UringBackend {
    /// Waits for ops in flight for up to [`DROP_TIMEOUT`], then leaks the memory of those that have
    /// not completed: a hung disk must not hang the caller (F45), and closing a ring does not wait
    /// for its ops.
    fn drop(&mut self) {
        let end = Instant::now() + DROP_TIMEOUT;
        while !self.refused && self.in_flight.len() > 0 {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            self.enter(true, Some(left));
            self.collect(drop);
        }
        let taken = self.ring.taken();
        drop(self.in_flight.take_unsubmitted(taken));
    }
}
