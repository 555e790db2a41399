//! Measures rivals in alternating rounds: each round runs every candidate once, beginning with
//! another one each time, so that a drift of the machine hits all of them alike.

use std::time::Duration;

/// A candidate: its name, and what gives its cost in ns per operation over about the given time.
pub struct Candidate {
    pub name: &'static str,
    pub ours: bool,
    pub run: Box<dyn Fn(Duration) -> f64>,
}

impl Candidate {
    pub fn new(name: &'static str, ours: bool, run: impl Fn(Duration) -> f64 + 'static) -> Self {
        Self {
            name,
            ours,
            run: Box::new(run),
        }
    }
}

/// Runs the candidates and prints a line for each: median, spread, and the ratio to the best rival
/// and to the named rival, taken round by round.
pub fn compare(scenario: &str, candidates: &[Candidate], rounds: usize, slice: Duration) {
    let mut costs = vec![Vec::with_capacity(rounds); candidates.len()];
    for candidate in candidates {
        (candidate.run)(slice / 4);
    }
    for round in 0..rounds {
        for turn in 0..candidates.len() {
            let index = (round + turn) % candidates.len();
            costs[index].push((candidates[index].run)(slice));
        }
    }
    let best = candidates
        .iter()
        .enumerate()
        .filter(|(_, candidate)| !candidate.ours)
        .min_by(|(a, _), (b, _)| median(&costs[*a]).total_cmp(&median(&costs[*b])))
        .map(|(index, _)| index)
        .expect("there is a rival");
    let parking_lot = candidates
        .iter()
        .position(|candidate| candidate.name == "parking_lot");

    println!("\n{scenario}");
    println!(
        "  {:<22} {:>10} {:>19}   {:>22} {:>12}",
        "", "ns/op", "10 % … 90 %", "÷ best rival (spread)", "÷ parking_lot"
    );
    for (index, candidate) in candidates.iter().enumerate() {
        let ratios = |to: usize| -> Vec<f64> {
            costs[index]
                .iter()
                .zip(&costs[to])
                .map(|(cost, other)| cost / other)
                .collect()
        };
        let (low, high) = spread(&costs[index]);
        let to_best = ratios(best);
        let (ratio_low, ratio_high) = spread(&to_best);
        println!(
            "{} {:<22} {:>10.1} {:>9.1} {:>9.1}   {:>6.2} ({:.2} … {:.2}) {:>12}",
            if candidate.ours { "*" } else { " " },
            candidate.name,
            median(&costs[index]),
            low,
            high,
            median(&to_best),
            ratio_low,
            ratio_high,
            parking_lot.map_or(String::new(), |to| format!("{:.2}", median(&ratios(to)))),
        );
    }
}

fn sorted(values: &[f64]) -> Vec<f64> {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values
}

fn median(values: &[f64]) -> f64 {
    sorted(values)[values.len() / 2]
}

fn spread(values: &[f64]) -> (f64, f64) {
    let values = sorted(values);
    (
        values[values.len() / 10],
        values[values.len() - 1 - values.len() / 10],
    )
}
