//! All scenarios in one table: efio beside the best peer of each, and beside the limit.

use crate::markdown::{figure, heading, line, ratio};
use crate::summary::{Case, LIMIT, OURS, Spread, headline};
use efio_benches::catalog::HELD;

/// The rows of the short table.
const SHORT: [&str; 5] = [
    "read 1 GiB, cold",
    "write 1 GiB and sync",
    "a log line, caller's time",
    "1 000 uploads of 1 MiB",
    "256 MiB read, cold, 1 000 files",
];

/// The table and the picture. A short one has five rows, and neither picture nor limit nor cost.
pub fn render(cases: &[Case<'_>], pictures: &[(String, String)], short: bool) -> String {
    let mut heads = vec!["", "efio", "best peer", "efio ×", ""];
    if !short {
        heads.extend([
            "efio × a bare ring",
            "longest call, µs, efio / peer",
            "CPU s, efio / peer",
        ]);
    }
    let heads: Vec<_> = heads.into_iter().map(str::to_owned).collect();
    let lines = headline(cases)
        .filter(|case| !short || SHORT.contains(&case.short().as_str()))
        .filter_map(|case| cells(case, short));
    let mut text = heading(&heads) + &lines.map(|cells| line(&cells)).collect::<String>();
    let overview = pictures.iter().find(|(file, _)| file == "overview.svg");
    if let (Some((file, title)), false) = (overview, short) {
        text += &format!("\n![{title}](benchmarks/plots/{file})\n");
    }
    text
}

fn cells(case: &Case<'_>, short: bool) -> Option<Vec<String>> {
    let (ours, peer) = (case.row(OURS)?, case.best_peer()?);
    let metric = case.decides();
    let times = case.times(ours, peer)?;
    let mut cells = vec![
        case.short(),
        format!("{} {}", figure(ours.metric(metric)?.median), metric.name),
        format!("{}: {}", peer.peer, figure(peer.metric(metric)?.median)),
        ratio(times),
        place(times).to_owned(),
    ];
    if !short {
        let limit = case.row(LIMIT).and_then(|limit| case.times(ours, limit));
        cells.push(limit.map_or_else(String::new, ratio));
        let longest = [ours, peer].map(|row| {
            let longest = row.over(|figures| Some(figures.latency.as_ref()?.at(1.0) as f64 / 1e3));
            longest.map_or_else(|| "–".to_owned(), |spread| figure(spread.median))
        });
        cells.push(match case.scenario.latency {
            HELD => longest.join(" / "),
            _ => String::new(),
        });
        let cpu = [ours, peer].map(|row| row.over(|figures| Some(figures.cpu)));
        let cpu = cpu.map(|spread| spread.map_or(f64::NAN, |spread| spread.median));
        cells.push(format!("{:.2} / {:.2}", cpu[0], cpu[1]));
    }
    Some(cells)
}

/// Whether efio was better in every round, in none, or in some.
pub fn place(times: Spread) -> &'static str {
    match times {
        Spread { least, .. } if least > 1.0 => "**ahead**",
        Spread { greatest, .. } if greatest < 1.0 => "behind",
        _ => "level",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_ahead_is_so_in_every_round() {
        let spread = |least, greatest| Spread {
            least,
            median: 1.1,
            greatest,
        };
        assert_eq!(place(spread(1.01, 1.2)), "**ahead**");
        assert_eq!(place(spread(0.8, 0.99)), "behind");
        assert_eq!(place(spread(0.9, 1.2)), "level");
    }
}
