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
mod pattern;
mod peers;
mod runner;
mod scenarios;
mod wakeup;

use clap::Parser;
use efio_benches::catalog::{self, SCENARIOS, Scenario};
use peers::{Entry, PEERS};
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

/// Measures efio and its peers beside each other.
#[derive(Parser)]
struct Options {
    /// Scenarios to run; all unless given
    #[arg(long, num_args = 1.., value_delimiter = ',')]
    scenario: Vec<String>,
    /// Peers to run; all unless given
    #[arg(long, num_args = 1.., value_delimiter = ',')]
    peers: Vec<String>,
    /// Only these numbers of open files, where a scenario has several
    #[arg(long, num_args = 1.., value_delimiter = ',')]
    files: Vec<usize>,
    /// An eighth of the work, and two rounds
    #[arg(long)]
    quick: bool,
    /// How often each peer has a turn
    #[arg(long)]
    rounds: Option<usize>,
    /// Where the measurements go; those of other scenarios in it are kept
    #[arg(long)]
    json: Option<PathBuf>,
    /// Go on with an interrupted run, or one of fewer rounds: keep the turns of this version of efio
    /// that are in the file, and have those that are missing
    #[arg(long, requires = "json")]
    resume: bool,
    /// Where the files are made; on the disk that is to be measured
    #[arg(long, default_value = "target/compare")]
    dir: PathBuf,
    /// Keep the files that are read, for the next run
    #[arg(long)]
    keep: bool,
    /// Say which scenarios and peers there are
    #[arg(long)]
    list: bool,
    /// The turn of that number, in this process
    #[arg(long, hide = true)]
    turn: Option<usize>,
}

impl Options {
    fn scenarios(&self) -> io::Result<Vec<&'static Scenario>> {
        if self.scenario.is_empty() {
            return Ok(SCENARIOS.iter().collect());
        }
        let find = |name: &String| catalog::find(name).ok_or_else(|| unknown("scenario", name));
        self.scenario.iter().map(find).collect()
    }

    fn peers(&self) -> io::Result<Vec<&'static Entry>> {
        if self.peers.is_empty() {
            return Ok(PEERS.iter().collect());
        }
        let find = |name: &String| {
            let peer = PEERS.iter().find(|peer| peer.name == name);
            peer.ok_or_else(|| unknown("peer", name))
        };
        self.peers.iter().map(find).collect()
    }
}

fn unknown(what: &str, name: &str) -> io::Error {
    let message = format!("there is no {what} {name}; --list says which there are");
    io::Error::new(io::ErrorKind::InvalidInput, message)
}

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
