//! Programs that showed faults in use, as tests: one file for each, named after what it does, with
//! the number of its fault (`F82`) in its text. This command runs all of them, also those of the
//! other crates:
//!
//! ```text
//! cargo test --workspace --features efio-core/tokio --test cases
//! ```
//!
//! A case runs on every backend that starts here, waits for states and never for the clock (only
//! [`TIMEOUT`](common::TIMEOUT) ends a hang), and prints `SKIPPED` and why where it cannot run.

#[path = "../common/mod.rs"]
mod common;

mod after_the_end;
mod append_position;
mod callback_after_the_limit;
mod code_of_the_program;
mod concurrent_queries;
#[cfg(feature = "tokio")]
mod dropped_futures;
mod durations;
mod eagain_of_open;
mod edge_triggered;
mod ends_of_files;
mod flush_under_load;
mod forked_children;
mod freed_memory;
mod level_triggered;
mod log_goes_on;
mod name_of_a_new_file;
mod opened_again;
mod read_after_a_failed_write;
#[cfg(target_os = "linux")]
mod refused_calls;
mod relative_paths;
mod shutdown_losses;
mod stalled_readers;
