//! efio beside its peers, in one run.
//!
//! ```text
//! cargo run --release -p efio-benches --bin compare --features peers -- --json compare.json
//! cargo run --release -p efio-benches --bin report -- compare.json
//! ```
//!
//! A turn is one peer doing one scenario in a process of its own: this program starts itself again.
//! Each round lets every peer have a turn, beginning with another one each time, so that what is
//! slow for a while is slow for all. Between turns the page cache is dropped and memory touched.
//! Without the feature `peers` the runtimes are left out.

mod child;
mod measure;
mod memory;
mod options;
mod pattern;
mod peer;
mod peers;
mod runner;
mod scenarios;
mod wakeup;

use clap::Parser;
use efio_benches::catalog::SCENARIOS;
use options::Options;
use peers::PEERS;
use std::process::ExitCode;

fn main() -> ExitCode {
    let options = Options::parse();
    let result = if options.list {
        list();
        Ok(())
    } else if let Some(number) = options.turn {
        child::turn(&options, number)
    } else {
        runner::all(&options)
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("compare: {error}");
            ExitCode::FAILURE
        }
    }
}

fn list() {
    println!("scenarios");
    for scenario in SCENARIOS {
        println!("  {:<14}{}", scenario.name, scenario.title);
    }
    println!("peers");
    for peer in PEERS {
        println!("  {:<18}{}", peer.name, peer.about);
    }
    if !cfg!(feature = "peers") {
        println!("  and the runtimes, with --features peers");
    }
}
