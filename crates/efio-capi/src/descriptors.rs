//! The descriptors of C: small numbers, each with the file that it names now.
//!
//! A number is used again only after all others, in the order of their closes. So a stale number
//! names no file until as many files as the table may have were opened after its close. The numbers
//! outlive a shutdown: those of one engine name nothing in the next.
//!
//! ```text
//!           take, begin        claim_close         close_done        give_back
//!  fresh ────────────► OPEN ─────────────► CLOSING ─────────► CLOSED ────────► free list
//!   or free list        └──────────── close_all ────────────────▲
//! ```
//!
//! Example, with a limit of 4 files: numbers 0 and 1 are open, then 1 is closed, then 0. The next
//! opens get 2, 3, 1, 0.

use crate::ffi::error;
use crate::segments::Segments;
use efio_core::{Errno, Fd};
use efio_queue::SegQueue;
use std::ffi::c_int;
use std::io;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// All descriptors of the process.
pub static DESCRIPTORS: Descriptors = Descriptors::new();

/// The phase of a number, in the two lowest bits of a descriptor's state.
const PHASE: u32 = 0b11;
const OPEN: u32 = 1;
const CLOSING: u32 = 2;
const CLOSED: u32 = 3;
/// The kernel opened the file.
const OPENED: u32 = 1 << 2;
/// The library closes the file after a failed open: the callback is not called.
const QUIET: u32 = 1 << 3;
/// Open for writing.
const WRITABLE: u32 = 1 << 5;
/// The bits above: the errno with which the file was closed.
const ERRNO_SHIFT: u32 = 8;

/// One number.
#[derive(Default)]
pub struct Descriptor {
    /// The file as the engine names it; 0 names none.
    fd: AtomicU64,
    state: AtomicU32,
}

/// How far a close has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseState {
    /// The number was never given out.
    Unknown,
    /// The file is open.
    Open,
    /// The close is pending.
    Closing,
    /// The close is done, with this result.
    Closed(Result<(), Errno>),
}

impl Descriptor {
    /// The file as the engine names it, which may be closed by now.
    #[inline]
    pub fn fd(&self) -> Fd {
        // Acquire: pairs with `begin`.
        Fd::from_bits(self.fd.load(Ordering::Acquire))
    }

    /// Makes the number, which [`Descriptors::take`] has returned, name `fd`.
    pub fn begin(&self, fd: Fd, writable: bool) {
        let writable = if writable { WRITABLE } else { 0 };
        let state = OPEN | writable;
        // Relaxed: a thread that loads the new file, stored below, sees its state.
        self.state.store(state, Ordering::Relaxed);
        // Release: pairs with `fd`.
        self.fd.store(fd.to_bits(), Ordering::Release);
    }

    /// Marks the file as opened by the kernel.
    pub fn opened(&self) {
        self.state.fetch_or(OPENED, Ordering::AcqRel);
    }

    /// Whether the kernel opened the file.
    pub fn is_opened(&self) -> bool {
        self.state.load(Ordering::Acquire) & OPENED != 0
    }

    /// Whether the file is open for writing.
    pub fn is_writable(&self) -> bool {
        self.state.load(Ordering::Acquire) & WRITABLE != 0
    }

    /// Makes the caller the one that closes the file; `false` when another call is. `quietly`: the
    /// callback is not called.
    pub fn claim_close(&self, quietly: bool) -> bool {
        let quiet = if quietly { QUIET } else { 0 };
        let claim = |state| (state & PHASE == OPEN).then_some(state - OPEN + CLOSING + quiet);
        // AcqRel: one of several closers wins, and sees what the others did before.
        self.state
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, claim)
            .is_ok()
    }

    /// Marks the file as closed. Returns whether the callback is to be called.
    pub fn close_done(&self, result: Result<(), Errno>) -> bool {
        let errno = result.err().map_or(0, |errno| errno.0 as u32);
        let state = CLOSED | errno << ERRNO_SHIFT;
        // AcqRel: pairs with `close_state`.
        self.state.swap(state, Ordering::AcqRel) & QUIET == 0
    }

    /// Returns how far a close has come.
    pub fn close_state(&self) -> CloseState {
        // Acquire: pairs with `close_done`.
        let state = self.state.load(Ordering::Acquire);
        match state & PHASE {
            OPEN => CloseState::Open,
            CLOSING => CloseState::Closing,
            CLOSED => match state >> ERRNO_SHIFT {
                0 => CloseState::Closed(Ok(())),
                errno => CloseState::Closed(Err(Errno(errno as i32))),
            },
            _ => CloseState::Unknown,
        }
    }
}

/// The table of numbers. The first is 0, as in the original.
pub struct Descriptors {
    table: Segments<Descriptor>,
    /// Numbers from here on were never given out.
    fresh: AtomicU32,
    /// Numbers that were used and are free again, oldest first.
    free: SegQueue<u32>,
}

impl Descriptors {
    const fn new() -> Self {
        Self {
            table: Segments::new(),
            fresh: AtomicU32::new(0),
            free: SegQueue::new(),
        }
    }

