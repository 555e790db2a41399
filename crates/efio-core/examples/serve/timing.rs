//! How long calls take: histograms with a fixed amount of memory.

use std::fmt;
use std::time::{Duration, Instant};

/// Sub-buckets per power of two: figures are exact to 1/16.
const FINE: u32 = 4;
const BUCKETS: usize = 64 << FINE;

/// Durations in buckets that are at most a sixteenth too wide; the longest is exact.
pub struct Histogram {
    buckets: Box<[u64; BUCKETS]>,
    count: u64,
    longest: u64,
}

impl Histogram {
    fn new() -> Self {
        Self {
            buckets: Box::new([0; BUCKETS]),
            count: 0,
            longest: 0,
        }
    }

    /// Counts one more.
    pub fn add(&mut self, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.buckets[bucket(nanos)] += 1;
        self.count += 1;
        self.longest = self.longest.max(nanos);
    }

    /// How long all but a share of `beyond` took at most, in microseconds.
    pub fn all_but(&self, beyond: f64) -> f64 {
        let rank = (self.count as f64 * (1.0 - beyond)).ceil() as u64;
        let mut seen = 0;
        for (index, count) in self.buckets.iter().enumerate() {
            seen += count;
            if seen >= rank && seen > 0 {
                return micros(upper(index).min(self.longest));
            }
        }
        0.0
    }

    /// The longest, in microseconds.
    pub fn longest(&self) -> f64 {
        micros(self.longest)
    }

    /// How many.
    pub fn count(&self) -> u64 {
        self.count
    }
}

fn micros(nanos: u64) -> f64 {
    nanos as f64 / 1000.0
}

fn bucket(nanos: u64) -> usize {
    let fine = 1 << FINE;
    if nanos < fine {
        return nanos as usize;
    }
    let shift = nanos.ilog2() - FINE;
    (((shift + 1) as usize) << FINE) + (nanos >> shift) as usize - fine as usize
}

/// The largest value of a bucket.
fn upper(index: usize) -> u64 {
    let fine = 1usize << FINE;
    if index < fine {
        return index as u64;
    }
    let shift = (index >> FINE) - 1;
    let base = (index % fine + fine) as u64;
    ((base + 1) << shift) - 1
}

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
    /// Everything that the loop does between two waits.
    Turn,
}

impl Call {
    pub const ALL: [Self; 9] = [
        Self::Open,
        Self::Send,
        Self::Receive,
        Self::Write,
        Self::Sync,
        Self::Close,
        Self::Progress,
        Self::Drain,
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
            Self::Drain => "take events",
            Self::Turn => "turn of the loop",
        }
    }
}

/// All calls of one kind. What `wall` has beyond `cpu` is the scheduler's: others ran on this
/// thread's processor.
struct Row {
    wall: Histogram,
    cpu: Histogram,
}

/// The times of all kinds of calls.
pub struct Timings {
    rows: Vec<Row>,
}

impl Timings {
    pub fn new() -> Self {
        let row = |_| Row {
            wall: Histogram::new(),
            cpu: Histogram::new(),
        };
        Self {
            rows: Call::ALL.iter().map(row).collect(),
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
        let row = &mut self.rows[call as usize];
        row.wall.add(start.wall.elapsed());
        row.cpu.add(thread_time().saturating_sub(start.cpu));
    }

    pub fn of(&self, call: Call) -> &Histogram {
        &self.rows[call as usize].wall
    }

    /// p99.9 and longest of all calls of efio, in microseconds.
    pub fn worst(&self) -> (f64, f64) {
        let calls = Call::ALL.into_iter().filter(|&call| call != Call::Turn);
        calls.fold((0.0, 0.0), |(p999, longest), call| {
            let histogram = self.of(call);
            (
                histogram.all_but(0.001).max(p999),
                histogram.longest().max(longest),
            )
        })
    }
}

impl fmt::Display for Timings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = ["median", "p99", "p99.9", "longest", "p99.9 cpu", "most cpu"];
        write!(f, "{:>16} {:>9}", "µs", "calls")?;
        for name in head {
            write!(f, " {name:>9}")?;
        }
        for (call, row) in Call::ALL.into_iter().zip(&self.rows) {
            if row.wall.count() == 0 {
                continue;
            }
            write!(f, "\n{:>16} {:>9}", call.name(), row.wall.count())?;
            for figure in [
                row.wall.all_but(0.5),
                row.wall.all_but(0.01),
                row.wall.all_but(0.001),
                row.wall.longest(),
                row.cpu.all_but(0.001),
                row.cpu.longest(),
            ] {
                write!(f, " {figure:>9.1}")?;
            }
        }
        Ok(())
    }
}

/// A time that runs, on the clock and on this thread's processor.
pub struct Stopwatch {
    wall: Instant,
    cpu: Duration,
}

impl Stopwatch {
    pub fn start() -> Self {
        Self {
            cpu: thread_time(),
            wall: Instant::now(),
        }
    }
}

/// How long this thread has run on a processor.
fn thread_time() -> Duration {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: room for the answer.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
