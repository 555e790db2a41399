//! The measurements, by scenario and peer, with medians and spreads over the rounds.

use efio_benches::catalog::{Metric, SCENARIOS, Scenario};
use efio_benches::record::{Figures, Latency, Measurement, Outcome, Record};

/// The peer that all others are compared with.
pub const OURS: &str = "efio";
/// What is possible: a bare ring without a library.
pub const LIMIT: &str = "limit";
/// Numbers of files that stand for the growth in what shows all scenarios at once.
const LISTED: [usize; 2] = [1_000, 10_000];

/// A scenario with so many files.
pub struct Case<'a> {
    pub scenario: &'static Scenario,
    pub files: usize,
    pub rows: Vec<Row<'a>>,
}

/// A peer in it.
pub struct Row<'a> {
    pub peer: &'a str,
    rounds: Vec<&'a Measurement>,
}

/// A median, the least and the greatest.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    pub least: f64,
    pub median: f64,
    pub greatest: f64,
}

/// All cases, in the order of the catalog, each with its peers in the order of their first turns.
pub fn cases(record: &Record) -> Vec<Case<'_>> {
    let mut cases = Vec::new();
    for scenario in SCENARIOS {
        for &files in scenario.files {
            let of_case = |m: &&Measurement| m.scenario == scenario.name && m.files == files;
            let mut rows: Vec<Row<'_>> = Vec::new();
            for measurement in record.measurements.iter().filter(of_case) {
                match rows.iter_mut().find(|row| row.peer == measurement.peer) {
                    Some(row) => row.rounds.push(measurement),
                    None => rows.push(Row {
                        peer: &measurement.peer,
                        rounds: vec![measurement],
                    }),
                }
            }
            if !rows.is_empty() {
                cases.push(Case {
                    scenario,
                    files,
                    rows,
                });
            }
        }
    }
    cases
}

/// The cases of a table of all scenarios.
pub fn headline<'c, 'a>(cases: &'c [Case<'a>]) -> impl Iterator<Item = &'c Case<'a>> {
    let is_listed =
        |case: &&Case<'_>| case.scenario.files.len() == 1 || LISTED.contains(&case.files);
    cases.iter().filter(is_listed)
}

impl<'a> Case<'a> {
    /// What is done, in a few words.
    pub fn short(&self) -> String {
        match self.scenario.files.len() {
            1 => self.scenario.short.to_owned(),
            _ => self.full(),
        }
    }

    /// The same, with the number of files where there are several.
    pub fn full(&self) -> String {
        let short = self.scenario.short;
        match (self.scenario.files.len(), self.files) {
            (1, _) => short.to_owned(),
            (_, 1) => format!("{short}, 1 file"),
            (_, files) => format!("{short}, {} files", count(files)),
        }
    }

    /// The peer with the best median. Bare rings are no peers: nobody writes a server with them.
    pub fn best_peer(&self) -> Option<&Row<'a>> {
        let metric = self.decides();
        let value = |row: &&Row<'_>| row.metric(metric).map_or(f64::NAN, |spread| spread.median);
        let bare = |peer: &str| peer == LIMIT || peer.starts_with("ring-");
        let peers = self
            .rows
            .iter()
            .filter(|row| !bare(row.peer) && !row.peer.starts_with(OURS));
        let ran = peers.filter(|row| row.metric(metric).is_some());
        ran.max_by(|a, b| {
            let order = value(a).total_cmp(&value(b));
            if metric.less { order.reverse() } else { order }
        })
    }

    pub fn decides(&self) -> &'static Metric {
        &self.scenario.metrics[0]
    }

    pub fn row(&self, peer: &str) -> Option<&Row<'a>> {
        self.rows.iter().find(|row| row.peer == peer)
    }

    /// How many times as good one peer is as another, round by round: above 1 is better.
    pub fn times(&self, one: &Row<'_>, other: &Row<'_>) -> Option<Spread> {
        let metric = self.decides();
        let ratios = one.rounds.iter().filter_map(|measurement| {
            let same = other.rounds.iter().find(|m| m.round == measurement.round)?;
            let value = |m: &Measurement| m.figures()?.metrics.get(metric.name).copied();
            let (one, other) = (value(measurement)?, value(same)?);
            Some(if metric.less {
                other / one
            } else {
                one / other
            })
        });
        Spread::of(ratios.collect())
    }
}

