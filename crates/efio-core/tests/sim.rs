//! Deterministic simulation: the real driver and plans over a simulated disk, a random user, and
//! an oracle that knows the contract.
//!
//! `EFIO_SIM_SEEDS=100000 cargo test -p efio-core --release --test sim` runs as many seeds,
//! `EFIO_SIM_SECONDS=60` as many as fit; `EFIO_SIM_SEED=42` replays one.

#[path = "sim/oracle.rs"]
mod oracle;
#[path = "sim/user.rs"]
mod user;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};
use user::User;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// One life of an engine: random use under random trouble, then no trouble, then rest.
fn run(seed: u64) {
    let mut user = User::new(seed);
    for _ in 0..300 {
        user.step();
    }
    user.come_to_rest();
}

#[test]
fn the_contract_holds_for_every_seed() {
    if let Some(seed) = number("EFIO_SIM_SEED") {
        return run(seed);
    }
    let start = Instant::now();
    let time = number("EFIO_SIM_SECONDS").map(Duration::from_secs);
    let most = number("EFIO_SIM_SEEDS").unwrap_or(if time.is_some() { u64::MAX } else { 100 });
    let mut seeds = 0;
    while seeds < most && time.is_none_or(|time| start.elapsed() < time) {
        if let Err(cause) = catch_unwind(AssertUnwindSafe(|| run(seeds))) {
            eprintln!("replay: EFIO_SIM_SEED={seeds} cargo test -p efio-core --test sim");
            std::panic::resume_unwind(cause);
        }
        seeds += 1;
    }
    let rate = seeds as f64 / start.elapsed().as_secs_f64();
    println!("{seeds} seeds clean, {rate:.0} seeds/s");
}
