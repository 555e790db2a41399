//! The uring backend: direct reads and writes through one io_uring, everything else on a crew.
//!
//! ```text
//!          ┌─ direct IO, reads ──► ring ──┐ one io_uring_enter submits,
//!  Driver ─┤                              ├─ waits for completions, for the
//!          └─ open, buffered writes, ─► crew ─┘ doorbell and for the time
//!             sync, close
//! ```
//!
//! What has to wait inside the kernel would be given to a kernel thread by the ring: an open that
//! makes a file, a sync, and each buffered write on most file systems. Our own crew, which is the
//! one of the pool backend, does the same at a lower price, and the ring never waits.
//!
//! The driver thread makes the ring, is the only one to use it, and drops it. The descriptor is
//! close-on-exec (F56); a forked child has neither the driver thread nor the ring's memory, so it
//! cannot submit anything (F51).

mod buffers;
mod doorbell;
mod in_flight;
mod ring;
#[cfg(test)]
mod tests;

use super::{Backend, PoolBackend};
use crate::config::Config;
use crate::op::{CacheMode, Completion, FileId, Op, ReadNow, Request};
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

/// Ops that the ring has at a time, the poll of the doorbell among them.
const DEPTH: u32 = 256;
/// An op of this many bytes does not wait for others to go along: the disk works on it while the
/// driver maps memory for the next one.
const LARGE: usize = 256 << 10;
/// Turns that an op may wait for others to go along in one system call.
const MAX_DEFERRED_TURNS: u32 = 2;
/// How long to stay away from a kernel that has no memory for us now.
const BUSY_PAUSE: Duration = Duration::from_millis(1);
/// How long a dropped backend waits for what the kernel has.
const DROP_TIMEOUT: Duration = Duration::from_millis(50);
/// Marks the completion of the operation that tries the ring out.
const TRIAL: u64 = u64::MAX - 1;

/// An io_uring and a crew beside it.
pub struct UringBackend {
    // The ring goes first: only then may the memory of its ops go. What the kernel is still at,
    // `drop` has put aside by then.
    ring: Ring,
    in_flight: InFlight,
    buffers: Buffers,
    bell: DoorbellPoll,
    workers: PoolBackend,
    driver: Arc<Doorbell<EventFd>>,
    counters: Arc<Counters>,
    /// Turns since something was pushed that the kernel has not taken.
    waited: u32,
    /// The kernel refuses to be entered: the crew does everything.
    refused: bool,
}

impl UringBackend {
    /// Makes the ring and tries it out, and starts the crew. To be called by the driver thread.
    ///
    /// # Errors
    ///
    /// What [`Ring::new`] says, `EPERM` or the like when only entering is forbidden; and what
    /// [`PoolBackend::start`] says.
    pub fn start(
        config: &Config,
        driver: Arc<Doorbell<EventFd>>,
        counters: Arc<Counters>,
    ) -> io::Result<Self> {
        let mut ring = Ring::new(DEPTH)?;
        let mut bell = DoorbellPoll::new(driver.alarm());
        bell.arm(&mut ring);
        try_out(&mut ring, &mut bell)?;
        Ok(Self {
            buffers: Buffers::new(&ring, config.memory_budget),
            ring,
            in_flight: InFlight::default(),
            bell,
            workers: PoolBackend::start(config, Arc::clone(&driver))?,
            driver,
            counters,
            waited: 0,
            refused: false,
        })
    }

    /// Enters the kernel, which may refuse.
    fn enter(&mut self, wait: bool, timeout: Option<Duration>) {
        self.waited = 0;
        self.counters.ring_enters.add(1);
        match self.ring.enter(wait, timeout) {
            EnterResult::Done => {}
            // Completions are there, or will be told by the bell.
            EnterResult::Busy if wait => {
                let short = timeout.map_or(BUSY_PAUSE, |timeout| timeout.min(BUSY_PAUSE));
                self.driver.alarm().wait(Some(short));
                self.driver.alarm().clear();
            }
            EnterResult::Busy => {}
            EnterResult::Fatal => self.abandon_ring(),
        }
    }

    /// From now on the crew does everything. What the kernel took and never told is lost, and its
    /// memory with it; the driver waits for it no longer than for a disk that hangs.
    fn abandon_ring(&mut self) {
        self.refused = true;
        self.counters.rings_lost.add(1);
        let taken = self.ring.taken();
        for request in self.in_flight.take_unsubmitted(taken) {
            self.workers.begin(request);
        }
    }

    /// Takes the completions out of the ring.
    fn collect(&mut self, mut take: impl FnMut(Completion<KernelFile>)) {
        while let Some(entry) = self.ring.pop() {
            match entry.user_data() {
                DOORBELL => self.bell.on_notified(&entry),
                name => match self.in_flight.complete(name, entry.result()) {
                    Some(completion) => take(completion),
                    None => self.counters.stray_completions.add(1),
                },
            }
        }
    }
}

/// Whether the kernel lets us enter, too, and polls a doorbell: one operation that does nothing.
fn try_out(ring: &mut Ring, bell: &mut DoorbellPoll) -> io::Result<()> {
    let nop = opcode::Nop::new().build().user_data(TRIAL);
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
                DOORBELL => bell.on_notified(&entry),
                name => is_done |= name == TRIAL,
            }
        }
    }
    Ok(())
}

impl Backend for UringBackend {
    type File = KernelFile;

    fn submit(&mut self, request: Request<KernelFile>) -> Result<(), Request<KernelFile>> {
        if self.refused || !is_for_the_ring(&request.op) {
            return self.workers.submit(request);
        }
        if self.in_flight.len() + 1 >= DEPTH as usize {
            return Err(request);
        }
        let large = request.op.bytes() >= LARGE;
        let pushed = self
            .in_flight
            .push(&mut self.ring, &mut self.buffers, request);
        match pushed {
            Ok(fixed) => {
                self.counters.ring_ops.add(1);
                self.counters.ring_unregistered.add(u64::from(!fixed));
                if large {
                    self.enter(false, None);
                }
                Ok(())
            }
            // The crew says what is wrong with it.
            Err(request) => self.workers.submit(request),
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
            let behind = self.ring.taken() < self.ring.pushed();
            self.waited += u32::from(behind);
            if self.waited > MAX_DEFERRED_TURNS || self.ring.needs_enter() {
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
            self.bell.arm(&mut self.ring);
            let sleep = self.workers.before_sleep(self.bell.bound(timeout));
            let begun = self.bell.is_bound(timeout).then(Instant::now);
            self.enter(true, sleep.timeout);
            if let Some(begun) = begun {
                self.bell.look(self.driver.alarm(), begun.elapsed());
            }
            self.workers.after_sleep(sleep);
            self.driver.disarm();
        }
    }
}

/// Whether the kernel can begin the op without waiting.
fn is_for_the_ring(op: &Op<KernelFile>) -> bool {
    match op {
        Op::Read { file, .. } => file.may_use_ring(),
        Op::Write {
            file, cache_mode, ..
        }
        | Op::WriteBlock {
            file, cache_mode, ..
        } => *cache_mode == CacheMode::Direct && file.may_use_ring(),
        _ => false,
    }
}

impl Drop for UringBackend {
    /// Waits a moment for what the kernel has, and gives up the memory of what is not done then: a
    /// hung disk must not hang the caller (F45), and closing a ring does not wait for its ops.
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
