//! Candidates beside each other: measured in alternating rounds of one run, compared round by
//! round.
//!
//! Absolute figures drift with the machine: its clock, its host, its neighbours. So each round runs
//! every candidate once, beginning with another one each time, and a ratio is taken within a round.
//! What is slow for a while is slow for all of them, and the median over the rounds forgets it.
//!
//! ```text
//!            round 0   round 1   round 2             a ÷ b, round by round
//! order      a b c     b c a     c a b               4 ÷ 2   9 ÷ 3   2 ÷ 1
//! cost of a    4         9         2        ──▶      2       3       2        median 2
//! cost of b      2     3             1
//! cost of c        …     …       …
//! ```
//!
//! ```
//! use efio_benches::interleave::{Candidate, Reference, Rounds, Spread, Table};
//! use std::time::Instant;
//!
//! fn sum(count: u64) -> f64 {
//!     let start = Instant::now();
//!     std::hint::black_box((0..count).sum::<u64>());
//!     start.elapsed().as_nanos() as f64 / count as f64
//! }
//!
//! let mut candidates = [Candidate::ours("one", sum), Candidate::rival("other", sum)];
//! let measured = Rounds::new(9, 10_000).warm_up(1_000).measure(&mut candidates);
//! Table::new("sums", "ns/item", Spread::Extremes)
//!     .against(Reference::BestRival)
//!     .print(&measured);
//! ```

use crate::primitives::{self, Comparison, Record};
use std::fmt::{self, Display, Formatter};

/// One of those that are measured: a name, and what runs it.
///
/// A turn is given the work `W` to do, such as a duration or a number of items, and returns the
/// cost in nanoseconds per operation.
pub struct Candidate<'a, W = ()> {
    name: &'static str,
    ours: bool,
    turn: Box<dyn FnMut(W) -> f64 + 'a>,
}

impl<'a, W> Candidate<'a, W> {
    /// A candidate of efio.
    pub fn ours(name: &'static str, turn: impl FnMut(W) -> f64 + 'a) -> Self {
        Self {
            name,
            ours: true,
            turn: Box::new(turn),
        }
    }

    /// A candidate that efio is compared with.
    pub fn rival(name: &'static str, turn: impl FnMut(W) -> f64 + 'a) -> Self {
        Self {
            ours: false,
            ..Self::ours(name, turn)
        }
    }
}

/// How often the candidates run, and what each is to do in its turn.
#[derive(Clone, Copy, Debug)]
pub struct Rounds<W = ()> {
    count: usize,
    work: W,
    warm_up: Option<W>,
}

impl<W: Copy> Rounds<W> {
    /// So many rounds, without a warm-up. An odd number has a round in the middle.
    ///
    /// # Panics
    ///
    /// With no round.
    pub fn new(count: usize, work: W) -> Self {
        assert!(count > 0, "a comparison takes a round");
        Self {
            count,
            work,
            warm_up: None,
        }
    }

    /// One more round before the others, with this work. What it costs is not recorded.
    #[must_use]
    pub fn warm_up(self, work: W) -> Self {
        Self {
            warm_up: Some(work),
            ..self
        }
    }

    /// Runs the candidates, each round in an order that begins with the next one.
    pub fn measure(&self, candidates: &mut [Candidate<'_, W>]) -> Measured {
        if let Some(work) = self.warm_up {
            for candidate in &mut *candidates {
                (candidate.turn)(work);
            }
        }
        let mut rows: Vec<Row> = candidates.iter().map(Row::new).collect();
        for round in 0..self.count {
            for place in 0..candidates.len() {
                let index = (round + place) % candidates.len();
                rows[index].costs.push((candidates[index].turn)(self.work));
            }
        }
        Measured {
            rounds: self.count,
            rows,
        }
    }
}

/// What the candidates cost in each round.
#[derive(Clone, Debug)]
pub struct Measured {
    rounds: usize,
    rows: Vec<Row>,
}

/// A candidate and its cost in each round.
#[derive(Clone, Debug)]
struct Row {
    name: &'static str,
    ours: bool,
    costs: Vec<f64>,
}

impl Row {
    fn new<W>(candidate: &Candidate<'_, W>) -> Self {
        Self {
            name: candidate.name,
            ours: candidate.ours,
            costs: Vec::new(),
        }
    }

