//! The pictures: how peers compare, how long calls take, what happens as files become more.

mod bars;
mod lines;
mod overview;
mod picture;

use crate::summary::Case;
use efio_benches::catalog::SCENARIOS;
use picture::Picture;

/// All pictures that the cases are enough for.
pub fn all(cases: &[Case<'_>]) -> Vec<Picture> {
    let mut pictures: Vec<_> = overview::of(cases).into_iter().collect();
    for scenario in SCENARIOS {
        let of_it: Vec<_> = cases
            .iter()
            .filter(|case| case.scenario.name == scenario.name)
            .collect();
        match of_it[..] {
            [case] if scenario.files.len() == 1 => {
                pictures.extend(bars::of(case));
                pictures.extend(lines::distribution(
                    case,
                    "-held",
                    scenario.latency,
                    |figures| figures.latency.as_ref(),
                ));
                let late = "time until a tick of 1 kHz is noticed";
                pictures.extend(lines::distribution(case, "-late", late, |figures| {
                    figures.lateness.as_ref()
                }));
            }
            _ => pictures.extend(lines::growth(&of_it)),
        }
    }
    pictures
}
