//! What a scenario reads and writes: how much, and where it is.

use crate::pattern;
use crate::peer::{self, Demand};
use efio_benches::catalog::Scenario;
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
    /// Files to read that are shorter; they are numbered on.
    small: Set,
    output: Set,
}

const MIB: u64 = 1 << 20;
/// The scenario `log`: so many ticks, lines at each, and lines at once after them.
pub const TICKS: u64 = 1000;
pub const LINES_PER_TICK: u64 = 200;
pub const FLOOD: u64 = 2_000_000;
/// The scenario `mixed`: streams in, and as many out.
pub const STREAMS: usize = 4;
/// How long it lasts.
const MIXED_TICKS: u64 = 8_000;
/// Bytes of each stream in: 32 MiB a second.
pub const READ_PER_TICK: u64 = 32 << 10;
/// Bytes of each stream out: 16 MiB a second.
pub const WRITTEN_PER_TICK: u64 = 16 << 10;
/// A small file at every so many ticks.
pub const TICKS_OF_SMALL: u64 = 5;
/// Lines of both logs together.
pub const LINES_PER_MIXED_TICK: u64 = 40;
/// Bytes of a line, about.
const LINE: u64 = 150;

impl Case {
    pub fn scaled(&self, amount: u64) -> u64 {
        if self.quick { amount / 8 } else { amount }
    }

    fn work(&self) -> Work {
        let set = |count: usize, len: u64| Set { count, len };
        let none = Set::default();
        let files = self.files;
        let share = (self.scaled(256 * MIB) / files as u64).next_multiple_of(4096);
        let small = match self.scenario.name {
            "mixed" => set((self.ticks() / TICKS_OF_SMALL) as usize, 8192),
            _ => none,
        };
        let (input, output) = match self.scenario.name {
            "mixed" => (
                set(STREAMS, self.ticks() * READ_PER_TICK),
                set(STREAMS, self.ticks() * WRITTEN_PER_TICK),
            ),
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
        Work {
            input,
            small,
            output,
        }
    }

    /// Ticks of 1 kHz that the scenario `mixed` lasts.
    pub fn ticks(&self) -> u64 {
        self.scaled(MIXED_TICKS)
    }

    pub fn input(&self) -> Set {
        self.work().input
    }

    pub fn small(&self) -> Set {
        self.work().small
    }

    pub fn output(&self) -> Set {
        self.work().output
    }

    /// Bytes of the most memory that a turn makes the kernel or the peer use, about.
    pub fn memory(&self) -> u64 {
        let Work {
            input,
            small,
            output,
        } = self.work();
        let bytes = |set: Set| set.count as u64 * set.len;
        bytes(input) + bytes(small) + bytes(output) + self.lines() * LINE + 128 * MIB
    }

    /// Lines of a log.
    pub fn lines(&self) -> u64 {
        match self.scenario.name {
            "log" => self.scaled(TICKS) * LINES_PER_TICK + self.scaled(FLOOD),
            "growth-log" => self.scaled(400_000),
            "mixed" => self.ticks() * LINES_PER_MIXED_TICK,
            _ => 0,
        }
    }

    /// Whether there are so many files that deleting them would disturb the next turn.
    pub fn writes_many(&self) -> bool {
        const MANY: usize = 500;
        let logs = self.scenario.name == "growth-log" && self.files >= MANY;
        logs || self.output().count >= MANY
    }

    pub fn demand(&self) -> Demand {
        let Work { input, output, .. } = self.work();
        let len = match self.scenario.name {
            "log" => 1024 * MIB,
            "growth-log" => self.lines() * LINE / self.files as u64 + 1,
            _ => input.len.max(output.len),
        };
        let work = match (self.scenario.name, input.count, output.count) {
            ("log" | "growth-log", ..) => peer::Work::Lines,
            ("uploads", ..) => peer::Work::InTurn,
            (_, _, 0) => peer::Work::Reads,
            (_, 0, _) => peer::Work::Writes,
            _ => peer::Work::Both,
        };
        Demand {
            len,
            files: self.files,
            work,
        }
    }

    pub fn in_path(&self, file: usize) -> PathBuf {
        self.input.join(format!("{file}"))
    }

    pub fn out_path(&self, file: usize) -> PathBuf {
        self.output.join(format!("{file}"))
    }

    /// All files that a turn has to do with and that are there.
    pub fn paths(&self) -> io::Result<Vec<PathBuf>> {
        let mut paths: Vec<_> = (0..self.input().count + self.small().count)
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
        fs::create_dir_all(&self.input)?;
        let mut bytes = vec![0; MIB as usize];
        let (large, small) = (self.input(), self.small());
        for index in 0..large.count + small.count {
            let Set { len, .. } = if index < large.count { large } else { small };
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

    /// Reads back what was written, other than lines.
    pub fn verify(&self) -> io::Result<()> {
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

/// The error of a file that has other bytes than it should.
pub fn wrong(path: &Path, at: u64) -> io::Error {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("file {name} is wrong at {at}"),
    )
}