    /// In each round this one's cost ÷ the other's: below 1 where this one was the faster.
    fn ratios(&self, to: &Self) -> Vec<f64> {
        self.costs
            .iter()
            .zip(&to.costs)
            .map(|(cost, other)| cost / other)
            .collect()
    }
}

/// Whose cost a ratio is taken to.
#[derive(Clone, Copy, Debug)]
pub enum Reference {
    /// The first of efio's candidates: above 1 is slower than efio.
    Ours,
    /// The rival with the least median: below 1 is faster than all rivals.
    BestRival,
    /// The one of that name. Where it is not among the candidates there is no such column.
    Named(&'static str),
}

impl Reference {
    fn find(self, rows: &[Row]) -> Option<&Row> {
        match self {
            Self::Ours => rows.iter().find(|row| row.ours),
            Self::BestRival => rows
                .iter()
                .filter(|row| !row.ours)
                .min_by(|a, b| median(&a.costs).total_cmp(&median(&b.costs))),
            Self::Named(name) => rows.iter().find(|row| row.name == name),
        }
    }

    fn heading(self, row: &Row) -> String {
        match self {
            Self::BestRival => format!("÷ best rival, {}", row.name),
            Self::Ours | Self::Named(_) => format!("÷ {}", row.name),
        }
    }
}

/// How measurements are shown: a line for each candidate, with the median over the rounds of what
/// it costs and of its ratios, and the spread of each in brackets. A star marks efio's own.
#[derive(Clone, Debug)]
pub struct Table {
    title: String,
    unit: &'static str,
    spread: Spread,
    bytes: Option<usize>,
    references: Vec<Reference>,
}

impl Table {
    /// A table without ratios. The unit is that of the costs, such as "ns/item".
    pub fn new(title: impl Into<String>, unit: &'static str, spread: Spread) -> Self {
        Self {
            title: title.into(),
            unit,
            spread,
            bytes: None,
            references: Vec::new(),
        }
    }

    /// One more column: each candidate's cost ÷ the reference's, taken round by round.
    #[must_use]
    pub fn against(mut self, reference: Reference) -> Self {
        self.references.push(reference);
        self
    }

    /// One more column: megabytes (10⁶) a second, when an operation moves so many bytes.
    #[must_use]
    pub fn throughput(mut self, bytes: usize) -> Self {
        self.bytes = Some(bytes);
        self
    }

    /// Prints the table to the standard output, and adds the costs to a
    /// [record](crate::primitives) if one is asked for.
    ///
    /// # Panics
    ///
    /// When that record cannot be written.
    pub fn print(&self, measured: &Measured) {
        print!("\n{}", self.render(measured));
        if let Some(path) = std::env::var_os("EFIO_PRIMITIVES") {
            let rows = measured.rows.iter().map(|row| primitives::Row {
                name: row.name.to_owned(),
                ours: row.ours,
                costs: row.costs.clone(),
            });
            let comparison = Comparison {
                unit: self.unit.to_owned(),
                rows: rows.collect(),
            };
            Record::put(path.as_ref(), &self.title, comparison).expect("room for the record");
        }
    }

    fn render(&self, measured: &Measured) -> String {
        let found: Vec<(Reference, &Row)> = self
            .references
            .iter()
            .filter_map(|reference| Some((*reference, reference.find(&measured.rows)?)))
            .collect();
        let mut lines = vec![self.headings(&found)];
        lines.extend(measured.rows.iter().map(|row| self.line(row, &found)));

        let (title, rounds, spread) = (&self.title, measured.rounds, self.spread);
        let mut text = format!("{title}: median of {rounds} rounds ({spread})\n");
        if !found.is_empty() {
            text += "÷: a line's time over that of the one named, in the same round; below 1 it is faster\n";
        }
        text + &align(&lines)
    }

    fn headings(&self, references: &[(Reference, &Row)]) -> Vec<String> {
        let mut cells = vec![String::new(), self.unit.to_owned()];
        cells.extend(self.bytes.map(|_| "MB/s".to_owned()));
        cells.extend(references.iter().map(|(to, row)| to.heading(row)));
        cells
    }

