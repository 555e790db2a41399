//! The state of a file that callers and driver share.
//!
//! ```text
//!  caller, with the file's lock                  driver
//!  ────────────────────────────                  ──────
//!  caller state: stream ends, position           (locks it only to stop watching a file)
//!  accepted            ─────────────────────►
//!                      ◄─────────────────────    written, durable, failure, open state
//!  request bits        ─────────────────────►    taken from the inbox
//!  waiters             ◄────────────────────►    taken when a notification is due
//!  requested run       ─────────────────────►    epoch, position
//!                      ◄─────────────────────    the end of the run
//! ```

mod caller_state;
mod cold_state;
mod interest;
mod questions;
mod waiters;

pub use caller_state::{CallerState, RunBy};
pub use interest::{Interest, Notify};
pub use questions::{About, Question};

use super::Fd;
use super::requests::Requests;
use super::watermarks::Watermarks;
use crate::error::{Errno, Failure};
use crate::mode_status::ModeStatus;
use crate::stats::Counter;
use cold_state::ColdState;
use efio_sync::shim::atomic::{AtomicBool, AtomicI32, AtomicU8, AtomicU32, AtomicU64, Ordering};
use efio_sync::{CasCell, SpinLock};
use std::num::NonZeroU32;

/// The tag in the file's lock while a caller holds it.
pub const CALLER: NonZeroU32 = NonZeroU32::new(1).unwrap();
/// The tag in the file's lock while the driver holds it.
pub const DRIVER: NonZeroU32 = NonZeroU32::new(2).unwrap();

/// The state of the open of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenState {
    /// The kernel has not completed it.
    Pending,
    /// The kernel opened the file.
    Open,
    /// The kernel refused.
    Refused,
}

/// One entry of the table.
pub struct Slot {
    /// The callers' state, in the file's lock.
    pub caller: CasCell<CallerState>,
    /// The three marks.
    pub marks: Watermarks,
    /// Odd while a file is open through the slot.
    generation: AtomicU32,
    /// [`Requests`] bits.
    requests: AtomicU32,
    /// [`Interest`] bits: what the waiters in `cold` wait for, as a hint.
    interest: AtomicU8,
    /// [`OpenState`].
    state: AtomicU8,
    /// [`ModeStatus`].
    mode_status: AtomicU8,
    /// 0, or the errno of the file's failure.
    failed: AtomicI32,
    /// A call returned that failure.
    is_failure_reported: AtomicBool,
    lost_from: AtomicU64,
    /// Accepted bytes that have to be written before the requested run may read.
    read_after: AtomicU64,
    read_from: AtomicU64,
    read_epoch: AtomicU32,
    /// The run of which a read is in flight, or 0.
    read_in_flight: AtomicU32,
    /// A write is in flight.
    write_in_flight: AtomicBool,
    consumed: AtomicU64,
    /// The end of a run: `epoch << 32 | 1 + errno`; 0 while it goes on. Run 7 that ended with `EIO`
    /// (5): `0x0000_0007_0000_0006`.
    read_end: AtomicU64,
    /// The mark of the last requested sync.
    sync_to: AtomicU64,
    /// How many syncs were requested, and how many of them are answered.
    syncs_asked: AtomicU32,
    syncs_answered: AtomicU32,
    /// Reads that were answered at once: counted by the caller that holds the file's lock.
    pub reads_served: Counter,
    /// The rarely used state.
    cold: SpinLock<ColdState>,
}

impl Default for Slot {
    fn default() -> Self {
        Self::new()
    }
}

