//! The core of the conformance suite without the test harness, for the sanitizers: every check on
//! the work directory with each backend and io mode. The commands are in `docs/TESTING.md`.
//!
//! `EFIO_SANITIZED=1` runs all of it; `cargo test` runs one check, so that this file does not rot.

mod common;

#[path = "conformance/follow.rs"]
mod follow;
#[path = "conformance/mixed.rs"]
mod mixed;
#[path = "conformance/positional.rs"]
mod positional;
#[path = "conformance/sizes.rs"]
mod sizes;
#[path = "conformance/sparse.rs"]
mod sparse;
#[path = "conformance/stream.rs"]
mod stream;
#[path = "conformance/threads.rs"]
mod threads;
#[path = "conformance/truncation.rs"]
mod truncation;

use common::fixtures::{Fixture, disk, each_on};
use std::time::Instant;

type Check = (&'static str, fn(&Fixture));

const CHECKS: [Check; 10] = [
    ("mixed", mixed::reads_and_writes_mix_through_one_descriptor),
    (
        "positional",
        positional::positional_calls_see_what_was_asked_before,
    ),
    ("threads", threads::threads_share_a_descriptor),
    ("stream", stream::a_stream_is_longer_than_the_memory),
    ("follow", follow::a_reader_follows_a_growing_file),
    ("truncation", truncation::a_file_is_cut_under_its_reader),
    ("sizes", sizes::files_of_every_size_come_back),
    ("writes", sizes::writes_of_every_size_follow_each_other),
    ("reads", sizes::reads_of_every_size_follow_each_other),
    ("sparse", sparse::holes_are_zeros),
];

fn main() {
    let all = std::env::var_os("EFIO_SANITIZED").is_some();
    for (name, check) in &CHECKS[..if all { CHECKS.len() } else { 1 }] {
        let start = Instant::now();
        each_on(disk(), *check);
        println!("{name}: {:.1?}", start.elapsed());
    }
}