    fn line(&self, row: &Row, references: &[(Reference, &Row)]) -> Vec<String> {
        let star = if row.ours { '*' } else { ' ' };
        let cost = self.spread.of(&row.costs);
        let mut cells = vec![format!("{star} {}", row.name), format!("{cost:.1}")];
        cells.extend(
            self.bytes
                .map(|bytes| format!("{:.0}", bytes as f64 / cost.median * 1e3)),
        );
        cells.extend(
            references
                .iter()
                .map(|(_, to)| format!("{:.2}", self.spread.of(&row.ratios(to)))),
        );
        cells
    }
}

/// Names to the left, figures to the right.
fn align(lines: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = lines.iter().map(|line| line[column].chars().count());
        cells.max().unwrap_or(0)
    };
    let mut text = String::new();
    for line in lines {
        text += &format!("{:<1$}", line[0], width(0));
        for (column, cell) in line.iter().enumerate().skip(1) {
            text += &format!("  {cell:>0$}", width(column));
        }
        text.push('\n');
    }
    text
}

/// Which rounds the brackets after a median reach over.
#[derive(Clone, Copy, Debug)]
pub enum Spread {
    /// All of them: least to greatest.
    Extremes,
    /// Without a tenth of them at either end.
    Deciles,
    /// Without a quarter of them at either end.
    Quartiles,
}

impl Spread {
    /// The median and the spread of the values, of which there is at least one.
    fn of(self, values: &[f64]) -> Summary {
        let sorted = sorted(values);
        let cut = match self {
            Self::Extremes => 0,
            Self::Deciles => sorted.len() / 10,
            Self::Quartiles => sorted.len() / 4,
        };
        Summary {
            low: sorted[cut],
            median: median(values),
            high: sorted[sorted.len() - 1 - cut],
        }
    }
}

impl Display for Spread {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Extremes => "least … greatest",
            Self::Deciles => "10 % … 90 %",
            Self::Quartiles => "the middle half",
        })
    }
}

/// A median and the ends of the spread around it. Shown with the precision that is asked for.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Summary {
    low: f64,
    median: f64,
    high: f64,
}

impl Display for Summary {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let digits = f.precision().unwrap_or(2);
        let Self { low, median, high } = self;
        write!(f, "{median:.digits$} ({low:.digits$} … {high:.digits$})")
    }
}

/// The one in the middle, or half-way between the two there.
fn median(values: &[f64]) -> f64 {
    let sorted = sorted(values);
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 {
        sorted[middle]
    } else {
        (sorted[middle - 1] + sorted[middle]) / 2.0
    }
}

