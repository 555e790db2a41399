//! One io_uring: its set-up, pushing entries, and the one system call that submits and waits.
//!
//! The kernel reads the tail of the submission queue with Acquire inside `io_uring_enter` and
//! publishes the tail of the completion queue with Release; the `io-uring` crate has the other
//! half of both pairs.

use efio_sync::shim::kernel_time::seconds_and_nanos;
use io_uring::squeue::Entry;
use io_uring::types::{SubmitArgs, Timespec};
use io_uring::{Builder, EnterFlags, IoUring, Probe, cqueue, opcode};
use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::{AsRawFd, RawFd};
use std::time::Duration;

/// A ring that belongs to the thread that created it.
pub struct Ring {
    io: ManuallyDrop<IoUring>,
    /// Entries pushed so far.
    pushed: u64,
}

/// The result of entering the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EnterResult {
    /// The kernel did what was asked, the timeout passed, or a signal came.
    Done,
    /// The kernel has no memory, or no room for completions: retry after a while.
    Busy,
    /// The kernel refuses this ring from now on.
    Fatal,
}

/// The operations that the kernel has to support.
const NEEDED: [u8; 7] = [
    opcode::Nop::CODE,
    opcode::PollAdd::CODE,
    opcode::Read::CODE,
    opcode::ReadFixed::CODE,
    opcode::Writev::CODE,
    opcode::Write::CODE,
    opcode::WriteFixed::CODE,
];

impl Ring {
    /// Creates a ring for `depth` operations at a time.
    ///
    /// # Errors
    ///
    /// Those of `io_uring_setup(2)`: `EPERM` where it is forbidden, `ENOSYS` where it is unknown,
    /// `ENOMEM` where memory is short. Also `ENOSYS` for a kernel that lacks a needed operation.
    pub fn new(depth: u32) -> io::Result<Self> {
        let io = build(depth)?;
        let mut probe = Probe::new();
        io.submitter().register_probe(&mut probe)?;
        let params = io.params();
        let is_complete = NEEDED.iter().all(|&code| probe.is_supported(code))
            && params.is_feature_nodrop()
            && params.is_feature_ext_arg()
            && params.is_feature_submit_stable();
        if !is_complete {
            return Err(io::Error::from_raw_os_error(libc::ENOSYS));
        }
        mark_as_ours(io.as_raw_fd());
        let io = ManuallyDrop::new(io);
        Ok(Self { io, pushed: 0 })
    }

    /// Adds an entry for the next [`enter`](Self::enter).
    ///
    /// # Safety
    ///
    /// The memory and the descriptor that the entry names must stay as they are until its
    /// completion, or until the ring is dropped without having [`taken`](Self::taken) it.
    pub unsafe fn push(&mut self, entry: &Entry) {
        // SAFETY: the caller's promise.
        let pushed = unsafe { self.io.submission().push(entry) };
        pushed.expect("the queue has a place for each op that may be in flight");
        self.pushed += 1;
    }

    /// Returns how many entries were pushed.
    pub fn pushed(&self) -> u64 {
        self.pushed
    }

    /// Returns how many of them the kernel has taken.
    pub fn taken(&mut self) -> u64 {
        self.pushed - self.io.submission().len() as u64
    }

    /// Whether the kernel has completions that it delivers only when it is entered.
    pub fn needs_enter(&mut self) -> bool {
        let queue = self.io.submission();
        queue.taskrun() || queue.cq_overflow()
    }

    /// Submits what was pushed; with `wait`, sleeps until there is a completion or the timeout
    /// passes.
    pub fn enter(&self, wait: bool, timeout: Option<Duration>) -> EnterResult {
        let time = timeout.map(|timeout| {
            let (seconds, nanos) = seconds_and_nanos(timeout);
            Timespec::new().sec(seconds as u64).nsec(nanos)
        });
        let mut args = SubmitArgs::new();
        if let Some(time) = &time {
            args = args.timespec(time);
        }
        // A wait for the doorbell is not a wait for the disk, and must not count as one.
        let flags = if self.io.params().is_feature_no_iowait() {
            EnterFlags::NO_IOWAIT
        } else {
            EnterFlags::empty()
        };
        let submitter = self.io.submitter();
        match submitter.submit_with_args_and_flags(usize::from(wait), &args, flags) {
            Ok(_) => EnterResult::Done,
            Err(error) => match error.raw_os_error() {
                Some(libc::EINTR | libc::ETIME) => EnterResult::Done,
                Some(libc::EAGAIN | libc::EBUSY | libc::ENOMEM) => EnterResult::Busy,
                _ => EnterResult::Fatal,
            },
        }
    }

    /// Takes the next completion.
    pub fn pop(&mut self) -> Option<cqueue::Entry> {
        self.io.completion().next()
    }

    /// Returns the interface for registering buffers.
    pub fn submitter(&self) -> io_uring::Submitter<'_> {
        self.io.submitter()
    }
}

impl Drop for Ring {
    /// Closes the ring, unless somebody else closed its descriptor, whose number may belong to
    /// another file by now (F70). Then the ring's memory is leaked.
    fn drop(&mut self) {
        if is_ours(self.io.as_raw_fd()) {
            // SAFETY: it is not used afterwards.
            unsafe { ManuallyDrop::drop(&mut self.io) };
        }
    }
}

/// A signal number that marks a descriptor as ours, as in `WakeFd` of efio-sync: no file has it
/// unless somebody sets it.
const MARK: libc::c_int = 33;
const F_SETSIG: libc::c_int = 10;
const F_GETSIG: libc::c_int = 11;

fn mark_as_ours(fd: RawFd) {
    // SAFETY: no pointers, and a descriptor of ours. If the kernel refuses, we do not close it.
    unsafe { libc::fcntl(fd, F_SETSIG, MARK) };
}

fn is_ours(fd: RawFd) -> bool {
    // SAFETY: no pointers; the call only reads a number of whatever file the descriptor names now.
    unsafe { libc::fcntl(fd, F_GETSIG) == MARK }
}

/// Creates the best kind of ring that this kernel has. No kernel thread polls it: that would keep a
/// processor busy for nothing.
fn build(depth: u32) -> io::Result<IoUring> {
    let common = || -> Builder {
        let mut builder = IoUring::builder();
        // A child has no use for the ring, and must not submit on it (F51). There are twice as many
        // places for completions as ops in flight: the doorbell takes some, and the queue never
        // overflows (F39).
        builder
            .dontfork()
            .setup_cqsize(2 * depth)
            .setup_submit_all()
            .setup_taskrun_flag();
        builder
    };
    // One thread submits, and the kernel completes ops when that thread enters (Linux 6.1).
    let deferred = common()
        .setup_single_issuer()
        .setup_defer_taskrun()
        .build(depth);
    match deferred {
        // At least completions do not interrupt this thread (Linux 5.19).
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
            common().setup_coop_taskrun().build(depth)
        }
        result => result,
    }
}
