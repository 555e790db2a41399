//! What the two sides of a file share.
//!
//! ```text
//!  caller, with custody                          driver
//!  ─────────────────────                         ──────
//!  ends: stream ends, position   custody         (takes it only to stop watching a file)
//!  accepted            ─────────────────────►
//!                      ◄─────────────────────    written, durable, failure, state
//!  attention bits      ─────────────────────►    taken when it looks
//!  waiting bits        ◄────────────────────►    taken when an event is due
//!  read request        ─────────────────────►    epoch, position
//!                      ◄─────────────────────    how the run ended
//! ```

use super::Fd;
use super::caller_state::CallerState;
use super::cold_state::ColdState;
use super::requests::Requests;
use super::waiters::Waiters;
use super::watermarks::Watermarks;
use crate::error::{Errno, Failure};
use crate::mode_status::ModeStatus;
use crate::stats::Counter;
use efio_sync::shim::atomic::{AtomicBool, AtomicI32, AtomicU8, AtomicU32, AtomicU64, Ordering};
use efio_sync::{CasCell, SpinLock};
use std::num::NonZeroU32;

/// Custody tag of callers.
pub const CALLER: NonZeroU32 = NonZeroU32::new(1).unwrap();
/// Custody tag of the driver.
pub const DRIVER: NonZeroU32 = NonZeroU32::new(2).unwrap();

/// How far the open of a file has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenState {
    /// The backend works on it.
    Pending,
    /// The kernel opened the file.
    Open,
    /// The kernel refused.
    Refused,
}

/// One entry of the table.
pub struct Slot {
    /// The caller's ends.
    pub caller: CasCell<CallerState>,
    /// The three marks.
    pub marks: Watermarks,
    /// Odd while a file is open through the slot.
    generation: AtomicU32,
    /// [`Attention`] bits.
    requests: AtomicU32,
    /// [`Waiting`](super::Waiting) bits, of event loops and of tasks.
    pub(super) interest: AtomicU32,
    /// The tasks.
    pub waiters: Waiters,
    /// [`OpenState`].
    state: AtomicU8,
    /// [`Manner`].
    mode_status: AtomicU8,
    /// 0, or the errno that poisoned the file.
    failed: AtomicI32,
    /// A call returned that failure.
    is_failure_reported: AtomicBool,
    lost_from: AtomicU64,
    /// Accepted bytes that have to be written before the requested run may read.
    read_after: AtomicU64,
    read_from: AtomicU64,
    read_epoch: AtomicU32,
    /// The run of which the driver has something on its way, or 0.
    read_in_flight: AtomicU32,
    /// A write is under way.
    write_in_flight: AtomicBool,
    /// Positional changes that have places in the accepted sequence.
    sequenced_ops: AtomicU32,
    consumed: AtomicU64,
    /// How a run ended: `epoch << 32 | 1 + errno`; 0 while it goes on.
    read_end: AtomicU64,
    /// The mark of the last sync asked for.
    sync_to: AtomicU64,
    /// How many syncs were asked for, and how many of them are answered.
    syncs_asked: AtomicU32,
    syncs_answered: AtomicU32,
    /// Reads that were answered at once: counted by the caller that has custody.
    pub reads_served: Counter,
    /// What it has at times only.
    pub(super) cold: SpinLock<ColdState>,
}

impl Default for Slot {
    fn default() -> Self {
        Self::new()
    }
}

impl Slot {
    /// A free slot.
    pub fn new() -> Self {
        Self {
            caller: CasCell::new(CallerState::default()),
            marks: Watermarks::default(),
            generation: AtomicU32::new(0),
            requests: AtomicU32::new(0),
            interest: AtomicU32::new(0),
            waiters: Waiters::default(),
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
            sequenced_ops: AtomicU32::new(0),
            consumed: AtomicU64::new(0),
            read_end: AtomicU64::new(0),
            sync_to: AtomicU64::new(0),
            syncs_asked: AtomicU32::new(0),
            syncs_answered: AtomicU32::new(0),
            reads_served: Counter::default(),
            cold: SpinLock::new(ColdState::default()),
        }
    }

    /// The current generation: odd while a file is open.
    #[inline]
    pub fn generation(&self) -> u32 {
        // Acquire: pairs with the stores in `begin` and `end`.
        self.generation.load(Ordering::Acquire)
    }

