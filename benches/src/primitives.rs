//! What the benches of the primitives leave behind: one JSON file, which `report` makes a table of.
//!
//! With the path of a file in the variable `EFIO_PRIMITIVES` each bench puts its comparisons there,
//! beside those of the others.

use crate::saved;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io;
use std::path::Path;

/// All comparisons.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Record {
    /// By their titles.
    pub comparisons: BTreeMap<String, Comparison>,
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
