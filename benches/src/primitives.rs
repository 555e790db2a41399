//! The results of the benches of the primitives: one JSON file, which `report` makes a table of.
//!
//! With the path of a file in the variable `EFIO_PRIMITIVES` each bench puts its comparisons there,
//! beside those of the others.

use crate::saved;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

/// All comparisons.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Record {
    /// By their titles.
    pub comparisons: BTreeMap<String, Comparison>,
    /// Operations that were measured by themselves, by criterion.
    #[serde(default)]
    pub singles: BTreeMap<String, Single>,
}

/// The nanoseconds of an operation: the median, and the interval that has it with 95 % confidence.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Single {
    /// The least that it may be.
    pub least: f64,
    /// The median of the samples.
    pub median: f64,
    /// The most that it may be.
    pub most: f64,
}

/// Candidates that took turns.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Comparison {
    /// What the costs are in, such as "ns/item".
    pub unit: String,
    /// The candidates in their order.
    pub rows: Vec<Row>,
}

/// A candidate and its cost in each round.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Row {
    /// Its name.
    pub name: String,
    /// It is efio's.
    pub ours: bool,
    /// What it cost, round by round.
    pub costs: Vec<f64>,
}

impl Row {
    /// The cost in the middle.
    pub fn median(&self) -> f64 {
        Self::spread(&self.costs)[1]
    }

    /// In each round this one's cost ÷ the other's: above 1 where the other was the faster.
    pub fn ratios(&self, to: &Self) -> Vec<f64> {
        let pairs = self.costs.iter().zip(&to.costs);
        pairs.map(|(cost, other)| cost / other).collect()
    }

    /// The least, the one in the middle, and the greatest of some values; NaN without any.
    pub fn spread(values: &[f64]) -> [f64; 3] {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        match &sorted[..] {
            [] => [f64::NAN; 3],
            [least, .., greatest] => [*least, sorted[sorted.len() / 2], *greatest],
            [only] => [*only; 3],
        }
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

    /// Puts a comparison into the file, in place of one with the same title.
    ///
    /// # Errors
    ///
    /// What reading and writing give.
    pub fn put(path: &Path, title: &str, comparison: Comparison) -> io::Result<()> {
        let mut record = Self::load(path)?;
        record.comparisons.insert(title.to_owned(), comparison);
        std::fs::write(path, serde_json::to_vec(&record)?)
    }

    /// Puts what criterion left in its directory into the file, in place of what was there.
    ///
    /// # Errors
    ///
    /// What reading and writing give, and `InvalidData` for estimates that are not criterion's.
    pub fn put_criterion(path: &Path, home: &Path) -> io::Result<()> {
        let mut record = Self::load(path)?;
        record.singles.clear();
        for group in directories(home)? {
            for function in directories(&group)? {
                let new = function.join("new");
                if new.join("estimates.json").exists() {
                    let (name, single) = estimates(&new)?;
                    record.singles.insert(name, single);
                }
            }
        }
        std::fs::write(path, serde_json::to_vec(&record)?)
    }
}

fn directories(path: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(path)?;
    let paths = entries.map(|entry| Ok(entry?.path()));
    let paths: io::Result<Vec<_>> = paths.collect();
    Ok(paths?.into_iter().filter(|path| path.is_dir()).collect())
}

/// The name and the median of one benchmark, from criterion's directory of its last run.
fn estimates(new: &Path) -> io::Result<(String, Single)> {
    #[derive(Deserialize)]
    struct Benchmark {
        group_id: String,
        function_id: String,
    }
    #[derive(Deserialize)]
    struct Estimates {
        median: Estimate,
    }
    #[derive(Deserialize)]
    struct Estimate {
        point_estimate: f64,
        confidence_interval: Interval,
    }
    #[derive(Deserialize)]
    struct Interval {
        lower_bound: f64,
        upper_bound: f64,
    }
    let read = |name| std::fs::read(new.join(name));
    let benchmark: Benchmark = serde_json::from_slice(&read("benchmark.json")?)?;
    let Estimates { median } = serde_json::from_slice(&read("estimates.json")?)?;
    let name = format!("{}, {}", benchmark.group_id, benchmark.function_id);
    let single = Single {
        least: median.confidence_interval.lower_bound,
        median: median.point_estimate,
        most: median.confidence_interval.upper_bound,
    };
    Ok((name, single))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(costs: &[f64]) -> Row {
        Row {
            name: "one".into(),
            ours: true,
            costs: costs.into(),
        }
    }

    #[test]
    fn ratios_are_of_one_round() {
        let (one, other) = (row(&[2.0, 30.0, 8.0]), row(&[1.0, 10.0, 1.0]));
        assert_eq!(one.median(), 8.0);
        assert_eq!(Row::spread(&one.ratios(&other)), [2.0, 3.0, 8.0]);
        assert_eq!(Row::spread(&[5.0]), [5.0; 3]);
    }

    #[test]
    fn criterion_s_medians_are_found() {
        let home = std::env::temp_dir().join(format!("criterion-{}", std::process::id()));
        let new = home.join("a group/a function/new");
        std::fs::create_dir_all(&new).unwrap();
        std::fs::create_dir_all(home.join("a group/report")).unwrap();
        let benchmark = r#"{"group_id":"a group","function_id":"a function","throughput":null}"#;
        let estimates = r#"{"mean":{"point_estimate":9.0},"median":{"confidence_interval":
            {"confidence_level":0.95,"lower_bound":1.5,"upper_bound":2.5},"point_estimate":2.0}}"#;
        std::fs::write(new.join("benchmark.json"), benchmark).unwrap();
        std::fs::write(new.join("estimates.json"), estimates).unwrap();
        let path = home.join("record.json");
        Record::put_criterion(&path, &home).unwrap();
        let record = Record::load(&path).unwrap();
        std::fs::remove_dir_all(&home).unwrap();
        let single = Single {
            least: 1.5,
            median: 2.0,
            most: 2.5,
        };
        assert_eq!(record.singles["a group, a function"], single);
    }

    #[test]
    fn a_comparison_replaces_its_own_title_alone() {
        let path = std::env::temp_dir().join(format!("primitives-{}.json", std::process::id()));
        for (title, cost) in [("a", 1.0), ("b", 2.0), ("a", 3.0)] {
            let rows = vec![row(&[cost])];
            let unit = "ns".into();
            Record::put(&path, title, Comparison { unit, rows }).unwrap();
        }
        let record = Record::load(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let costs = record.comparisons.values().map(|c| c.rows[0].median());
        assert_eq!(costs.collect::<Vec<_>>(), [3.0, 2.0]);
    }
}
