//! Deterministic simulation, see `sim/mod.rs`.
//!
//! `EFIO_SIM_SEEDS=100000 cargo test -p efio-core --release --test sim` runs as many seeds,
//! `EFIO_SIM_SECONDS=60` as many as fit; `EFIO_SIM_SEED=42` replays one. A failing plan is shrunk
//! for at most `EFIO_SIM_SHRINK` seconds. The example `sim` does the same with options.

#[path = "sim/mod.rs"]
mod sim;

use sim::{SimMemory, replay, soak};
use std::time::{Duration, Instant};

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn the_contract_holds_for_every_seed() {
    let shrinking = Duration::from_secs(number("EFIO_SIM_SHRINK").unwrap_or(20));
    if let Some(seed) = number("EFIO_SIM_SEED") {
        let result = replay(seed, &SimMemory::new(), shrinking);
        return result.unwrap_or_else(|report| panic!("{report}"));
    }
    let start = Instant::now();
    let time = number("EFIO_SIM_SECONDS").map(Duration::from_secs);
    let most = number("EFIO_SIM_SEEDS").unwrap_or(if time.is_some() { u64::MAX } else { 300 });
    let seeds = soak(0..most, time.unwrap_or(Duration::MAX), shrinking);
    let seeds = seeds.unwrap_or_else(|report| panic!("{report}"));
    let rate = seeds as f64 / start.elapsed().as_secs_f64();
    println!("{seeds} seeds clean, {rate:.0} seeds/s");
}
