//! Where efio is not first, and where it is not near what is possible: from the figures.

use crate::headline::place;
use crate::markdown::{figure, ratio};
use crate::summary::{Case, LIMIT, OURS};

/// Below this fraction of the bare ring efio is not near what is possible.
const NEAR: f64 = 0.95;

/// Two lists.
pub fn render(cases: &[Case<'_>]) -> String {
    let behind: Vec<_> = cases.iter().filter_map(beside_best).collect();
    let far: Vec<_> = cases.iter().filter_map(beside_limit).collect();
    let firsts = cases.len() - behind.len();
    format!(
        "efio is ahead of every peer in every round in {firsts} of {} cases. The others, with the best peer of \
         each:\n\n{}\nUnder {NEAR} of the bare ring, by the median:\n\n{}",
        cases.len(),
        behind.concat(),
        far.concat(),
    )
}

/// A line if efio is not ahead of its best peer in every round.
fn beside_best(case: &Case<'_>) -> Option<String> {
    let (ours, peer) = (case.row(OURS)?, case.best_peer()?);
    let times = case.times(ours, peer)?;
    let verdict = match place(times) {
        "**ahead**" => return None,
        "behind" => "**behind**",
        level => level,
    };
    let metric = case.decides();
    let values = [ours, peer].map(|row| row.metric(metric).map_or(f64::NAN, |it| it.median));
    Some(format!(
        "- {}: {verdict}, {} of {}; {} and {} {}\n",
        case.full(),
        ratio(times),
        peer.peer,
        figure(values[0]),
        figure(values[1]),
        metric.name,
    ))
}

fn beside_limit(case: &Case<'_>) -> Option<String> {
    let times = case.times(case.row(OURS)?, case.row(LIMIT)?)?;
    (times.median < NEAR).then(|| format!("- {}: {}\n", case.full(), ratio(times)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::summary::{cases, measured};
    use efio_benches::record::Record;

    #[test]
    fn only_what_is_not_first_is_listed() {
        let verdicts = |ours: f64| {
            let measurements = vec![
                measured(OURS, 0, ours),
                measured("other", 0, 2.0),
                measured(LIMIT, 0, 1.0),
            ];
            let record = Record {
                measurements,
                ..Record::default()
            };
            render(&cases(&record))
        };
        // Seconds: less is better.
        assert!(verdicts(1.0).contains("in 1 of 1 cases"));
        assert!(!verdicts(1.0).contains("- loop"));
        assert!(verdicts(1.5).contains("- loop of 8 files in, 4 out: 0.67 (0.67 … 0.67)\n"));
        assert!(!verdicts(1.5).contains("of other"));
        assert!(verdicts(4.0).contains("**behind**, 0.50 (0.50 … 0.50) of other; 4.00 and 2.00 s"));
    }
}
