//! How long the calls took, and how much of that the calling thread ran.

use efio_core::Stats;
use std::io;
use std::time::{Duration, Instant};

/// All metrics of a copy.
pub struct Metrics {
    start: Instant,
    pub reads: Calls,
    pub writes: Calls,
    pub synced: bool,
}

/// The calls of one kind.
#[derive(Default)]
pub struct Calls {
    bytes: u64,
    times: Vec<Time>,
}

/// One call. The rest of `wall` is the scheduler's: other threads ran on this one's core.
#[derive(Clone, Copy, Default)]
struct Time {
    wall: Duration,
    cpu: Duration,
}

impl Calls {
    /// Runs a call and records how long it took and what it moved.
    pub fn time(&mut self, call: impl FnOnce() -> io::Result<usize>) -> io::Result<usize> {
        let ran_before = thread_time();
        let start = Instant::now();
        let result = call();
        let wall = start.elapsed();
        self.times.push(Time {
            wall,
            cpu: thread_time() - ran_before,
        });
        self.bytes += result.as_ref().map_or(0, |&n| n as u64);
        result
    }

    fn longest(&self) -> Time {
        self.times
            .iter()
            .copied()
            .max_by_key(|time| time.wall)
            .unwrap_or_default()
    }

    fn print(&self, name: &str) {
        let mut walls: Vec<Duration> = self.times.iter().map(|time| time.wall).collect();
        walls.sort_unstable();
        let at = |rank: f64| {
            let index = ((walls.len() as f64 * rank) as usize).min(walls.len().saturating_sub(1));
            micros(walls.get(index).copied().unwrap_or_default())
        };
        let most_cpu = self
            .times
            .iter()
            .map(|time| time.cpu)
            .max()
            .unwrap_or_default();
        println!(
            "{name:>6} {:>8} calls, µs: {:>6.1} median {:>7.1} p99 {:>7.1} p99.9 {:>8.1} longest \
             {:>7.1} most CPU time",
            walls.len(),
            at(0.5),
            at(0.99),
            at(0.999),
            at(1.0),
            micros(most_cpu),
        );
    }
}

impl Metrics {
    pub fn start() -> Self {
        Self {
            start: Instant::now(),
            reads: Calls::default(),
            writes: Calls::default(),
            synced: false,
        }
    }

    pub fn print(&self, stats: &Stats) {
        let elapsed = self.start.elapsed().max(Duration::from_nanos(1));
        let bytes = self.writes.bytes;
        let speed = bytes as f64 / 1e6 / elapsed.as_secs_f64();
        println!(
            "{bytes} bytes in {:.3} s, {speed:.0} MB/s, durable",
            elapsed.as_secs_f64()
        );
        let longest = [&self.reads, &self.writes].map(Calls::longest);
        let longest = longest
            .into_iter()
            .max_by_key(|time| time.wall)
            .unwrap_or_default();
        println!(
            "{} calls, the longest {:.1} µs, of which its thread ran {:.1}",
            self.reads.times.len() + self.writes.times.len(),
            micros(longest.wall),
            micros(longest.cpu.min(longest.wall)),
        );
        self.reads.print("read");
        self.writes.print("write");
        println!(
            "direct: {} read, {} written; buffered: {} read, {} written; {} fallbacks",
            stats.read.direct,
            stats.written.direct,
            stats.read.buffered(),
            stats.written.buffered(),
            stats.fallbacks
        );
    }
}

fn micros(time: Duration) -> f64 {
    time.as_nanos() as f64 / 1000.0
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
