//! A scenario's calls, apart by what they are for.

use crate::markdown::{figure, heading, line, name};
use crate::summary::{Case, Row};
use efio_benches::record::{Figures, KINDS, Latency};

/// The table after that of all calls; empty where they were not separated.
pub fn table(case: &Case<'_>) -> String {
    let separated = |row: &&Row<'_>| row.figures().any(|figures| !figures.kinds.is_empty());
    let rows: Vec<_> = case.rows.iter().filter(separated).collect();
    if rows.is_empty() {
        return String::new();
    }
    let mut heads = vec![
        "µs: p99.9 / longest".to_owned(),
        "calls, disturbed ones".to_owned(),
        "undisturbed".to_owned(),
    ];
    heads.extend(KINDS.map(str::to_owned));
    let lines = rows.into_iter().map(|row| line(&cells(row)));
    format!(
        "\nBy what a call is for; \"end\" closes, after a sync if the file was written. A disturbed call is one \
         during which the scheduler gave the thread's processor to another thread: they are in all columns \
         but \"undisturbed\".\n\n{}{}",
        heading(&heads),
        lines.collect::<String>()
    )
}

fn cells(row: &Row<'_>) -> Vec<String> {
    let calls = |figures: &Figures| Some(figures.latency.as_ref()?.count as f64);
    let disturbed = |figures: &Figures| {
        let others = figures.undisturbed.as_ref().map_or(0, |times| times.count);
        Some(calls(figures)? - others as f64)
    };
    let median = |value: &dyn Fn(&Figures) -> Option<f64>| {
        row.over(value).map_or(f64::NAN, |spread| spread.median)
    };
    let mut cells = vec![
        name(row.peer),
        format!("{:.0}, {:.0}", median(&calls), median(&disturbed)),
        tail(row, |figures| figures.undisturbed.as_ref()),
    ];
    cells.extend(KINDS.map(|kind| tail(row, |figures| figures.kinds.get(kind))));
    cells
}

/// The time of all but one in a thousand, and the longest.
fn tail(row: &Row<'_>, which: impl Fn(&Figures) -> Option<&Latency>) -> String {
    let at = |rank: f64| {
        let micros = |figures: &Figures| Some(which(figures)?.at(rank) as f64 / 1e3);
        row.over(micros)
            .map_or("–".to_owned(), |spread| figure(spread.median))
    };
    format!("{} / {}", at(0.999), at(1.0))
}
