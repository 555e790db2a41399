//! Histograms of durations, with a fixed amount of memory.

use std::time::Duration;

/// Sub-buckets per power of two: values are exact to 1/16.
const FINE: u32 = 4;
const BUCKETS: usize = 64 << FINE;

/// Durations in buckets that are at most a sixteenth too wide; the longest is exact.
pub struct Histogram {
    buckets: Box<[u64; BUCKETS]>,
    count: u64,
    longest: u64,
}

impl Histogram {
    pub fn new() -> Self {
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

    /// Counts what the other has counted as well.
    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.buckets.iter_mut().zip(other.buckets.iter()) {
            *mine += theirs;
        }
        self.count += other.count;
        self.longest = self.longest.max(other.longest);
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