impl Slot {
    /// Creates a free slot.
    pub fn new() -> Self {
        Self {
            caller: CasCell::new(CallerState::default()),
            marks: Watermarks::default(),
            generation: AtomicU32::new(0),
            requests: AtomicU32::new(0),
            interest: AtomicU8::new(0),
            state: AtomicU8::new(0),
            mode_status: AtomicU8::new(0),
            failed: AtomicI32::new(0),
            is_failure_reported: AtomicBool::new(false),
            lost_from: AtomicU64::new(0),
            read_after: AtomicU64::new(0),
            read_from: AtomicU64::new(0),
            read_epoch: AtomicU32::new(0),
            read_in_flight: AtomicU32::new(0),
            write_in_flight: AtomicBool::new(false),
            consumed: AtomicU64::new(0),
            read_end: AtomicU64::new(0),
            sync_to: AtomicU64::new(0),
            syncs_asked: AtomicU32::new(0),
            syncs_answered: AtomicU32::new(0),
            reads_served: Counter::default(),
            cold: SpinLock::new(ColdState::default()),
        }
    }

    /// Returns the current generation: odd while a file is open.
    #[inline]
    pub fn generation(&self) -> u32 {
        // Acquire: pairs with the stores in `begin` and `end`.
        self.generation.load(Ordering::Acquire)
    }

    /// Resets a free slot for a new file, and returns the file's descriptor.
    pub fn begin(&self, index: u32) -> Fd {
        self.marks.reset();
        // Relaxed: no caller has the new generation before it is stored below.
        for word in [
            &self.requests,
            &self.read_epoch,
            &self.read_in_flight,
            &self.syncs_asked,
            &self.syncs_answered,
        ] {
            word.store(0, Ordering::Relaxed);
        }
        for word in [
            &self.lost_from,
            &self.read_after,
            &self.read_from,
            &self.consumed,
            &self.read_end,
            &self.sync_to,
        ] {
            word.store(0, Ordering::Relaxed);
        }
        self.write_in_flight.store(false, Ordering::Relaxed);
        self.is_failure_reported.store(false, Ordering::Relaxed);
        self.mode_status.store(0, Ordering::Relaxed);
        // Release: a reader with a stale descriptor then sees that its file ended. Pairs with
        // `open_state` and `failure`.
        self.state
            .store(OpenState::Pending as u8, Ordering::Release);
        self.failed.store(0, Ordering::Release);
        let generation = self.generation.load(Ordering::Relaxed) + 1;
        debug_assert_eq!(generation % 2, 1, "the slot was free");
        // Release: pairs with `generation`.
        self.generation.store(generation, Ordering::Release);
        Fd::new(index, generation)
    }

    /// Ends the generation: the descriptor is stale from now on. The caller holds the file's lock.
    pub fn end(&self) {
        // Relaxed load: only the holder of the file's lock changes it while a file is open.
        let generation = self.generation.load(Ordering::Relaxed);
        debug_assert_eq!(generation % 2, 1, "the slot was open");
        // Release: pairs with `generation`.
        self.generation.store(generation + 1, Ordering::Release);
    }

    /// Whether the generations are used up: the slot must not be used again.
    pub fn is_exhausted(&self) -> bool {
        self.generation() >= u32::MAX - 1
    }

    /// Sets the generation as after two thousand million files.
    #[cfg(test)]
    pub fn exhaust(&self) {
        self.generation.store(u32::MAX - 1, Ordering::Release);
    }

    /// Sets request bits, and returns those that were set before. If there were none, the caller
    /// has to queue the file.
    pub fn request(&self, bits: Requests) -> Requests {
        // AcqRel: the Release half pairs with `take_requests`, which then sees what the caller did
        // before. The Acquire half pairs with the Release half there, and orders a caller that
        // finds 0 after the call that took the bits.
        Requests(self.requests.fetch_or(bits.0, Ordering::AcqRel))
    }

    /// Whether any request bit is set.
    pub fn has_requests(&self) -> bool {
        // Relaxed: `take_requests` synchronises.
        self.requests.load(Ordering::Relaxed) != 0
    }

    /// Whether any of `bits` is set. The bit of a positional op is, if the calling thread has read
    /// an accepted mark above the op and has not taken the bit since.
    #[inline]
    pub fn has_requested(&self, bits: Requests) -> bool {
        // Relaxed: the accepted mark publishes it.
        Requests(self.requests.load(Ordering::Relaxed)).intersects(bits)
    }

