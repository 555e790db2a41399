//! The result of a comparison: one JSON file that `compare` writes and `report` reads.

use crate::saved;
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
    /// The commit of efio and of this program.
    #[serde(default)]
    pub version: String,
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

/// The kinds of calls: the names in [`Figures::kinds`].
pub const KINDS: [&str; 4] = ["open", "read", "write", "end"];

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
    /// The same for each kind of call, where they were separated.
    #[serde(default)]
    pub kinds: BTreeMap<String, Latency>,
    /// Those calls during which the thread kept its processor, where that was looked at.
    #[serde(default)]
    pub undisturbed: Option<Latency>,
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
        saved::load(path)
    }

    /// Writes the record, whole or not at all.
    ///
    /// # Errors
    ///
    /// What writing gives.
    pub fn save(&self, path: &Path) -> io::Result<()> {
        let beside = path.with_extension("part");
        std::fs::write(&beside, serde_json::to_vec(self)?)?;
        std::fs::rename(beside, path)
    }

    /// Says where the measurements that follow are from.
    ///
    /// # Errors
    ///
    /// `InvalidInput` when there are some from another machine.
    pub fn settle(&mut self, machine: Machine) -> io::Result<()> {
        if !self.measurements.is_empty() && self.machine != machine {
            let message = "these measurements are from another machine";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        self.machine = machine;
        Ok(())
    }

    /// Forgets the turns of a scenario with so many files, but for those to keep: rounds of two
    /// versions of a program do not belong together.
    pub fn forget(&mut self, scenario: &str, files: usize, keep: impl Fn(&Measurement) -> bool) {
        let other = |m: &Measurement| m.scenario != scenario || m.files != files;
        self.measurements.retain(|m| other(m) || keep(m));
    }

    /// Whether that turn is here.
    pub fn has(&self, scenario: &str, files: usize, peer: &str, round: usize) -> bool {
        self.measurements.iter().any(|m| {
            m.scenario == scenario && m.files == files && m.peer == peer && m.round == round
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turn(scenario: &str, round: usize, version: &str) -> Measurement {
        Measurement {
            scenario: scenario.into(),
            files: 1,
            peer: "a peer".into(),
            round,
            steal: 0.0,
            repeats: 0,
            version: version.into(),
            outcome: Outcome::Done(Box::default()),
        }
    }

    #[test]
    fn only_the_turns_of_another_version_are_forgotten() {
        let turns = [("read", 0, "a"), ("read", 1, "b"), ("write", 0, "a")];
        let mut record = Record {
            measurements: turns
                .map(|(name, round, version)| turn(name, round, version))
                .into(),
            ..Record::default()
        };
        record.forget("read", 12, |_| false);
        assert_eq!(
            record.measurements.len(),
            3,
            "there are none with so many files"
        );
        record.forget("read", 1, |old| old.version == "b");
        assert!(!record.has("read", 1, "a peer", 0));
        assert!(record.has("read", 1, "a peer", 1));
        assert!(record.has("write", 1, "a peer", 0));
        record.forget("read", 1, |_| false);
        assert!(!record.has("read", 1, "a peer", 1));
    }

    #[test]
    fn two_machines_are_not_in_one_record() {
        let machine = Machine {
            kernel: "another".into(),
            ..Machine::default()
        };
        let mut record = Record::default();
        record.settle(machine).unwrap();
        record.measurements.push(turn("read", 0, ""));
        assert!(record.settle(Machine::default()).is_err());
        assert!(record.settle(record.machine.clone()).is_ok());
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
