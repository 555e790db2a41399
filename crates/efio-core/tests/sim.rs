//! Deterministic simulation: the real driver and plans over a simulated disk, a random user, and
//! an oracle that knows the contract.
//!
//! `EFIO_SIM_SEEDS=100000 cargo test -p efio-core --release --test sim` runs as many seeds;
//! `EFIO_SIM_SEED=42` replays one.

#[path = "sim/oracle.rs"]
mod oracle;
#[path = "sim/user.rs"]
mod user;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;
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
    let seeds = number("EFIO_SIM_SEEDS").unwrap_or(100);
    let start = Instant::now();
    for seed in 0..seeds {
        if let Err(cause) = catch_unwind(AssertUnwindSafe(|| run(seed))) {
            eprintln!("replay: EFIO_SIM_SEED={seed} cargo test -p efio-core --test sim");
            std::panic::resume_unwind(cause);
        }
    }
    let rate = seeds as f64 / start.elapsed().as_secs_f64();
    println!("{seeds} seeds clean, {rate:.0} seeds/s");
}
