//! The scenarios of the comparison: their names, and which figure decides.

/// A scenario.
#[derive(Debug)]
pub struct Scenario {
    /// On the command line.
    pub name: &'static str,
    /// What is done, for a heading.
    pub title: &'static str,
    /// The same in a few words, for a line of many.
    pub short: &'static str,
    /// The figures by name, the one that decides first.
    pub metrics: &'static [Metric],
    /// What the distribution of times is of.
    pub latency: &'static str,
    /// Numbers of files open at once that it is measured with.
    pub files: &'static [usize],
}

/// A figure of a scenario.
#[derive(Debug)]
pub struct Metric {
    /// Its name and unit.
    pub name: &'static str,
    /// Less is better.
    pub less: bool,
}

const fn more(name: &'static str) -> Metric {
    Metric { name, less: false }
}

const fn less(name: &'static str) -> Metric {
    Metric { name, less: true }
}

const GROWTH: &[usize] = &[1, 10, 100, 1_000, 10_000];
/// Of calls that give the thread back as soon as they can, or should.
pub const HELD: &str = "time that a call holds its thread";

/// Every scenario, in the order of the tables.
pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "read",
        title: "Read 1 GiB, cold",
        short: "read 1 GiB, cold",
        metrics: &[more("MB/s")],
        latency: HELD,
        files: &[1],
    },
    Scenario {
        name: "write",
        title: "Write 1 GiB and sync",
        short: "write 1 GiB and sync",
        metrics: &[more("MB/s")],
        latency: HELD,
        files: &[1],
    },
    Scenario {
        name: "log",
        title: "Log lines of 100 to 200 bytes",
        short: "a log line, caller's time",
        metrics: &[less("ns/line"), more("MB/s, durable")],
        latency: HELD,
        files: &[1],
    },
    Scenario {
        name: "stall",
        title: "Loop: 8 cold files in, 4 out, 64 MiB each, on one thread",
        short: "loop of 8 files in, 4 out",
        metrics: &[less("s")],
        latency: HELD,
        files: &[12],
    },
    Scenario {
        name: "mixed",
        title: "Mixed server: 4 cold streams in, 4 out with a sync of every 4 MiB, 2 logs, \
                200 small cold files a second, on one thread",
        short: "mixed server, p99 of a read",
        metrics: &[
            less("ms, p99 of a read"),
            less("ms, p99 of a small file"),
            less("ms, p99 of a sync"),
            less("ms, p99 of a line"),
            less("ms, p99.9 of a read"),
            less("ms, p99.9 of a small file"),
            less("ms, p99.9 of a sync"),
            less("ms, p99.9 of a line"),
            less("ms, p50 of a read"),
            less("ms, p50 of a small file"),
            less("ms, p50 of a sync"),
            less("ms, p50 of a line"),
            less("s"),
        ],
        latency: HELD,
        files: &[12],
    },
    Scenario {
        name: "small-write",
        title: "Write 5 000 files of 8 KiB",
        short: "5 000 small files written",
        metrics: &[more("files/s, durable"), more("files/s, closed")],
        latency: "a file, from open to close",
        files: &[64],
    },
    Scenario {
        name: "small-read",
        title: "Read 5 000 files of 8 KiB, cold",
        short: "5 000 small files read, cold",
        metrics: &[more("files/s")],
        latency: "a file, from open to close",
        files: &[64],
    },
    Scenario {
        name: "random",
        title: "Read 4 KiB at random places, 64 at once",
        short: "4 KiB at random, 64 at once",
        metrics: &[more("reads/s")],
        latency: "a read, from the call to the bytes",
        files: &[1],
    },
    Scenario {
        name: "uploads",
        title: "1 000 concurrent uploads of 1 MiB, each synced",
        short: "1 000 uploads of 1 MiB",
        metrics: &[more("uploads/s")],
        latency: "an upload, from open to durable",
        files: &[1_000],
    },
    Scenario {
        name: "growth-read",
        title: "Read 256 MiB from so many files at once, cold",
        short: "256 MiB read, cold",
        metrics: &[more("MB/s")],
        latency: HELD,
        files: GROWTH,
    },
    Scenario {
        name: "growth-write",
        title: "Write 256 MiB to so many files at once, and sync",
        short: "256 MiB written",
        metrics: &[more("MB/s")],
        latency: HELD,
        files: GROWTH,
    },
    Scenario {
        name: "growth-log",
        title: "Log 400 000 lines to so many files in turn",
        short: "log lines in turn",
        metrics: &[less("ns/line"), more("MB/s, durable")],
        latency: HELD,
        files: GROWTH,
    },
];

/// The scenario of that name.
pub fn find(name: &str) -> Option<&'static Scenario> {
    SCENARIOS.iter().find(|scenario| scenario.name == name)
}
