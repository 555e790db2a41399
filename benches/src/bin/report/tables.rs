//! The tables, and what has to be known to read them.

use crate::markdown::{figure, heading, line, name, ratio, shown};
use crate::summary::{Case, OURS, Row};
use crate::{growth, kinds};
use efio_benches::catalog::SCENARIOS;
use efio_benches::record::{Figures, Machine};
use std::collections::BTreeSet;

/// The part of the page, pictures included.
pub fn render(machine: &Machine, cases: &[Case<'_>], pictures: &[(String, String)]) -> String {
    let mut text = method(machine, cases);
    for scenario in SCENARIOS {
        let of_it: Vec<_> = cases
            .iter()
            .filter(|case| case.scenario.name == scenario.name)
            .collect();
        if of_it.is_empty() {
            continue;
        }
        text += &format!("\n### {}\n\n", scenario.title);
        if let Some(note) = note(scenario.name) {
            text += &format!("{note}\n\n");
        }
        for (file, title) in pictures {
            if belongs(file, scenario.name) {
                text += &format!("![{title}](plots/{file})\n\n");
            }
        }
        match of_it[..] {
            [case] if scenario.files.len() == 1 => text += &(table(case) + &kinds::table(case)),
            _ => text += &growth::tables(&of_it),
        }
    }
    text
}

fn belongs(file: &str, scenario: &str) -> bool {
    let rest = file.strip_prefix(scenario);
    rest.is_some_and(|rest| [".svg", "-held.svg", "-late.svg"].contains(&rest))
}

/// What has to be known to read the tables of a scenario.
fn note(scenario: &str) -> Option<&'static str> {
    Some(match scenario {
        "log" => {
            "ns/line is what a line costs its caller while the disk keeps up. Durable is from the first of \
             2 million lines that come at once to the end of the sync: who only puts them into a buffer is \
             not done."
        }
        "growth-log" => {
            "Read both figures together. ns/line counts only the caller's calls; a peer whose buffer takes \
             all that a file gets (60 KB of a thousand files, 6 KB of ten thousand) writes after that clock \
             has stopped. Durable is from the first line to the end of the sync of the file system."
        }
        "uploads" => {
            "A peer has one block of 64 KiB at a time for an upload, efio as much of its 64 MiB as it likes; \
             tokio's `File` has a buffer of its own beside that. efio syncs each file's directory as well."
        }
        "small-write" => {
            "One sync of the file system ends all of them. How fast ext4 makes files depends on how many \
             were deleted within minutes before; nothing is deleted during a run."
        }
        "mixed" => {
            "Times are from a call to its result: the bytes of a read, a whole small file from open to close, the \
             return of a sync, a line that the peer has taken."
        }
        "stall" => {
            "A late tick shows what the loop's thread did beside its calls: the system calls that a runtime \
             makes while it waits."
        }
        _ => return None,
    })
}

