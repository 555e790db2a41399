//! The text of tables: lines, and what stands in their cells.

use crate::summary::{OURS, Spread};

/// efio's own stand out.
pub fn name(peer: &str) -> String {
    match peer.starts_with(OURS) {
        true => format!("**{peer}**"),
        false => peer.to_owned(),
    }
}

/// A ratio with its spread.
pub fn ratio(spread: Spread) -> String {
    with_spread(spread, |value| format!("{value:.2}"))
}

/// A figure with its spread.
pub fn shown(spread: Spread) -> String {
    with_spread(spread, figure)
}

fn with_spread(spread: Spread, show: fn(f64) -> String) -> String {
    let [least, median, greatest] = [spread.least, spread.median, spread.greatest].map(show);
    format!("{median} ({least} … {greatest})")
}

/// Three digits, or all before the point.
pub fn figure(value: f64) -> String {
    match value.abs() {
        v if v >= 99.95 => format!("{value:.0}"),
        v if v >= 9.995 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// The first two lines of a table.
pub fn heading(heads: &[String]) -> String {
    line(heads) + &line(&vec!["---".to_owned(); heads.len()])
}

/// A line of a table.
pub fn line(cells: &[String]) -> String {
    format!("| {} |\n", cells.join(" | "))
}
