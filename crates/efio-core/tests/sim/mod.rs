//! Deterministic simulation: the real driver and plans over a simulated disk, a random client, and
//! an oracle that checks the contract.
//!
//! ```text
//!  seed ──► Plan (steps) ──► Harness ── calls ──► Engine ── ops ──► SimDisk
//!             ▲                │ ◄── events ─────┘                  │
//!             │ smaller        └─► Oracle ◄──── the bytes there ────┘
//!             └── shrink ◄── failed
//! ```

mod client;
mod crash;
mod file_holds;
mod harness;
mod history;
mod in_flight;
mod memory;
mod opening;
mod oracle;
mod payload;
mod positional;
mod reopening;
mod shrink;
mod steps;
mod streams;
mod task;
mod tasks;
mod waiting;
mod workload;

pub use efio_core::sim::SimMemory;
pub use shrink::{shrink, try_plan};
pub use steps::Plan;

use harness::Harness;
use std::fmt::Write;
use std::ops::Range;
use std::time::{Duration, Instant};

/// Runs a plan: random calls under random faults, then without faults until all is idle.
pub fn run(plan: &Plan, memory: &SimMemory) {
    let mut harness = Harness::new(plan, memory);
    for step in &plan.steps {
        harness.step(step);
    }
    harness.quiesce();
}

/// Tries one seed after the other until one fails, none is left, or `time` is over; returns how
/// many it tried. A failure is shrunk for at most `shrinking`.
///
/// # Errors
///
/// The failure, with the seed and a short list of steps that lead to it.
pub fn soak(seeds: Range<u64>, time: Duration, shrinking: Duration) -> Result<u64, String> {
    let memory = SimMemory::new();
    let start = Instant::now();
    let mut count = 0;
    for seed in seeds {
        if start.elapsed() > time {
            break;
        }
        replay(seed, &memory, shrinking)?;
        count += 1;
    }
    Ok(count)
}

/// Tries one seed.
///
/// # Errors
///
/// As for [`soak`].
pub fn replay(seed: u64, memory: &SimMemory, shrinking: Duration) -> Result<(), String> {
    let plan = Plan::new(seed);
    let Err(failure) = try_plan(&plan, memory) else {
        return Ok(());
    };
    let mut report = format!("seed {seed} fails at {failure}\nEFIO_SIM_SEED={seed} replays it\n");
    if shrinking.is_zero() {
        return Err(report);
    }
    let smaller = shrink(plan, &failure, memory, shrinking);
    let Plan {
        config,
        faults,
        steps,
        inside,
        ..
    } = &smaller;
    let _ = writeln!(report, "{config:?}\n{faults:?}\n{} steps:", steps.len());
    for step in steps {
        let _ = writeln!(report, "  {step:?}");
    }
    for step in inside.iter().flatten() {
        let _ = writeln!(report, "  inside: {step:?}");
    }
    if let Err(failure) = try_plan(&smaller, memory) {
        let _ = writeln!(report, "lead to {failure}");
    }
    Err(report)
}
