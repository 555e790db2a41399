//! Real threads on a real disk: seeded random walks over the public calls, beside models that know
//! every byte, and a watchdog that prints what each actor waits for when one stalls.
//!
//! ```text
//!  seed ─► scenario: one engine with small limits ─► actors ─► end, quiet or in the middle
//!           │ walkers    a file each, every call, each byte known      (walker.rs)
//!           │ contended      several writers, queriers and readers of one    (contended.rs)
//!           │ failures   the limit of a file, a full disk              (faults.rs)
//!           │ readers    that stopped                                  (faults.rs)
//!           │ frozen     a disk that hangs now and then                (faults.rs)
//!           └ log        lines by several threads, flushed and ended   (logs.rs)
//! ```
//!
//! An actor is a thread that waits, a task of tokio, a task in a loop over epoll (level-triggered,
//! edge-triggered or one-shot), or a task in the engine's callback (`client.rs`).
//!
//! `EFIO_SOAK_SECONDS=3600` makes it longer than 5 s. A fault prints the seed of its scenario, and
//! `EFIO_SOAK_SEED=N` repeats that scenario: the same actors with the same plans, as far as threads
//! allow. `EFIO_SOAK_ONLY=contended,log` leaves the other actors out, `EFIO_SOAK_SHOW=1` prints
//! each scenario.

#[path = "../common/mod.rs"]
mod common;

mod client;
mod contended;
mod dispatch;
mod event_loop;
mod faults;
mod harness;
mod logs;
mod scenario;
mod session;
mod tracker;
mod walker;
mod watchdog;

use harness::Harness;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime};

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{name}={text} is no number")),
    )
}

fn main() {
    let seconds = number("EFIO_SOAK_SECONDS").unwrap_or(5);
    let only = std::env::var("EFIO_SOAK_ONLY").unwrap_or_default();
    let is_known = |kind: &str| kind.is_empty() || scenario::KINDS.contains(&kind);
    assert!(
        only.split(',').all(is_known),
        "{only}: of {:?}",
        scenario::KINDS
    );
    let is_wanted = |kind: &str| only.is_empty() || only.split(',').any(|other| other == kind);
    let harness = Harness::new(&is_wanted);
    common::child::limit(libc::RLIMIT_FSIZE as i32, faults::LIMIT);
    watchdog::start();
    let replayed = number("EFIO_SOAK_SEED");
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap();
    let mut seeds = fastrand::Rng::with_seed(now.as_nanos() as u64);
    let (begun, mut scenarios, mut compared) = (Instant::now(), 0, 0);
    while scenarios == 0 || begun.elapsed() < Duration::from_secs(seconds) {
        let seed = replayed.unwrap_or_else(|| seeds.u64(..1 << 48));
        compared += scenario::run(&harness, seed, &is_wanted);
        scenarios += 1;
    }
    println!(
        "soak: {scenarios} scenarios in {:.1?}, {} MiB compared, {} writes failed as they should, \
         {} freezes",
        begun.elapsed(),
        compared >> 20,
        faults::FAILURES.load(Ordering::Relaxed),
        faults::FREEZES.load(Ordering::Relaxed)
    );
}
