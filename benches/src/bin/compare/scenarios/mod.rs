//! What is done with the peers. Each scenario is written once, for all of them.

mod growth;
mod latency;
mod log;
mod random;
mod sampler;
mod small;
mod stream;
mod timer;
mod uploads;

pub use sampler::{Kind, Sampler};

use crate::pattern;
use crate::peers::{self, Demand, Peer};
use efio_benches::catalog::Scenario;
use futures::stream::{FuturesUnordered, TryStreamExt};
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// One turn: a scenario with so many files, in a directory.
pub struct Case {
    pub scenario: &'static Scenario,
    pub files: usize,
    /// An eighth of everything.
    pub quick: bool,
    /// Where the files to read are.
    pub input: PathBuf,
    /// Where the files to write go.
    pub output: PathBuf,
}

/// So many files of one length, numbered from 0.
#[derive(Clone, Copy, Debug, Default)]
pub struct Set {
    pub count: usize,
    pub len: u64,
}

/// What a scenario reads and writes.
struct Work {
    input: Set,
    output: Set,
}

const MIB: u64 = 1 << 20;

impl Case {
    fn scaled(&self, amount: u64) -> u64 {
        if self.quick { amount / 8 } else { amount }
    }

    fn work(&self) -> Work {
        let set = |count: usize, len: u64| Set { count, len };
        let none = Set::default();
        let files = self.files;
        let share = (self.scaled(256 * MIB) / files as u64).next_multiple_of(4096);
        let (input, output) = match self.scenario.name {
            "read" => (set(1, self.scaled(1024 * MIB)), none),
            "write" => (none, set(1, self.scaled(1024 * MIB))),
            "stall" => (set(8, self.scaled(64 * MIB)), set(4, self.scaled(64 * MIB))),
            "small-write" => (none, set(self.scaled(5_000) as usize, 8192)),
            "small-read" => (set(self.scaled(5_000) as usize, 8192), none),
            "random" => (set(1, 1024 * MIB), none),
            "uploads" => (none, set(1_000, self.scaled(MIB))),
            "growth-read" => (set(files, share), none),
            "growth-write" => (none, set(files, share)),
            _ => (none, none),
        };
        Work { input, output }
    }

    pub fn input(&self) -> Set {
        self.work().input
    }

    pub fn output(&self) -> Set {
        self.work().output
    }

    /// Bytes of the most memory that a turn makes the kernel or the peer use, about.
    pub fn memory(&self) -> u64 {
        let Work { input, output } = self.work();
        let files = input.count as u64 * input.len + output.count as u64 * output.len;
        let lines = match self.scenario.name {
            "log" => self.scaled(log::LINES_IN_ALL),
            "growth-log" => self.scaled(growth::LINES),
            _ => 0,
        };
        files + lines * log::LINE + 128 * MIB
    }

    /// Whether there are so many files that deleting them would disturb the next turn.
    pub fn writes_many(&self) -> bool {
        const MANY: usize = 500;
        let logs = self.scenario.name == "growth-log" && self.files >= MANY;
        logs || self.output().count >= MANY
    }

    fn demand(&self) -> Demand {
        let Work { input, output } = self.work();
        let len = match self.scenario.name {
            "log" => 1024 * MIB,
            "growth-log" => growth::LINES * log::LINE / self.files as u64 + 1,
            _ => input.len.max(output.len),
        };
        let work = match (self.scenario.name, input.count, output.count) {
            ("log" | "growth-log", ..) => peers::Work::Lines,
            ("uploads", ..) => peers::Work::InTurn,
            (_, _, 0) => peers::Work::Reads,
            (_, 0, _) => peers::Work::Writes,
            _ => peers::Work::Both,
        };
        Demand {
            len,
            files: self.files,
            work,
        }
    }

    fn in_path(&self, file: usize) -> PathBuf {
        self.input.join(format!("{file}"))
    }

    pub fn out_path(&self, file: usize) -> PathBuf {
        self.output.join(format!("{file}"))
    }

    /// All files that a turn has to do with and that are there.
    pub fn paths(&self) -> io::Result<Vec<PathBuf>> {
        let mut paths: Vec<_> = (0..self.input().count)
            .map(|file| self.in_path(file))
            .collect();
        if self.output.exists() {
            for entry in fs::read_dir(&self.output)? {
                paths.push(entry?.path());
            }
        }
        Ok(paths)
    }

    /// Makes the files to read, if they are not there.
    pub fn prepare(&self) -> io::Result<()> {
        let Set { count, len } = self.input();
        fs::create_dir_all(&self.input)?;
        let mut bytes = vec![0; MIB as usize];
        for index in 0..count {
            let path = self.in_path(index);
            if fs::metadata(&path).is_ok_and(|meta| meta.len() == len) {
                continue;
            }
            let mut file = File::create(&path)?;
            let mut offset = 0;
            while offset < len {
                let part = &mut bytes[..MIB.min(len - offset) as usize];
                pattern::fill(index as u64, offset, part);
                file.write_all(part)?;
                offset += part.len() as u64;
            }
        }
        Ok(())
    }

    /// Reads back what was written.
    pub fn verify(&self) -> io::Result<()> {
        if self.scenario.name.ends_with("log") {
            return log::verify(self);
        }
        let Set { count, len } = self.output();
        let mut bytes = vec![0; MIB as usize];
        for index in 0..count {
            let path = self.out_path(index);
            let file = File::open(&path)?;
            if file.metadata()?.len() != len {
                return Err(wrong(&path, file.metadata()?.len()));
            }
            let mut offset = 0;
            while offset < len {
                let part = &mut bytes[..MIB.min(len - offset) as usize];
                file.read_exact_at(part, offset)?;
                if !pattern::check(index as u64, offset, part) {
                    return Err(wrong(&path, offset));
                }
                offset += part.len() as u64;
            }
        }
        Ok(())
    }
}

fn wrong(path: &Path, at: u64) -> io::Error {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("file {name} is wrong at {at}"),
    )
}

/// Does all of it at once. Each part is polled only when it was woken, as a task of its own would be:
/// some runtimes keep one waker for each poll of an operation.
async fn together<F>(parts: impl Iterator<Item = F>) -> io::Result<()>
where
    F: Future<Output = io::Result<()>>,
{
    let parts: FuturesUnordered<F> = parts.collect();
    parts.try_collect().await
}

/// Runs a case for one peer.
pub fn run<P: Peer>(case: &Case, sampler: &mut Sampler) -> io::Result<()> {
    P::run(case.demand(), async |peer| {
        match case.scenario.name {
            "read" => stream::read(peer, case, sampler).await?,
            "write" => stream::write(peer, case, sampler).await?,
            "log" => log::log(peer, case, sampler).await?,
            "stall" => latency::latency(peer, case, sampler).await?,
            "small-write" => small::write(peer, case, sampler).await?,
            "small-read" => small::read(peer, case, sampler).await?,
            "random" => random::random(peer, case, sampler).await?,
            "uploads" => uploads::uploads(peer, case, sampler).await?,
            "growth-read" => growth::read(peer, case, sampler).await?,
            "growth-write" => growth::write(peer, case, sampler).await?,
            "growth-log" => growth::log(peer, case, sampler).await?,
            other => return Err(io::Error::other(format!("no scenario {other}"))),
        }
        sampler.note(peer.note());
        Ok(())
    })
}
