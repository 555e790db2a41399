//! Replays one seed of the simulation, or soaks: runs a range of seeds, or as many as fit in a
//! number of seconds.
//!
//! ```text
//! cargo run --release -p efio-core --example sim -- --seed 42
//! cargo run --release -p efio-core --example sim -- --seeds 0..100000
//! cargo run --release -p efio-core --example sim -- --seconds 60
//! ```

#[path = "../../tests/sim/mod.rs"]
mod sim;

use clap::Parser;
use sim::{SimMemory, replay, soak};
use std::ops::Range;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Simulates engines on a disk with faults, and checks the contract.
#[derive(Parser)]
struct Options {
    /// Only this seed.
    #[arg(long, conflicts_with = "seeds")]
    seed: Option<u64>,
    /// These seeds, as in 0..1000.
    #[arg(long, value_parser = range)]
    seeds: Option<Range<u64>>,
    /// No longer than this.
    #[arg(long)]
    seconds: Option<u64>,
    /// The most seconds spent on shrinking a failure.
    #[arg(long, default_value_t = 20)]
    shrink: u64,
}

fn range(text: &str) -> Result<Range<u64>, String> {
    let (from, to) = text.split_once("..").ok_or("not of the form 0..1000")?;
    let number = |text: &str| text.parse().map_err(|error| format!("{text}: {error}"));
    Ok(number(from)?..number(to)?)
}

fn main() -> ExitCode {
    let options = Options::parse();
    let start = Instant::now();
    let seeds = options.seeds.unwrap_or(0..u64::MAX);
    let time = options.seconds.map_or(Duration::MAX, Duration::from_secs);
    let shrinking = Duration::from_secs(options.shrink);
    let result = match options.seed {
        Some(seed) => replay(seed, &SimMemory::new(), shrinking).map(|()| 1),
        None => soak(seeds, time, shrinking),
    };
    match result {
        Ok(count) => {
            let rate = count as f64 / start.elapsed().as_secs_f64();
            println!("{count} seeds clean, {rate:.0} seeds/s");
            ExitCode::SUCCESS
        }
        Err(report) => {
            eprintln!("{report}");
            ExitCode::FAILURE
        }
    }
}
