//! What a comparison leaves behind: one JSON file that `compare` writes and `report` reads.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io;
use std::path::Path;

/// All measurements, on one machine.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Record {
    /// Where they were taken.
    pub machine: Machine,
    /// One per peer, scenario, number of files and round.
    pub measurements: Vec<Measurement>,
}

/// What the figures depend on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// The processor, and how many of it.
    pub processor: String,
    /// Bytes of memory.
    pub memory: u64,
    /// The kernel's release.
    pub kernel: String,
    /// The file system of the measured directory, with its device's scheduler.
    pub storage: String,
}

/// One turn of one peer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Measurement {
    /// The scenario's name.
    pub scenario: String,
    /// Files open at once.
    pub files: usize,
    /// The peer's name.
    pub peer: String,
    /// Which round, from 0 on.
    pub round: usize,
    /// Fraction of a processor that the host took meanwhile.
    pub steal: f64,
    /// How often the turn was measured again because of steal.
    pub repeats: u32,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of a turn.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Outcome {
    /// It ran, and its bytes were right.
    Done(Box<Figures>),
    /// It does not do this, and why.
    Absent(String),
    /// It did not run to its end, or its bytes were wrong.
    Failed(String),
}

impl Measurement {
    /// The figures, if it ran to its end.
    pub fn figures(&self) -> Option<&Figures> {
        match &self.outcome {
            Outcome::Done(figures) => Some(figures),
            _ => None,
        }
    }
}

/// What was measured in a turn.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Figures {
    /// The scenario's own figures by name. The first name of the scenario decides who is ahead.
    pub metrics: BTreeMap<String, f64>,
    /// Seconds from the first call to the last.
    pub seconds: f64,
    /// Bytes that the caller read or wrote.
    pub bytes: u64,
    /// Processor seconds of the process, user and system.
    pub cpu: f64,
    /// Processor seconds of the whole machine: kernel threads and interrupts as well.
    pub cpu_machine: f64,
    /// The most memory that was resident, in bytes.
    pub peak_memory: u64,
    /// Pages of the files that were in the page cache afterwards, and all of theirs.
    pub resident: (u64, u64),
    /// Bytes that the device read and wrote.
    pub device: (u64, u64),
    /// How long single calls or operations took; what they are is the scenario's to say.
    pub latency: Option<Latency>,
    /// How late a tick of 1 kHz was noticed.
    pub lateness: Option<Latency>,
    /// What the peer says of itself, such as the backend that was chosen.
    pub note: String,
}

/// A distribution of times, in nanoseconds.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Latency {
    /// How many.
    pub count: u64,
    /// The mean.
    pub mean: f64,
    /// Fraction below, and time; ever closer to 1. The last is the longest.
    pub quantiles: Vec<(f64, u64)>,
}

impl Latency {
    /// The distribution of a histogram of nanoseconds, if there is anything in it.
    pub fn of(histogram: &Histogram<u64>) -> Option<Self> {
        if histogram.is_empty() {
            return None;
        }
        // 1 - 10^-k in steps of a tenth of k: as even on a logarithmic scale.
        let ranks = (0..=60).map(|step| 1.0 - 10f64.powf(-f64::from(step) / 10.0));
        let ranks = ranks.chain([0.5, 0.99, 0.999, 1.0]);
        let mut quantiles: Vec<_> = ranks
            .map(|rank| (rank, histogram.value_at_quantile(rank)))
            .collect();
        quantiles.sort_by(|a, b| a.0.total_cmp(&b.0));
        Some(Self {
            count: histogram.len(),
            mean: histogram.mean(),
            quantiles,
        })
    }

    /// The time at a fraction that is recorded, or the next one above.
    pub fn at(&self, rank: f64) -> u64 {
        let found = self.quantiles.iter().find(|(at, _)| *at >= rank - 1e-9);
        found.or(self.quantiles.last()).map_or(0, |(_, time)| *time)
    }
}

