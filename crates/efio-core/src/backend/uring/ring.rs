//! One io_uring: its set-up, pushing entries, and the one system call that submits and waits.
//!
//! The kernel reads the tail of the submission queue with Acquire inside `io_uring_enter` and
//! publishes the tail of the completion queue with Release; the `io-uring` crate has the other
//! half of both.

use efio_sync::shim::kernel_time::seconds_and_nanos;
use io_uring::squeue::Entry;
use io_uring::types::{SubmitArgs, Timespec};
use io_uring::{Builder, EnterFlags, IoUring, Probe, cqueue, opcode};
use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::{AsRawFd, RawFd};
use std::time::Duration;

/// A ring that belongs to the thread that made it.
pub struct Ring {
    io: ManuallyDrop<IoUring>,
    /// Entries pushed so far.
    pushed: u64,
}

/// How entering the kernel went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EnterResult {
    /// It did what was asked, or the time was over, or a signal came.
    Done,
    /// It has no memory, or first wants room for completions: again after a while.
    Busy,
    /// It will not have this ring any more.
    Fatal,
}

/// The operations that have to be there.
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
    /// A ring for `depth` operations at a time.
    ///
    /// # Errors
    ///
    /// What `io_uring_setup(2)` says: `EPERM` where it is forbidden, `ENOSYS` where it is unknown,
    /// `ENOMEM` where memory is short; `ENOSYS` also for a kernel without the operations needed.
    pub fn new(depth: u32) -> io::Result<Self> {
        let io = build(depth)?;
        let mut probe = Probe::new();
        io.submitter().register_probe(&mut probe)?;
        let params = io.params();
        let whole = NEEDED.iter().all(|&code| probe.is_supported(code))
            && params.is_feature_nodrop()
            && params.is_feature_ext_arg()
            && params.is_feature_submit_stable();
        if !whole {
            return Err(io::Error::from_raw_os_error(libc::ENOSYS));
        }
        mark(io.as_raw_fd());
        let io = ManuallyDrop::new(io);
        Ok(Self { io, pushed: 0 })
    }

    /// Adds an entry for the next [`enter`](Self::enter). The number of entries before it.
    ///
    /// # Safety
    ///
    /// The memory and the descriptor that the entry names must stay as they are until its
    /// completion, or until the ring is dropped without having [`taken`](Self::taken) it.
    pub unsafe fn push(&mut self, entry: &Entry) -> u64 {
        // SAFETY: the caller's promise.
        let pushed = unsafe { self.io.submission().push(entry) };
        pushed.expect("there are as many places as ops may be under way");
        self.pushed += 1;
        self.pushed - 1
    }

    /// How many entries were pushed.
    pub fn pushed(&self) -> u64 {
        self.pushed
    }

    /// How many of them the kernel has taken.
    pub fn taken(&mut self) -> u64 {
        self.pushed - self.io.submission().len() as u64
    }

    /// Whether the kernel has completions that it tells only to a thread that enters.
    pub fn needs_enter(&mut self) -> bool {
        let queue = self.io.submission();
        queue.taskrun() || queue.cq_overflow()
    }

    /// Submits what was pushed; with `wait`, sleeps until there is a completion or the time is
    /// over.
    pub fn enter(&self, wait: bool, timeout: Option<Duration>) -> EnterResult {
        let time = timeout.map(|timeout| {
            let (seconds, nanos) = seconds_and_nanos(timeout);
            Timespec::new().sec(seconds as u64).nsec(nanos)
        });
        let mut args = SubmitArgs::new();
        if let Some(time) = &time {
            args = args.timespec(time);
        }
        // A thread that waits for its doorbell is not a disk that keeps a processor waiting.
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

    /// The next completion.
    pub fn pop(&mut self) -> Option<cqueue::Entry> {
        self.io.completion().next()
    }

    /// The kernel's interface for registering.
    pub fn submitter(&self) -> io_uring::Submitter<'_> {
        self.io.submitter()
    }
}

impl Drop for Ring {
    /// Closes the ring; unless somebody closed it by its number, which is another file's by now or
    /// nobody's (F70). Then its memory stays.
    fn drop(&mut self) {
        if has_mark(self.io.as_raw_fd()) {
            // SAFETY: it is not used afterwards.
            unsafe { ManuallyDrop::drop(&mut self.io) };
        }
    }
}

/// As in `WakeFd` of efio-sync: a number that no file has unless somebody gives it one.
const MARK: libc::c_int = 33;
const F_SETSIG: libc::c_int = 10;
const F_GETSIG: libc::c_int = 11;

fn mark(fd: RawFd) {
    // SAFETY: no pointers, and a descriptor of ours. Refused, it is not closed by us.
    unsafe { libc::fcntl(fd, F_SETSIG, MARK) };
}

fn has_mark(fd: RawFd) -> bool {
    // SAFETY: no pointers; whatever the number names now is asked for a number.
    unsafe { libc::fcntl(fd, F_GETSIG) == MARK }
}

/// The best kind of ring that this kernel has. No kernel thread polls it: that would keep a
/// processor busy for nothing.
fn build(depth: u32) -> io::Result<IoUring> {
    let common = || -> Builder {
        let mut builder = IoUring::builder();
        // A child has no use for the ring, and must not submit on it (F51). Twice as many places
        // for completions as ops under way: the doorbell takes some, and the queue never overflows
        // (F39).
        builder
            .dontfork()
            .setup_cqsize(2 * depth)
            .setup_submit_all()
            .setup_taskrun_flag();
        builder
    };
    // One thread submits, and completions are worked on when it asks for them (Linux 6.1).
    let deferred = common()
        .setup_single_issuer()
        .setup_defer_taskrun()
        .build(depth);
    match deferred {
        // At least no interrupts of this thread for the sake of completions (Linux 5.19).
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
            common().setup_coop_taskrun().build(depth)
        }
        result => result,
    }
}