fn sorted(values: &[f64]) -> Vec<f64> {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    /// A candidate that costs what the list says, one turn after the other.
    fn ours(name: &'static str, costs: &'static [f64]) -> Candidate<'static> {
        let mut costs = costs.iter();
        Candidate::ours(name, move |()| *costs.next().expect("a turn"))
    }

    fn rival(name: &'static str, costs: &'static [f64]) -> Candidate<'static> {
        Candidate {
            ours: false,
            ..ours(name, costs)
        }
    }

    fn summary(low: f64, median: f64, high: f64) -> Summary {
        Summary { low, median, high }
    }

    #[test]
    fn the_median_is_in_the_middle_in_any_order() {
        assert_eq!(median(&[7.0]), 7.0);
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[1.0, 100.0, 2.0, 4.0]), 3.0);
        assert_eq!(median(&[5.0, 1.0]), 3.0);
    }

    #[test]
    fn a_spread_leaves_out_as_many_at_either_end() {
        let falling: Vec<f64> = (0..20).rev().map(f64::from).collect();
        assert_eq!(Spread::Extremes.of(&falling), summary(0.0, 9.5, 19.0));
        assert_eq!(Spread::Deciles.of(&falling), summary(2.0, 9.5, 17.0));
        assert_eq!(Spread::Quartiles.of(&falling), summary(5.0, 9.5, 14.0));

        let eleven = &falling[..11];
        assert_eq!(Spread::Deciles.of(eleven), summary(10.0, 14.0, 18.0));
        assert_eq!(Spread::Quartiles.of(eleven), summary(11.0, 14.0, 17.0));
    }

    #[test]
    fn a_single_round_has_no_spread() {
        for spread in [Spread::Extremes, Spread::Deciles, Spread::Quartiles] {
            assert_eq!(spread.of(&[4.0]), summary(4.0, 4.0, 4.0));
        }
    }

    #[test]
    fn a_ratio_is_taken_within_the_round() {
        let measured = Rounds::new(3, ())
            .measure(&mut [ours("a", &[4.0, 9.0, 2.0]), rival("b", &[2.0, 3.0, 1.0])]);
        let [a, b] = &measured.rows[..] else {
            panic!("two candidates")
        };
        assert_eq!(a.ratios(b), [2.0, 3.0, 2.0]);
        assert_eq!(Spread::Extremes.of(&a.ratios(b)), summary(2.0, 2.0, 3.0));
        assert_eq!(b.ratios(b), [1.0; 3]);

        // Not the ratio of the medians, which would be 5 ÷ 5.
        let measured = Rounds::new(3, ())
            .measure(&mut [ours("a", &[1.0, 5.0, 50.0]), rival("b", &[2.0, 10.0, 5.0])]);
        let ratios = measured.rows[0].ratios(&measured.rows[1]);
        assert_eq!(median(&ratios), 0.5);
    }

    #[test]
    fn each_round_begins_with_the_next_candidate() {
        let turns = RefCell::new(String::new());
        let candidate = |name: &'static str| {
            let turns = &turns;
            Candidate::ours(name, move |work: u32| {
                *turns.borrow_mut() += &format!("{name}{work} ");
                f64::from(work)
            })
        };
        let mut candidates = [candidate("a"), candidate("b"), candidate("c")];
        let measured = Rounds::new(4, 8).warm_up(2).measure(&mut candidates);
        drop(candidates);
        assert_eq!(
            turns.into_inner(),
            "a2 b2 c2 a8 b8 c8 b8 c8 a8 c8 a8 b8 a8 b8 c8 "
        );
        // The warm-up is not recorded.
        assert!(measured.rows.iter().all(|row| row.costs == [8.0; 4]));
    }

    #[test]
    fn references_are_found_by_what_they_are() {
        let measured = Rounds::new(3, ()).measure(&mut [
            rival("slow", &[1.0, 9.0, 9.0]),
            ours("mine", &[1.0, 1.0, 1.0]),
            rival("fast", &[7.0, 3.0, 3.0]),
            ours("my other", &[1.0, 1.0, 1.0]),
        ]);
        let name = |reference: Reference| reference.find(&measured.rows).map(|row| row.name);
        assert_eq!(name(Reference::Ours), Some("mine"));
        assert_eq!(name(Reference::BestRival), Some("fast"));
        assert_eq!(name(Reference::Named("slow")), Some("slow"));
        assert_eq!(name(Reference::Named("absent")), None);
    }

    #[test]
    fn a_table_says_what_is_divided_by_what() {
        let measured = Rounds::new(3, ()).measure(&mut [
            ours("mine", &[4.0, 5.0, 6.0]),
            rival("theirs", &[8.0, 5.0, 24.0]),
        ]);
        let text = Table::new("reads", "ns/block", Spread::Extremes)
            .throughput(500)
            .against(Reference::Ours)
            .against(Reference::BestRival)
            .against(Reference::Named("absent"))
            .render(&measured);
        let expected = "\
reads: median of 3 rounds (least … greatest)
÷: a line's time over that of the one named, in the same round; below 1 it is faster
                  ns/block    MB/s              ÷ mine  ÷ best rival, theirs
* mine     5.0 (4.0 … 6.0)  100000  1.00 (1.00 … 1.00)    0.50 (0.25 … 1.00)
  theirs  8.0 (5.0 … 24.0)   62500  2.00 (1.00 … 4.00)    1.00 (1.00 … 1.00)
";
        assert_eq!(text, expected);
    }

    #[test]
    #[should_panic(expected = "a comparison takes a round")]
    fn no_rounds_are_refused() {
        Rounds::new(0, ());
    }
}
