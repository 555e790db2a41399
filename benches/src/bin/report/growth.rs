//! The tables of a scenario that is measured with ever more files: a column for each number of
//! them.

use crate::markdown::{heading, line, name, ratio, shown};
use crate::summary::{Case, OURS, Row, count};

/// Its figures, what efio is in comparison, and what it costs.
pub fn tables(cases: &[&Case<'_>]) -> String {
    let metric = cases[0].decides();
    let figures = table(cases, metric.name, |case, row| {
        row.metric(case.decides()).map(shown)
    });
    let others = cases[0].scenario.metrics[1..].iter().map(|metric| {
        let cell = |_: &Case<'_>, row: &Row<'_>| row.metric(metric).map(shown);
        table(cases, metric.name, cell) + "\n"
    });
    let others: String = others.collect();
    let ratios = table(cases, "efio ×", |case, row| match row.peer {
        OURS => Some("1".to_owned()),
        _ => case.times(case.row(OURS)?, row).map(ratio),
    });
    let costs = table(cases, "CPU s, peak MiB", |_, row| {
        let cpu = row.over(|figures| Some(figures.cpu))?.median;
        let memory = row.over(|figures| Some(figures.peak_memory as f64))?.median;
        Some(format!("{cpu:.2}, {:.0}", memory / f64::from(1 << 20)))
    });
    format!("{figures}\n{others}{ratios}\n{costs}")
}

fn table(
    cases: &[&Case<'_>],
    what: &str,
    cell: impl Fn(&Case<'_>, &Row<'_>) -> Option<String>,
) -> String {
    let mut heads = vec![what.to_owned()];
    heads.extend(cases.iter().map(|case| match case.files {
        1 => "1 file".to_owned(),
        files => format!("{} files", count(files)),
    }));
    let mut text = heading(&heads);
    for Row { peer, .. } in &cases[0].rows {
        let mut cells = vec![name(peer)];
        cells.extend(cases.iter().map(|case| {
            let Some(row) = case.row(peer) else {
                return String::new();
            };
            let cell = cell(case, row);
            cell.unwrap_or_else(|| {
                row.trouble().map_or(String::new(), |(why, failed)| {
                    let what = if failed { "failed: " } else { "" };
                    format!("– ({what}{why})")
                })
            })
        }));
        text += &line(&cells);
    }
    text
}
