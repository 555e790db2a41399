//! How long the calls took.

use efio_core::Stats;
use std::time::{Duration, Instant};

/// All figures of a copy.
pub struct Figures {
    start: Instant,
    pub reads: Calls,
    pub writes: Calls,
    pub synced: bool,
}

/// The calls of one kind.
#[derive(Default)]
pub struct Calls {
    bytes: u64,
    nanos: Vec<u32>,
}

impl Calls {
    /// Runs a call and notes how long it took and what it moved.
    pub fn time(
        &mut self,
        call: impl FnOnce() -> std::io::Result<usize>,
    ) -> std::io::Result<usize> {
        let start = Instant::now();
        let result = call();
        let nanos = start.elapsed().as_nanos();
        self.nanos.push(u32::try_from(nanos).unwrap_or(u32::MAX));
        self.bytes += result.as_ref().map_or(0, |&n| n as u64);
        result
    }

    fn print(&self, name: &str) {
        let mut sorted = self.nanos.clone();
        sorted.sort_unstable();
        let micros = |rank: f64| {
            let at = ((sorted.len() as f64 * rank) as usize).min(sorted.len().saturating_sub(1));
            sorted
                .get(at)
                .map_or(0.0, |&nanos| f64::from(nanos) / 1000.0)
        };
        println!(
            "{name:>6} {:>8} calls, µs: {:>7.1} median {:>8.1} p99 {:>8.1} p99.9 {:>9.1} longest",
            sorted.len(),
            micros(0.5),
            micros(0.99),
            micros(0.999),
            micros(1.0),
        );
    }
}

impl Figures {
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
        let longest = self
            .reads
            .nanos
            .iter()
            .chain(&self.writes.nanos)
            .max()
            .copied()
            .unwrap_or(0);
        println!(
            "{bytes} bytes in {:.3} s, {speed:.0} MB/s, durable",
            elapsed.as_secs_f64()
        );
        println!(
            "{} calls, the longest {:.1} µs",
            self.reads.nanos.len() + self.writes.nanos.len(),
            f64::from(longest) / 1000.0
        );
        self.reads.print("read");
        self.writes.print("write");
        println!(
            "direct: {} read, {} written; buffered: {} read, {} written; {} fallbacks",
            stats.read_direct,
            stats.written_direct,
            stats.read_buffered,
            stats.written_buffered,
            stats.fallbacks
        );
    }
}