impl Record {
    /// Reads a record; an empty one if there is no such file.
    ///
    /// # Errors
    ///
    /// What reading gives, and `InvalidData` for another kind of file.
    pub fn load(path: &Path) -> io::Result<Self> {
        match std::fs::read(path) {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error),
        }
    }

    /// Writes the record, whole or not at all.
    ///
    /// # Errors
    ///
    /// What writing gives.
    pub fn save(&self, path: &Path) -> io::Result<()> {
        let beside = path.with_extension("part");
        std::fs::write(&beside, serde_json::to_vec_pretty(self)?)?;
        std::fs::rename(beside, path)
    }

    /// Takes in another run. What this one holds of the same scenarios with as many files is
    /// replaced: rounds of two versions of a program do not belong together.
    ///
    /// # Errors
    ///
    /// `InvalidInput` when the other run is from another machine.
    pub fn merge(&mut self, other: Self) -> io::Result<()> {
        self.settle(other.machine)?;
        let new = |old: &Measurement| other.measurements.iter().any(|m| case(m) == case(old));
        self.measurements.retain(|old| !new(old));
        self.measurements.extend(other.measurements);
        Ok(())
    }

    /// Takes in more rounds of the same program: they come after those that are here.
    ///
    /// # Errors
    ///
    /// `InvalidInput` when the other run is from another machine.
    pub fn append(&mut self, other: Self) -> io::Result<()> {
        self.settle(other.machine)?;
        let here = self.measurements.len();
        for mut measurement in other.measurements {
            let same = |old: &&Measurement| case(old) == case(&measurement);
            let rounds = self.measurements[..here].iter().filter(same);
            measurement.round += rounds.map(|old| old.round + 1).max().unwrap_or(0);
            self.measurements.push(measurement);
        }
        Ok(())
    }

    fn settle(&mut self, machine: Machine) -> io::Result<()> {
        if !self.measurements.is_empty() && self.machine != machine {
            let message = "these measurements are from another machine";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        self.machine = machine;
        Ok(())
    }
}

/// What belongs together: a scenario with so many files.
fn case(measurement: &Measurement) -> (&str, usize) {
    (&measurement.scenario, measurement.files)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measurement(scenario: &str, round: usize) -> Measurement {
        Measurement {
            scenario: scenario.into(),
            files: 1,
            peer: "a peer".into(),
            round,
            steal: 0.0,
            repeats: 0,
            outcome: Outcome::Done(Box::default()),
        }
    }

    #[test]
    fn a_run_replaces_its_own_scenarios_alone() {
        let record = |measurements| Record {
            measurements,
            ..Record::default()
        };
        let mut all = record(vec![measurement("read", 0), measurement("write", 0)]);
        all.merge(record(vec![measurement("read", 1), measurement("read", 2)]))
            .unwrap();
        let rounds: Vec<_> = all
            .measurements
            .iter()
            .map(|m| (&*m.scenario, m.round))
            .collect();
        assert_eq!(rounds, [("write", 0), ("read", 1), ("read", 2)]);

        all.append(record(vec![
            measurement("read", 0),
            measurement("write", 0),
        ]))
        .unwrap();
        let rounds: Vec<_> = all.measurements.iter().map(|m| m.round).collect();
        assert_eq!(rounds, [0, 1, 2, 3, 1]);

        let mut other = record(vec![measurement("log", 0)]);
        other.machine.kernel = "another".into();
        assert!(all.merge(other).is_err());
    }

    #[test]
    fn a_distribution_keeps_its_tail() {
        let mut histogram = Histogram::new(3).unwrap();
        for time in 1..=1000u64 {
            histogram.record(time).unwrap();
        }
        let latency = Latency::of(&histogram).unwrap();
        assert_eq!(latency.at(0.5), 500);
        assert_eq!(latency.at(0.99), 990);
        assert_eq!(latency.at(1.0), 1000);
        assert!(Latency::of(&Histogram::new(3).unwrap()).is_none());
    }
}