/// A count with its thousands apart.
pub fn count(count: usize) -> String {
    match count {
        0..1_000 => count.to_string(),
        _ => format!("{} {:03}", count / 1_000, count % 1_000),
    }
}

impl Row<'_> {
    /// The versions of efio that were measured.
    pub fn versions(&self) -> impl Iterator<Item = &str> {
        self.rounds.iter().map(|measurement| &*measurement.version)
    }

    /// Over the rounds that ran to their end.
    pub fn over(&self, value: impl Fn(&Figures) -> Option<f64>) -> Option<Spread> {
        Spread::of(self.figures().filter_map(value).collect())
    }

    pub fn metric(&self, metric: &Metric) -> Option<Spread> {
        self.over(|figures| figures.metrics.get(metric.name).copied())
    }

    pub fn figures(&self) -> impl Iterator<Item = &Figures> {
        self.rounds
            .iter()
            .filter_map(|measurement| measurement.figures())
    }

    /// Times in microseconds at the fractions of a distribution: the median over the rounds.
    pub fn times(&self, which: impl Fn(&Figures) -> Option<&Latency>) -> Vec<(f64, f64)> {
        let first = self.figures().find_map(&which);
        let ranks = first.map_or(&[][..], |latency| &latency.quantiles[..]);
        let at = |rank: f64| self.over(|figures| Some(which(figures)?.at(rank) as f64 / 1000.0));
        ranks
            .iter()
            .filter_map(|&(rank, _)| Some((rank, at(rank)?.median)))
            .collect()
    }

    pub fn rounds(&self) -> usize {
        self.rounds.len()
    }

    pub fn repeats(&self) -> u32 {
        self.rounds
            .iter()
            .map(|measurement| measurement.repeats)
            .sum()
    }

    pub fn steal(&self) -> f64 {
        self.rounds
            .iter()
            .map(|measurement| measurement.steal)
            .fold(0.0, f64::max)
    }

    /// Why there are no figures, or not of all rounds; and whether it is a failure.
    pub fn trouble(&self) -> Option<(&str, bool)> {
        let failed = self
            .rounds
            .iter()
            .find_map(|measurement| match &measurement.outcome {
                Outcome::Failed(why) => Some((&**why, true)),
                _ => None,
            });
        failed.or_else(|| {
            self.rounds
                .iter()
                .find_map(|measurement| match &measurement.outcome {
                    Outcome::Absent(why) => Some((&**why, false)),
                    _ => None,
                })
        })
    }
}

impl Spread {
    fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        let (least, greatest) = (*values.first()?, *values.last()?);
        let middle = values.len() / 2;
        let median = match values.len() % 2 {
            1 => values[middle],
            _ => (values[middle - 1] + values[middle]) / 2.0,
        };
        Some(Self {
            least,
            median,
            greatest,
        })
    }
}

/// A turn of the loop, for tests.
#[cfg(test)]
pub fn measured(peer: &str, round: usize, seconds: f64) -> Measurement {
    let mut figures = Figures::default();
    figures.metrics.insert("s".into(), seconds);
    Measurement {
        scenario: "stall".into(),
        files: 12,
        peer: peer.into(),
        round,
        steal: 0.0,
        repeats: 0,
        version: String::new(),
        outcome: Outcome::Done(Box::new(figures)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn less_time_is_better_and_ratios_are_of_one_round() {
        let measurements = vec![
            measured(OURS, 0, 1.0),
            measured("other", 0, 2.0),
            measured(OURS, 1, 10.0),
            measured("other", 1, 40.0),
        ];
        let record = Record {
            measurements,
            ..Record::default()
        };
        let cases = cases(&record);
        let case = &cases[0];
        let (ours, other) = (case.row(OURS).unwrap(), case.row("other").unwrap());
        let times = case.times(ours, other).unwrap();
        assert_eq!(
            times,
            Spread {
                least: 2.0,
                median: 3.0,
                greatest: 4.0
            }
        );
    }

    #[test]
    fn the_best_peer_is_neither_efio_nor_a_bare_ring() {
        let measurements = vec![
            measured(LIMIT, 0, 0.5),
            measured("ring-1m", 0, 0.6),
            measured("efio-pool", 0, 0.7),
            measured("slow", 0, 3.0),
            measured("fast", 0, 2.0),
        ];
        let record = Record {
            measurements,
            ..Record::default()
        };
        let cases = cases(&record);
        assert_eq!(cases[0].best_peer().unwrap().peer, "fast");
        assert_eq!(headline(&cases).count(), 1);
    }
}
