//! The primitives in one table, from what their benches measured.

use crate::markdown::{figure, heading, line};
use efio_benches::primitives::{Comparison, Record, Row};

/// What a line shows: how it is called, whose figure it is, and in which comparison.
const LINES: [(&str, &str, &str); 13] = [
    ("lock and unlock", "SpinLock", "mutex 1 thread uncontended"),
    ("lock and unlock", "CasCell", "mutex 1 thread uncontended"),
    (
        "8 threads, short sections",
        "CasCell",
        "mutex 8 threads short",
    ),
    ("push and pop, one thread", "efio SegQueue", "same-thread"),
    ("push and pop, two threads", "efio SegQueue", "1p1c"),
    (
        "push and pop in batches of 32",
        "efio SegQueue",
        "same-thread batch-32",
    ),
    (
        "64 bytes through a chunk stream",
        "efio-chunks",
        "copying, blocks of 64 bytes",
    ),
    (
        "4 KiB through a chunk stream",
        "efio-chunks",
        "copying, blocks of 4096 bytes",
    ),
    (
        "4 KiB through a byte stream, copied",
        "Write and Read",
        "io traits, blocks of 4096 bytes",
    ),
    (
        "4 KiB through a byte stream, read in place",
        "Write and BufRead",
        "io traits, blocks of 4096 bytes",
    ),
    (
        "write of 100 bytes",
        "efio File::write",
        "write of 100 bytes",
    ),
    (
        "read of 4 KiB that is there",
        "efio File::read",
        "read of 4 KiB that is there",
    ),
    (
        "a line of a log, 100 bytes",
        "efio log",
        "log lines of 100 bytes",
    ),
];

/// What is possible, and no rival.
const BARE: [&str; 2] = ["memcpy", "the clock alone"];

/// The table. What was not measured is left out.
pub fn table(record: &Record) -> String {
    let heads = ["", "efio, ns", "best rival, ns", "rival ÷ efio"].map(str::to_owned);
    let lines = LINES
        .iter()
        .filter_map(|(what, ours, title)| cells(what, ours, record.comparisons.get(*title)?));
    let table = heading(&heads) + &lines.map(|cells| line(&cells)).collect::<String>();
    if record.singles.is_empty() {
        return table;
    }
    format!(
        "{table}\nSingle operations by criterion, on one thread with nobody in the way: the median, and the \
         interval of 95 % confidence for it.\n\n{}",
        singles(record)
    )
}

fn singles(record: &Record) -> String {
    let lines = record.singles.iter().map(|(name, single)| {
        let [least, median, most] = [single.least, single.median, single.most].map(figure);
        line(&[name.clone(), format!("{median} ({least} … {most})")])
    });
    heading(&["", "ns"].map(str::to_owned)) + &lines.collect::<String>()
}

fn cells(what: &str, ours: &str, comparison: &Comparison) -> Option<Vec<String>> {
    let mine = comparison.rows.iter().find(|row| row.name == ours)?;
    let rivals = comparison
        .rows
        .iter()
        .filter(|row| !row.ours && !BARE.contains(&&*row.name));
    let best = rivals.min_by(|a, b| a.median().total_cmp(&b.median()))?;
    let [least, median, greatest] = Row::spread(&best.ratios(mine));
    Some(vec![
        format!("{what}, `{}`", ours.trim_start_matches("efio ")),
        figure(mine.median()),
        format!("`{}` {}", best.name, figure(best.median())),
        format!("{median:.2} ({least:.2} … {greatest:.2})"),
    ])
}