    /// Begins the life of a file in a slot that was free: everything back to its start.
    pub fn begin(&self, index: u32) -> Fd {
        self.marks.reset();
        // Relaxed: nobody knows the new generation before it is stored below.
        for word in [
            &self.requests,
            &self.interest,
            &self.read_epoch,
            &self.read_in_flight,
            &self.sequenced_ops,
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
        self.write_in_flight.store(false, Ordering::Relaxed);
        // Release: who looks at them through a stale descriptor sees then that its file ended.
        self.state
            .store(OpenState::Pending as u8, Ordering::Release);
        self.failed.store(0, Ordering::Release);
        let generation = self.generation.load(Ordering::Relaxed) + 1;
        debug_assert_eq!(generation % 2, 1, "the slot was free");
        // Release: pairs with `generation`.
        self.generation.store(generation, Ordering::Release);
        Fd::new(index, generation)
    }

    /// Ends it: the descriptor is stale from now on. The caller has custody.
    pub fn end(&self) {
        // Relaxed load: only the holder of custody changes it while a file is open.
        let generation = self.generation.load(Ordering::Relaxed);
        debug_assert_eq!(generation % 2, 1, "the slot was open");
        // Release: pairs with `generation`.
        self.generation.store(generation + 1, Ordering::Release);
    }

    /// Whether the generations are used up: the slot must not be used again.
    pub fn is_exhausted(&self) -> bool {
        self.generation() >= u32::MAX - 1
    }

    /// As after two thousand million files.
    #[cfg(test)]
    pub fn exhaust(&self) {
        self.generation.store(u32::MAX - 1, Ordering::Release);
    }

    /// Sets attention bits; those that were set before. When there were none, the file has to be
    /// queued.
    pub fn request(&self, bits: Requests) -> Requests {
        // AcqRel: the Release half pairs with `take_attention`, which then sees what the caller
        // did before; the Acquire half, with the Release half there, orders a caller that finds 0
        // behind the look that took the bits.
        Requests(self.requests.fetch_or(bits.0, Ordering::AcqRel))
    }

    /// Whether there is any.
    pub fn has_requests(&self) -> bool {
        // Relaxed: whoever takes them synchronises.
        self.requests.load(Ordering::Relaxed) != 0
    }

    /// Takes all attention bits.
    pub fn take_requests(&self) -> Requests {
        // AcqRel: with `attend`, see there.
        Requests(self.requests.swap(0, Ordering::AcqRel))
    }

    /// How the bytes go, and why.
    pub fn mode_status(&self) -> ModeStatus {
        // Relaxed, as for the statistics: it orders nothing.
        ModeStatus::from_code(self.mode_status.load(Ordering::Relaxed))
    }

    /// The driver knows how the bytes go.
    pub fn set_mode_status(&self, status: ModeStatus) {
        self.mode_status.store(status.code(), Ordering::Relaxed);
    }

    /// How far the open has come.
    pub fn open_state(&self) -> OpenState {
        // Acquire: pairs with `set_open_state`.
        match self.state.load(Ordering::Acquire) {
            state if state == OpenState::Pending as u8 => OpenState::Pending,
            state if state == OpenState::Open as u8 => OpenState::Open,
            _ => OpenState::Refused,
        }
    }

    /// The driver's answer to the open.
    pub fn set_open_state(&self, state: OpenState) {
        // Release: pairs with `open_state`.
        self.state.store(state as u8, Ordering::Release);
    }

    /// What poisoned the file, if anything did.
    #[inline]
    pub fn failure(&self) -> Option<Failure> {
        // Acquire: pairs with `poison`, so that the offset belongs to the errno.
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

    /// The same for a call that returns it.
    #[inline]
    pub fn report_failure(&self) -> Option<Failure> {
        let failure = self.failure();
        if failure.is_some() {
            // Relaxed: with `failure_was_heard`, behind the close of the file.
            self.is_failure_reported.store(true, Ordering::Relaxed);
        }
        failure
    }

    /// Whether a call returned the failure.
    pub fn was_failure_reported(&self) -> bool {
        self.is_failure_reported.load(Ordering::Relaxed)
    }

    /// Poisons the file. Only the driver does, once.
    pub fn fail(&self, failure: Failure) {
        self.lost_from.store(failure.offset, Ordering::Relaxed);
        // Release: pairs with `failure`.
        self.failed.store(failure.errno.0, Ordering::Release);
    }

    /// Asks for a run of read-ahead at `from`, once `after` accepted bytes are written. The caller
    /// sets an attention bit afterwards.
    pub fn request_run(&self, epoch: u32, from: u64, after: u64) {
        // Relaxed: the epoch publishes them.
        self.consumed.store(0, Ordering::Relaxed);
        self.read_after.store(after, Ordering::Relaxed);
        self.read_from.store(from, Ordering::Relaxed);
        // Release: pairs with `requested_run`: who sees the epoch sees its position.
        self.read_epoch.store(epoch, Ordering::Release);
    }

    /// The run asked for last: epoch, position, and what must be written before it.
    pub fn requested_run(&self) -> (u32, u64, u64) {
        // Acquire: pairs with `request_run`.
        let epoch = self.read_epoch.load(Ordering::Acquire);
        let from = self.read_from.load(Ordering::Relaxed);
        (epoch, from, self.read_after.load(Ordering::Relaxed))
    }

    /// What must be written before the run asked for last. The caller, who asked, has custody.
    pub fn run_after(&self) -> u64 {
        // Relaxed: callers alone write it, and custody orders them.
        self.read_after.load(Ordering::Relaxed)
    }

    /// The caller's count of bytes consumed in the run.
    pub fn set_consumed(&self, bytes: u64) {
        // Relaxed: a hint for the window; an attention bit follows when it matters.
        self.consumed.store(bytes, Ordering::Relaxed);
    }

    /// The count of [`set_consumed`](Self::set_consumed).
    pub fn consumed(&self) -> u64 {
        self.consumed.load(Ordering::Relaxed)
    }

    /// The driver's: of which run something is on its way.
    pub fn set_read_in_flight(&self, epoch: Option<u32>) {
        // Relaxed: a hint. Who finds it out of date waits a moment longer, or rings for nothing.
        self.read_in_flight
            .store(epoch.unwrap_or(0), Ordering::Relaxed);
    }

    /// Whether something of run `epoch` is on its way.
    pub fn is_read_in_flight(&self, epoch: u32) -> bool {
        self.read_in_flight.load(Ordering::Relaxed) == epoch
    }

    /// The driver's: whether a write is under way.
    pub fn set_write_in_flight(&self, going: bool) {
        // Relaxed: a hint, as `coming` is.
        self.write_in_flight.store(going, Ordering::Relaxed);
    }

    /// Whether a write is under way.
    pub fn is_write_in_flight(&self) -> bool {
        self.write_in_flight.load(Ordering::Relaxed)
    }

    /// Says how run `epoch` ended, behind all bytes that were delivered.
    pub fn end_run(&self, epoch: u32, result: Result<(), Errno>) {
        let errno = result.err().map_or(0, |errno| errno.0 as u64);
        // Release: pairs with `run_ended`: who sees the end sees the bytes before it.
        self.read_end
            .store(u64::from(epoch) << 32 | (errno + 1), Ordering::Release);
    }

    /// Whether run `epoch` ended and the caller does not know it yet.
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

    /// How a run ended that [`run_ended`](Self::run_ended).
    pub fn run_end(&self) -> Result<(), Errno> {
        // Relaxed: `run_ended` has synchronised.
        let end = self.read_end.load(Ordering::Relaxed);
        match (end as u32) as i32 - 1 {
            0 => Ok(()),
            errno => Err(Errno(errno)),
        }
    }

    /// Counts a positional change, before the accepted mark is raised over it.
    pub fn set_sequenced_ops(&self, count: u32) {
        // Relaxed: the accepted mark publishes it.
        self.sequenced_ops.store(count, Ordering::Relaxed);
    }

    /// How many positional changes there are below the accepted mark, or above it, for whoever has
    /// looked at the mark.
    pub fn sequenced_ops(&self) -> u32 {
        self.sequenced_ops.load(Ordering::Relaxed)
    }

    /// Asks for a sync up to `mark`; an attention bit follows, which publishes it.
    pub fn request_sync(&self, mark: u64) {
        self.sync_to.store(mark, Ordering::Relaxed);
        self.syncs_asked.fetch_add(1, Ordering::Relaxed);
    }

    /// How many syncs were asked for; the driver looks behind an attention bit.
    pub fn syncs_asked(&self) -> u32 {
        self.syncs_asked.load(Ordering::Relaxed)
    }

    /// The driver's: the first `count` syncs that were asked for are answered.
    pub fn answer_syncs(&self, count: u32) {
        // Release: pairs with `syncs_are_answered`, for the durable mark.
        self.syncs_answered.store(count, Ordering::Release);
    }

    /// Whether every sync that was asked for is answered. The caller has custody.
    pub fn syncs_are_answered(&self) -> bool {
        // Acquire: pairs with `answer_syncs`.
        self.syncs_answered.load(Ordering::Acquire) == self.syncs_asked()
    }

    /// The mark of the last sync asked for.
    pub fn requested_sync(&self) -> u64 {
        self.sync_to.load(Ordering::Relaxed)
    }
}