    /// Takes all request bits.
    pub fn take_requests(&self) -> Requests {
        // AcqRel: pairs with `request`, see there.
        Requests(self.requests.swap(0, Ordering::AcqRel))
    }

    /// Returns the file's mode, and why it has it.
    pub fn mode_status(&self) -> ModeStatus {
        // Relaxed, as for the statistics: it orders nothing.
        ModeStatus::from_code(self.mode_status.load(Ordering::Relaxed))
    }

    /// Sets the file's mode. Only the driver does.
    pub fn set_mode_status(&self, status: ModeStatus) {
        self.mode_status.store(status.code(), Ordering::Relaxed);
    }

    /// Returns the state of the open.
    pub fn open_state(&self) -> OpenState {
        // Acquire: pairs with `set_open_state`.
        match self.state.load(Ordering::Acquire) {
            state if state == OpenState::Pending as u8 => OpenState::Pending,
            state if state == OpenState::Open as u8 => OpenState::Open,
            _ => OpenState::Refused,
        }
    }

    /// Returns whether the kernel has opened the file, or why it refused to.
    pub fn open_status(&self) -> Result<bool, Errno> {
        let (state, failure) = (self.open_state(), self.report_failure());
        match state {
            OpenState::Pending => Ok(false),
            OpenState::Open => Ok(true),
            OpenState::Refused => Err(failure.map_or(Errno(libc::EIO), |failure| failure.errno)),
        }
    }

    /// Sets the state of the open. Only the driver does.
    pub fn set_open_state(&self, state: OpenState) {
        // Release: pairs with `open_state`.
        self.state.store(state as u8, Ordering::Release);
    }

    /// Returns the file's failure, if it failed.
    #[inline]
    pub fn failure(&self) -> Option<Failure> {
        // Acquire: pairs with `fail`, so that the offset belongs to the errno.
        match self.failed.load(Ordering::Acquire) {
            0 => None,
            errno => {
                let offset = self.lost_from.load(Ordering::Relaxed);
                Some(Failure {
                    errno: Errno(errno),
                    offset,
                })
            }
        }
    }

    /// Returns the file's failure for a call that reports it.
    #[inline]
    pub fn report_failure(&self) -> Option<Failure> {
        let failure = self.failure();
        if failure.is_some() {
            // Relaxed: `was_failure_reported` reads it after the close of the file.
            self.is_failure_reported.store(true, Ordering::Relaxed);
        }
        failure
    }

    /// Whether a call returned the failure.
    pub fn was_failure_reported(&self) -> bool {
        self.is_failure_reported.load(Ordering::Relaxed)
    }

    /// Fails the file. Only the driver does, once.
    pub fn fail(&self, failure: Failure) {
        self.lost_from.store(failure.offset, Ordering::Relaxed);
        // Release: pairs with `failure`.
        self.failed.store(failure.errno.0, Ordering::Release);
    }

    /// Requests a run of read-ahead at `from`, once `after` accepted bytes are written. The caller
    /// sets a request bit afterwards.
    pub fn request_run(&self, epoch: u32, from: u64, after: u64) {
        // Relaxed: the epoch publishes them.
        self.consumed.store(0, Ordering::Relaxed);
        self.read_after.store(after, Ordering::Relaxed);
        self.read_from.store(from, Ordering::Relaxed);
        // Release: pairs with `requested_run`: a driver that sees the epoch sees its position.
        self.read_epoch.store(epoch, Ordering::Release);
    }

    /// Returns the last requested run: its epoch, its position, and how many accepted bytes must be
    /// written before it.
    pub fn requested_run(&self) -> (u32, u64, u64) {
        // Acquire: pairs with `request_run`.
        let epoch = self.read_epoch.load(Ordering::Acquire);
        let from = self.read_from.load(Ordering::Relaxed);
        (epoch, from, self.read_after.load(Ordering::Relaxed))
    }

    /// Returns how many accepted bytes must be written before the last requested run. The caller
    /// holds the file's lock.
    pub fn run_after(&self) -> u64 {
        // Relaxed: only callers write it, and the file's lock orders them.
        self.read_after.load(Ordering::Relaxed)
    }

