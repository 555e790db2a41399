//! What the command line says.

use crate::peers::{Entry, PEERS};
use clap::Parser;
use efio_benches::catalog::{self, SCENARIOS, Scenario};
use std::io;
use std::path::PathBuf;

/// Measures efio and its peers beside each other.
#[derive(Parser)]
pub struct Options {
    /// Scenarios to run; all unless given
    #[arg(long, num_args = 1.., value_delimiter = ',')]
    pub scenario: Vec<String>,
    /// Peers to run; all unless given
    #[arg(long, num_args = 1.., value_delimiter = ',')]
    pub peers: Vec<String>,
    /// Only these numbers of open files, where a scenario has several
    #[arg(long, num_args = 1.., value_delimiter = ',')]
    pub files: Vec<usize>,
    /// An eighth of the work, and two rounds
    #[arg(long)]
    pub quick: bool,
    /// How often each peer has a turn
    #[arg(long)]
    pub rounds: Option<usize>,
    /// Where the measurements go; those of other scenarios in it are kept
    #[arg(long)]
    pub json: Option<PathBuf>,
    /// Go on with an interrupted run, or one of fewer rounds: keep the turns of this version of
    /// efio that are in the file, and have those that are missing
    #[arg(long, requires = "json")]
    pub resume: bool,
    /// Where the files are made; on the disk that is to be measured
    #[arg(long, default_value = "target/compare")]
    pub dir: PathBuf,
    /// Keep the files that are read, for the next run
    #[arg(long)]
    pub keep: bool,
    /// Say which scenarios and peers there are
    #[arg(long)]
    pub list: bool,
    /// The turn of that number, in this process
    #[arg(long, hide = true)]
    pub turn: Option<usize>,
}

impl Options {
    pub fn scenarios(&self) -> io::Result<Vec<&'static Scenario>> {
        if self.scenario.is_empty() {
            return Ok(SCENARIOS.iter().collect());
        }
        let find = |name: &String| catalog::find(name).ok_or_else(|| unknown("scenario", name));
        self.scenario.iter().map(find).collect()
    }

    pub fn peers(&self) -> io::Result<Vec<&'static Entry>> {
        if self.peers.is_empty() {
            return Ok(PEERS.iter().collect());
        }
        let find = |name: &String| {
            let peer = PEERS.iter().find(|peer| peer.name == name);
            peer.ok_or_else(|| unknown("peer", name))
        };
        self.peers.iter().map(find).collect()
    }

    /// Where the files to read are: the same for all peers.
    pub fn input_dir(&self, scenario: &Scenario, files: usize) -> PathBuf {
        let kind = match scenario.name {
            "random" => "read",
            other => other,
        };
        let size = if self.quick && kind == scenario.name {
            "-quick"
        } else {
            ""
        };
        self.dir.join(format!("in-{kind}-{files}{size}"))
    }

    /// Where the files of a turn go that are written.
    pub fn output_dir(&self, case: (&Scenario, usize), peer: &Entry, turn: usize) -> PathBuf {
        let (scenario, files) = case;
        let turn = format!("{}-{turn}", peer.name);
        self.dir
            .join(format!("out-{}-{files}", scenario.name))
            .join(turn)
    }
}

fn unknown(what: &str, name: &str) -> io::Error {
    let message = format!("there is no {what} {name}; --list says which there are");
    io::Error::new(io::ErrorKind::InvalidInput, message)
}