    /// Returns the descriptor of `number`.
    ///
    /// # Errors
    ///
    /// `EBADF` for a number that was never given out.
    #[inline]
    pub fn get(&self, number: c_int) -> io::Result<&Descriptor> {
        u32::try_from(number)
            .ok()
            .and_then(|number| self.table.get(number))
            .ok_or_else(|| error(libc::EBADF))
    }

    /// Takes a number for a new file: a fresh one up to `limit`, then the one that was closed
    /// first.
    ///
    /// # Errors
    ///
    /// `EMFILE` when all are in use.
    pub fn take(&self, limit: u32) -> io::Result<u32> {
        let number = self.fresh_number(limit).or_else(|| self.free.pop());
        number
            .filter(|&number| self.table.get_or_make(number).is_some())
            .ok_or_else(|| error(libc::EMFILE))
    }

    fn fresh_number(&self, limit: u32) -> Option<u32> {
        // Relaxed: the counter only deals out numbers.
        let before = self
            .fresh
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |fresh| {
                (fresh < limit).then_some(fresh + 1)
            });
        before.ok()
    }

    /// Returns a number that is not used any more to the free list.
    pub fn give_back(&self, number: u32) {
        if self.free.push(number).is_err() {
            // No memory: this number is never used again.
        }
    }

    /// After the end of the engine: no number names a file. Open ones are closed with `ESHUTDOWN`.
    pub fn close_all(&self) {
        for number in 0..self.fresh.load(Ordering::Relaxed) {
            let Some(descriptor) = self.table.get(number) else {
                continue;
            };
            descriptor.fd.store(0, Ordering::Release);
            if let CloseState::Open | CloseState::Closing = descriptor.close_state() {
                descriptor.close_done(Err(Errno(libc::ESHUTDOWN)));
                self.give_back(number);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OK: Result<(), Errno> = Ok(());

    #[test]
    fn a_number_is_used_again_after_all_others() {
        let table = Descriptors::new();
        let close = |number| {
            let descriptor = table.get(number as c_int).unwrap();
            assert!(descriptor.claim_close(false));
            assert!(descriptor.close_done(OK));
            table.give_back(number);
        };
        let open = || {
            let number = table.take(4).unwrap();
            let descriptor = table.get(number as c_int).unwrap();
            descriptor.begin(Fd::from_bits(u64::from(number)), true);
            number
        };
        assert_eq!((open(), open()), (0, 1));
        close(1);
        close(0);
        let numbers = [open(), open(), open(), open()];
        assert_eq!(numbers, [2, 3, 1, 0]);
        let full = table.take(4).unwrap_err();
        assert_eq!(full.raw_os_error(), Some(libc::EMFILE));
        close(3);
        assert_eq!(open(), 3);
    }

    #[test]
    fn a_close_is_reported_once_and_remembered() {
        let table = Descriptors::new();
        for wild in [c_int::MIN, -1, 0, 1, 1000, c_int::MAX] {
            let error = table.get(wild).err().expect("never given out");
            assert_eq!(error.raw_os_error(), Some(libc::EBADF), "{wild}");
        }
        let number = table.take(1).unwrap();
        let descriptor = table.get(number as c_int).unwrap();
        assert_eq!(descriptor.close_state(), CloseState::Unknown);
        descriptor.begin(Fd::from_bits(1 << 32), false);
        assert!(!descriptor.is_writable() && !descriptor.is_opened());
        descriptor.opened();
        assert!(descriptor.is_opened());
        assert_eq!(descriptor.close_state(), CloseState::Open);
        assert!(descriptor.claim_close(false));
        assert!(!descriptor.claim_close(false), "another call closes it");
        assert_eq!(descriptor.close_state(), CloseState::Closing);
        assert!(descriptor.close_done(Err(Errno(libc::EIO))));
        let failed = CloseState::Closed(Err(Errno(libc::EIO)));
        assert_eq!(descriptor.close_state(), failed);
        assert!(!descriptor.claim_close(false), "it is closed");

        descriptor.begin(Fd::from_bits(3 << 32), true);
        assert!(descriptor.is_writable());
        assert!(descriptor.claim_close(true));
        assert!(!descriptor.close_done(OK), "quietly");
        assert_eq!(descriptor.close_state(), CloseState::Closed(OK));
    }

    #[test]
    fn after_a_shutdown_no_number_names_a_file() {
        let table = Descriptors::new();
        for bits in [1 << 32, 3 << 32] {
            let number = table.take(8).unwrap();
            let descriptor = table.get(number as c_int).unwrap();
            descriptor.begin(Fd::from_bits(bits), true);
        }
        table.get(1).unwrap().claim_close(false);
        table.get(1).unwrap().close_done(OK);
        table.give_back(1);
        table.close_all();
        assert_eq!(table.get(0).unwrap().fd().to_bits(), 0);
        assert_eq!(table.get(1).unwrap().fd().to_bits(), 0);
        let gone = CloseState::Closed(Err(Errno(libc::ESHUTDOWN)));
        assert_eq!(table.get(0).unwrap().close_state(), gone);
        assert_eq!(table.get(1).unwrap().close_state(), CloseState::Closed(OK));
        assert_eq!(
            [table.take(0).unwrap(), table.take(0).unwrap()],
            [1, 0],
            "each is free once"
        );
        assert!(table.take(0).is_err());
    }
}