    /// Sets how many bytes callers consumed in the run.
    pub fn set_consumed(&self, bytes: u64) {
        // Relaxed: a hint for the window; a request bit follows when it matters.
        self.consumed.store(bytes, Ordering::Relaxed);
    }

    /// Returns how many bytes callers consumed in the run.
    pub fn consumed(&self) -> u64 {
        self.consumed.load(Ordering::Relaxed)
    }

    /// Sets the run of which a read is in flight. Only the driver does.
    pub fn set_read_in_flight(&self, epoch: Option<u32>) {
        // Relaxed: a hint. A caller that finds it out of date waits a moment longer, or notifies
        // the driver for nothing.
        self.read_in_flight
            .store(epoch.unwrap_or(0), Ordering::Relaxed);
    }

    /// Whether a read of run `epoch` is in flight.
    pub fn is_read_in_flight(&self, epoch: u32) -> bool {
        self.read_in_flight.load(Ordering::Relaxed) == epoch
    }

    /// Sets whether a write is in flight. Only the driver does.
    pub fn set_write_in_flight(&self, in_flight: bool) {
        // Relaxed: a hint, as `read_in_flight` is.
        self.write_in_flight.store(in_flight, Ordering::Relaxed);
    }

    /// Whether a write is in flight.
    pub fn is_write_in_flight(&self) -> bool {
        self.write_in_flight.load(Ordering::Relaxed)
    }

    /// Publishes the end of run `epoch`, after all bytes that were delivered. Only the driver does.
    pub fn end_run(&self, epoch: u32, result: Result<(), Errno>) {
        let errno = result.err().map_or(0, |errno| errno.0 as u64);
        // Release: pairs with `run_ended`: a caller that sees the end sees the bytes before it.
        self.read_end
            .store(u64::from(epoch) << 32 | (errno + 1), Ordering::Release);
    }

    /// Whether run `epoch` has ended, and no caller has taken its end yet.
    pub fn run_ended(&self, epoch: u32) -> bool {
        // Acquire: pairs with `end_run`.
        let end = self.read_end.load(Ordering::Acquire);
        end != 0 && (end >> 32) as u32 == epoch
    }

    /// Takes the end of a run that [`run_ended`](Self::run_ended).
    pub fn take_run_end(&self) -> Result<(), Errno> {
        let result = self.run_end();
        // Relaxed: the driver stores the next end only after the caller asked for more, so this
        // store cannot overwrite one.
        self.read_end.store(0, Ordering::Relaxed);
        result
    }

    /// Returns the result of a run that [`run_ended`](Self::run_ended).
    pub fn run_end(&self) -> Result<(), Errno> {
        // Relaxed: `run_ended` has synchronised.
        let end = self.read_end.load(Ordering::Relaxed);
        match (end as u32) as i32 - 1 {
            0 => Ok(()),
            errno => Err(Errno(errno)),
        }
    }

    /// Requests a sync up to `mark`; the request bit that follows publishes it.
    pub fn request_sync(&self, mark: u64) {
        self.sync_to.store(mark, Ordering::Relaxed);
        self.syncs_asked.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns how many syncs were requested. The driver calls this after it took a request bit.
    pub fn syncs_asked(&self) -> u32 {
        self.syncs_asked.load(Ordering::Relaxed)
    }

    /// Answers the first `count` requested syncs. Only the driver does.
    pub fn answer_syncs(&self, count: u32) {
        // Release: pairs with `syncs_are_answered`, for the durable mark.
        self.syncs_answered.store(count, Ordering::Release);
    }

    /// Whether every requested sync is answered. The caller holds the file's lock.
    pub fn syncs_are_answered(&self) -> bool {
        // Acquire: pairs with `answer_syncs`.
        self.syncs_answered.load(Ordering::Acquire) == self.syncs_asked()
    }

    /// Returns the mark of the last requested sync.
    pub fn requested_sync(&self) -> u64 {
        self.sync_to.load(Ordering::Relaxed)
    }
}
