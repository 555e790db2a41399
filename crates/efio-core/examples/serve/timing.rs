//! How long the calls of the loop take.
//!
//! A step of a transfer makes one call of the socket, whose time is the kernel's to answer for: it
//! is counted apart. And on a machine with few processors the longest times of all are those in
//! which the thread did not run at all; the kernel counts how often it was stopped.

use crate::histogram::Histogram;
use std::fmt;
use std::mem::MaybeUninit;
use std::time::{Duration, Instant};

/// What is timed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Call {
    Open,
    Send,
    Receive,
    Write,
    Sync,
    Close,
    Progress,
    Drain,
    SocketRead,
    SocketWrite,
    /// Everything that the loop does between two waits.
    Turn,
}

impl Call {
    pub const ALL: [Self; 11] = [
        Self::Open,
        Self::Send,
        Self::Receive,
        Self::Write,
        Self::Sync,
        Self::Close,
        Self::Progress,
        Self::Drain,
        Self::SocketRead,
        Self::SocketWrite,
        Self::Turn,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Send => "send step",
            Self::Receive => "receive step",
            Self::Write => "write",
            Self::Sync => "sync",
            Self::Close => "close",
            Self::Progress => "progress",
            Self::Drain => "next event",
            Self::SocketRead => "recv(2) in a step",
            Self::SocketWrite => "writev(2) in a step",
            Self::Turn => "turn of the loop",
        }
    }

    /// Whether the time is all efio's.
    pub fn is_efio(self) -> bool {
        !matches!(self, Self::SocketRead | Self::SocketWrite | Self::Turn)
    }
}

/// All calls of one kind.
struct Row {
    all: Histogram,
    /// Those during which the thread was not stopped.
    undisturbed: Histogram,
}

impl Row {
    fn new() -> Self {
        Self {
            all: Histogram::new(),
            undisturbed: Histogram::new(),
        }
    }

    fn write(&self, f: &mut fmt::Formatter<'_>, name: &str) -> fmt::Result {
        let count = self.all.count();
        write!(f, "\n  {name:<20} {count:>9}")?;
        for beyond in [0.5, 0.01, 0.001] {
            write!(f, " {:>9.1}", self.all.all_but(beyond))?;
        }
        let stopped = count - self.undisturbed.count();
        let (all, rest) = (self.all.longest(), self.undisturbed.longest());
        write!(f, " {all:>9.1} {stopped:>9} {rest:>9.1}")
    }
}

/// The times of all kinds of calls.
pub struct Timings {
    rows: Vec<Row>,
}

impl Timings {
    pub fn new() -> Self {
        Self {
            rows: Call::ALL.iter().map(|_| Row::new()).collect(),
        }
    }

    /// Runs a call and notes how long it took.
    pub fn time<R>(&mut self, call: Call, run: impl FnOnce() -> R) -> R {
        let start = Stopwatch::start();
        let result = run();
        self.note(call, start);
        result
    }

    pub fn note(&mut self, call: Call, start: Stopwatch) {
        let (time, disturbed) = start.stop();
        self.add(call, time, disturbed);
    }

    /// Notes a step and, apart from it, the call of the socket in it.
    pub fn note_step(&mut self, step: Call, socket: Call, start: Stopwatch, in_socket: Duration) {
        let (time, disturbed) = start.stop();
        self.add(step, time.saturating_sub(in_socket), disturbed);
        if !in_socket.is_zero() {
            self.add(socket, in_socket, disturbed);
        }
    }

    fn add(&mut self, call: Call, time: Duration, disturbed: bool) {
        let row = &mut self.rows[call as usize];
        row.all.add(time);
        if !disturbed {
            row.undisturbed.add(time);
        }
    }

    pub fn of(&self, call: Call) -> &Histogram {
        &self.rows[call as usize].all
    }

    /// Of all calls of efio, in microseconds: p99.9, the longest, and the longest of those during
    /// which the thread was not stopped.
    pub fn worst(&self) -> (f64, f64, f64) {
        let Row { all, undisturbed } = self.efio();
        (all.all_but(0.001), all.longest(), undisturbed.longest())
    }

    /// All calls of efio together.
    fn efio(&self) -> Row {
        let mut sum = Row::new();
        for call in Call::ALL.into_iter().filter(|call| call.is_efio()) {
            let row = &self.rows[call as usize];
            sum.all.merge(&row.all);
            sum.undisturbed.merge(&row.undisturbed);
        }
        sum
    }

    fn rows(&self, f: &mut fmt::Formatter<'_>, efio: bool) -> fmt::Result {
        for (call, row) in Call::ALL.into_iter().zip(&self.rows) {
            if call.is_efio() == efio && row.all.count() > 0 {
                row.write(f, call.name())?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Timings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<22} {:>9}", "calls of efio, µs", "calls")?;
        for name in ["median", "p99", "p99.9", "longest", "stopped", "longest*"] {
            write!(f, " {name:>9}")?;
        }
        self.rows(f, true)?;
        self.efio().write(f, "all of them")?;
        write!(f, "\nthe rest, µs")?;
        self.rows(f, false)?;
        write!(
            f,
            "\n* of the calls during which the scheduler did not stop this thread to run another"
        )
    }
}

/// A time that runs.
pub struct Stopwatch {
    stops: i64,
    begun: Instant,
}

impl Stopwatch {
    pub fn start() -> Self {
        Self {
            stops: stops(),
            begun: Instant::now(),
        }
    }

    /// How long it ran, and whether this thread was stopped meanwhile.
    fn stop(self) -> (Duration, bool) {
        let time = self.begun.elapsed();
        (time, stops() != self.stops)
    }
}

/// How often the scheduler has stopped this thread, which wanted to run on (`getrusage(2)`).
fn stops() -> i64 {
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: room for the answer.
    unsafe { libc::getrusage(libc::RUSAGE_THREAD, usage.as_mut_ptr()) };
    // SAFETY: plain integers, zero if nothing was answered.
    unsafe { usage.assume_init() }.ru_nivcsw
}
