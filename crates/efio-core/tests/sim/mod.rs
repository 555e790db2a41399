//! Deterministic simulation: the real driver and plans over a simulated disk, a random client, and
//! an oracle that knows the contract.
//!
//! ```text
//!  seed ──► Plan (steps) ──► Harness ── calls ──► Engine ── ops ──► SimDisk
//!             ▲                │ ◄── events ─────┘                  │
//!             │ smaller        └─► Oracle ◄── what is really there ─┘
//!             └── shrink ◄── failed
//! ```

mod client;
mod crash;
mod file_holds;
mod harness;
mod history;
mod memory;
mod opening;
mod oracle;
mod payload;
mod positional;
mod reopening;
mod shrink;
mod steps;
mod streams;
mod waiting;
mod workload;

pub use efio_core::sim::SimMemory;
pub use shrink::{shrink, try_out};
pub use steps::Plan;

use harness::Harness;
use std::fmt::Write;
use std::ops::Range;
use std::time::{Duration, Instant};

/// Carries out a plan: random use under random trouble, then no trouble, then rest.
pub fn carry_out(plan: &Plan, memory: &SimMemory) {
    let mut harness = Harness::new(plan, memory);
    for step in &plan.steps {
        harness.step(step);
    }
    harness.come_to_rest();
}

/// Tries seeds out, one after the other, until one fails, there are no more, or the time is over;
/// how many were tried. A failure is made smaller for at most `shrinking`.
///
/// # Errors
///
/// The failure, with the seed and a short list of steps that lead there.
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

/// Tries one seed out.
///
/// # Errors
///
/// As for [`soak`].
pub fn replay(seed: u64, memory: &SimMemory, shrinking: Duration) -> Result<(), String> {
    let plan = Plan::new(seed);
    let Err(failure) = try_out(&plan, memory) else {
        return Ok(());
    };
    let mut report = format!("seed {seed} fails at {failure}\nEFIO_SIM_SEED={seed} replays it\n");
    if shrinking.is_zero() {
        return Err(report);
    }
    let smaller = shrink(plan, &failure, memory, shrinking);
    let Plan {
        config,
        trouble,
        steps,
        inside,
        ..
    } = &smaller;
    let _ = writeln!(report, "{config:?}\n{trouble:?}\n{} steps:", steps.len());
    for step in steps {
        let _ = writeln!(report, "  {step:?}");
    }
    for step in inside.iter().flatten() {
        let _ = writeln!(report, "  inside: {step:?}");
    }
    if let Err(failure) = try_out(&smaller, memory) {
        let _ = writeln!(report, "lead to {failure}");
    }
    Err(report)
}