fn method(machine: &Machine, cases: &[Case<'_>]) -> String {
    let rows = || cases.iter().flat_map(|case| &case.rows);
    let rounds = rows().map(Row::rounds).min().unwrap_or(0);
    let repeats: u32 = rows().map(Row::repeats).sum();
    let steal = rows().map(Row::steal).fold(0.0, f64::max);
    let backend = rows()
        .filter(|row| row.peer == OURS)
        .flat_map(Row::figures)
        .next();
    let backend = backend
        .and_then(|figures| figures.note.split(';').next())
        .unwrap_or("");
    let uring = match rows().any(|row| row.peer == "efio-uring") {
        true => "its lines show how far two turns of one program lie apart",
        false => "has no lines of its own",
    };
    let versions: BTreeSet<&str> = rows().flat_map(Row::versions).collect();
    let versions: Vec<_> = versions.into_iter().filter(|v| !v.is_empty()).collect();
    let versions = versions.join(", ");
    format!(
        "## Scenarios\n\n\
         {}, {} GiB, Linux {}, {}. Commit {versions}. At least {rounds} rounds of each scenario; in each round every peer had one turn, \
         in a process of its own, beginning with another one each time and in another \
         order. Before a turn everything was synced, all \
         caches dropped and as much memory touched as it would need. A turn was measured again when the host took over \
         0.1 of a processor meanwhile ({repeats} were; the most that is left in the figures is {steal:.2}). All \
         bytes read were compared with what was written, and all that was written was read back. Trust no difference \
         under 15 %.\n\n\
         efio chose: {backend}; so efio-uring is the same engine, and {uring}. A cell is the median over the rounds, with the least and the greatest in brackets. \
         \"efio ×\" is how many times as good efio is in the figure of the first column, round by round: above 1 \
         efio is ahead. CPU is that of the process, and of the whole machine with the kernel's threads. A call \
         \"holds\" its thread from its begin to its end or to the point where the loop may do something else; the \
         system calls that a runtime makes while its loop waits are not in it, but in how late a tick is noticed.\n",
        machine.processor,
        machine.memory.div_ceil(1 << 30),
        machine.kernel,
        machine.storage,
    )
}

fn table(case: &Case<'_>) -> String {
    let metrics = case.scenario.metrics;
    let late = case
        .rows
        .iter()
        .flat_map(Row::figures)
        .any(|figures| figures.lateness.is_some());
    let mut heads = vec![
        "".to_owned(),
        metrics[0].name.to_owned(),
        "efio ×".to_owned(),
    ];
    heads.extend(metrics[1..].iter().map(|metric| metric.name.to_owned()));
    heads.push(format!(
        "{}, µs: median / p99.9 / longest",
        case.scenario.latency
    ));
    if late {
        heads.push("tick noticed late by, µs: p99 / longest".into());
    }
    heads.extend(
        [
            "CPU s, process / machine",
            "peak MiB",
            "left in cache",
            "device MiB, read / written",
        ]
        .map(Into::into),
    );
    let mut text = heading(&heads);
    for row in &case.rows {
        text += &cells(case, row, late, heads.len());
    }
    text
}

fn cells(case: &Case<'_>, row: &Row<'_>, late: bool, width: usize) -> String {
    let name = name(row.peer);
    let ran = row.figures().count();
    let trouble = row.trouble();
    let name = match trouble {
        Some((why, _)) if ran > 0 => {
            format!(
                "{name}, {} of {} failed: {why}",
                row.rounds() - ran,
                row.rounds()
            )
        }
        _ => name,
    };
    if let (Some((why, failed)), 0) = (trouble, ran) {
        let what = if failed {
            format!("failed: {why}")
        } else {
            format!("– ({why})")
        };
        let mut cells = vec![name, what];
        cells.resize(width, String::new());
        return line(&cells);
    }
    let metrics = case.scenario.metrics;
    let own = |index: usize| row.metric(&metrics[index]).map_or("–".into(), shown);
    let times = case.row(OURS).and_then(|ours| case.times(ours, row));
    let times = times.map_or("–".to_owned(), ratio);
    let mut cells = vec![
        name,
        own(0),
        if row.peer == OURS { "1".into() } else { times },
    ];
    cells.extend((1..metrics.len()).map(own));
    let held = row.times(|figures| figures.latency.as_ref());
    cells.push(at(&held, &[0.5, 0.999, 1.0]));
    if late {
        cells.push(at(
            &row.times(|figures| figures.lateness.as_ref()),
            &[0.99, 1.0],
        ));
    }
    let median = |value: &dyn Fn(&Figures) -> f64| {
        row.over(|f| Some(value(f))).map_or(f64::NAN, |s| s.median)
    };
    let mib = |bytes: f64| bytes / f64::from(1 << 20);
    cells.push(format!(
        "{:.2} / {:.2}",
        median(&|f| f.cpu),
        median(&|f| f.cpu_machine)
    ));
    cells.push(format!("{:.0}", mib(median(&|f| f.peak_memory as f64))));
    let left = median(&|f| f.resident.0 as f64 / (f.resident.1 as f64).max(1.0));
    cells.push(format!("{:.0} %", left * 100.0));
    let device = |value: &dyn Fn(&Figures) -> u64| mib(median(&|f| value(f) as f64));
    cells.push(format!(
        "{:.0} / {:.0}",
        device(&|f| f.device.0),
        device(&|f| f.device.1)
    ));
    line(&cells)
}

fn at(times: &[(f64, f64)], ranks: &[f64]) -> String {
    let one = |rank: &f64| {
        let found = times.iter().find(|(at, _)| *at >= rank - 1e-9);
        found.map_or("–".to_owned(), |&(_, micros)| figure(micros))
    };
    ranks.iter().map(one).collect::<Vec<_>>().join(" / ")
}
