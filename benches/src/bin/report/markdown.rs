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
    let Spread {
        least,
        median,
        greatest,
    } = spread;
    format!("{median:.2} ({least:.2} … {greatest:.2})")
}

/// A figure with its spread.
pub fn shown(spread: Spread) -> String {
    let Spread {
        least,
        median,
        greatest,
    } = spread;
    format!(
        "{} ({} … {})",
        figure(median),
        figure(least),
        figure(greatest)
    )
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
