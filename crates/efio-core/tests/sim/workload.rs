//! The plan of a seed: its calls, and the faults.
//!
//! Kinds of steps and sizes differ much more from seed to seed than from step to step ("swarm
//! testing"): a seed of small writes and many crashes finds other bugs than one of large files and
//! a slow disk.

use super::payload::{self, LONGEST};
use super::steps::{Closing, FILES, Opening, PATHS, Plan, Polled, Step};
use efio_core::IoMode;
use efio_core::sim::{Config, Foreign, SimOptions};
use fastrand::Rng;
use std::io::SeekFrom;
use std::time::Duration;

impl Plan {
    /// The plan of a seed.
    pub fn new(seed: u64) -> Self {
        let mut random = Rng::with_seed(seed);
        let mut faults = faults(&mut random);
        let mut config = config(&mut random);
        let mut workload = Workload::new(&mut random);
        if random.u8(0..16) == 0 {
            workload.add_readers(&mut config);
        }
        let mut steps: Vec<_> = (0..300).map(|_| workload.step(&mut random)).collect();
        let by_callback = random.u8(0..3) == 0;
        let mut inside: Option<Vec<_>> = by_callback.then(|| {
            let steps = (0..100).map(|_| workload.step(&mut random));
            steps.filter(Step::is_call).collect()
        });
        let takes_unwritten = random.bool();
        let mut random = Rng::with_seed(!seed);
        if random.bool() {
            for steps in [Some(&mut steps), inside.as_mut()].into_iter().flatten() {
                *steps = workload.reopen(std::mem::take(steps), &mut random);
            }
            if let Some(inside) = &mut inside {
                inside.retain(Step::is_call);
            }
        }
        // In a quarter of the seeds tasks drop their futures (F86).
        if matches!(seed % 8, 5 | 7) {
            let mut random = Rng::with_seed(seed ^ 1 << 63);
            for steps in [Some(&mut steps), inside.as_mut()].into_iter().flatten() {
                *steps = workload.poll_futures(std::mem::take(steps), &mut random);
            }
        }
        if seed % 8 == 3 {
            let mut random = Rng::with_seed(seed ^ 1 << 63);
            faults.sync_errors = faults.sync_errors.max(100);
            steps = workload.fail_syncs(steps, &mut random);
        }
        if random.u8(0..8) == 0 {
            workload.fill_up(&mut steps, &mut random);
        }
        Self {
            seed,
            config,
            faults,
            steps,
            inside,
            takes_unwritten,
        }
    }
}

fn faults(random: &mut Rng) -> SimOptions {
    let mut some = |most: u32| {
        if random.bool() {
            random.u32(0..most)
        } else {
            0
        }
    };
    let options = SimOptions {
        short: some(400),
        transient: some(200),
        busy: some(300),
        open_errors: some(100),
        read_errors: some(30),
        write_errors: some(30),
        sync_errors: some(200),
        name_errors: some(500),
        close_errors: some(100),
        lasting: some(500),
        duplicates: some(200),
        refusals: some(300),
        aborted: some(30),
        stalls: some(20),
        no_memory: some(900),
        cached: some(900),
        early_ends: some(900),
        ..SimOptions::default()
    };
    SimOptions {
        dio_align: random.choice([0, 512, 4096]).unwrap_or(0),
        uncached: random.bool(),
        vague_sizes: random.bool(),
        capacity: if random.u8(0..4) == 0 {
            random.u64(0..3 << 20)
        } else {
            u64::MAX
        },
        latency: random.u64(1..40),
        ..options
    }
}

/// Returns a number up to `most`; each power of two is equally likely.
fn any_size(random: &mut Rng, most: u64) -> u64 {
    let bits = random.u32(0..=most.ilog2());
    random.u64(0..2 << bits).min(most)
}

fn config(random: &mut Rng) -> Config {
    Config {
        memory_budget: 4 << 20,
        write_behind: Some(any_size(random, 4 << 20).max(4096) as usize),
        read_ahead: Some(any_size(random, 2 << 20).max(4096) as usize),
        flush_interval: Duration::from_millis(random.u64(1..2000)),
        max_files: FILES,
        ..Config::default()
    }
}

/// The steps of a seed: how frequent and how large.
struct Workload {
    weights: Vec<(u32, Kind)>,
    largest_write: u32,
    largest_read: u32,
    largest_file: u32,
    /// Files are large and read from the start, and most of them are not read to their end (F83).
    has_many_readers: bool,
}

#[derive(Clone, Copy)]
enum Kind {
    Open,
    Write,
    Read,
    ReadAt,
    WriteAt,
    Truncate,
    TakeUnwritten,
    Seek,
    Sync,
    Flush,
    Close,
    UseStale,
    Turns,
    Interfere,
    Shutdown,
    Kill,
    PowerCut,
}

impl Workload {
    fn new(random: &mut Rng) -> Self {
        // Every second seed makes no positional calls: the order of its bytes is stricter.
        let positional = u32::from(random.bool());
        let mut weight = |least: u32, most: u32| random.u32(least..=most);
        // In thousandths, more or less; the end of an engine comes about once in two seeds.
        let weights = vec![
            (weight(40, 100), Kind::Open),
            (weight(0, 500), Kind::Write),
            (weight(0, 400), Kind::Read),
            (positional * weight(0, 200), Kind::ReadAt),
            (positional * weight(0, 200), Kind::WriteAt),
            (positional * weight(0, 40), Kind::Truncate),
            (weight(0, 20), Kind::TakeUnwritten),
            (weight(0, 60), Kind::Seek),
            (weight(0, 100), Kind::Sync),
            (weight(0, 20), Kind::Flush),
            (weight(10, 50), Kind::Close),
            (weight(0, 20), Kind::UseStale),
            (weight(100, 400), Kind::Turns),
            (weight(0, 20), Kind::Interfere),
            (weight(0, 1), Kind::Shutdown),
            (weight(0, 1), Kind::Kill),
            (weight(0, 2), Kind::PowerCut),
        ];
        let mut largest = |least: u32, most: u32| 1 << random.u32(least..=most);
        Self {
            weights,
            largest_write: largest(7, 18) * 3 / 2,
            largest_read: largest(7, 17),
            largest_file: largest(10, 18),
            has_many_readers: false,
        }
    }

    /// Lets the read-ahead of a few files fill the memory.
    fn add_readers(&mut self, config: &mut Config) {
        config.read_ahead = Some(2 << 20);
        self.has_many_readers = true;
        self.largest_file = LONGEST as u32;
        for (weight, kind) in &mut self.weights {
            match kind {
                Kind::Open => *weight += 50,
                Kind::Write | Kind::WriteAt | Kind::Truncate => *weight /= 8,
                Kind::Read | Kind::Turns => *weight += 200,
                Kind::Close => *weight = 5,
                Kind::Shutdown | Kind::Kill | Kind::PowerCut => *weight = 0,
                _ => {}
            }
        }
    }

    /// Syncs between writes, and takes what is unwritten soon after: a sync may fail while the next
    /// write is in flight, and more is queued.
    fn fail_syncs(&self, steps: Vec<Step>, random: &mut Rng) -> Vec<Step> {
        let mut all = Vec::new();
        for step in steps {
            // Files stay open until the end, where a missing event shows.
            if matches!(step, Step::Close { .. }) && random.u8(0..4) > 0 {
                continue;
            }
            let written = match step {
                Step::Write { file, .. } if random.u8(0..4) == 0 => Some(file),
                _ => None,
            };
            all.push(step);
            let Some(file) = written else { continue };
            all.push(Step::Sync { file });
            for _ in 0..2 {
                all.push(Step::Turns {
                    count: 1,
                    ms: random.u16(0..10),
                });
                all.push(Step::Write {
                    file,
                    len: self.write_len(random),
                    payload: random.u32(0..payload::STARTS),
                });
            }
            // A flush waits for a mark that will not be written.
            all.push(Step::Flush { file });
            all.push(Step::Turns {
                count: random.u8(1..3),
                ms: random.u16(0..10),
            });
            all.push(Step::TakeUnwritten { file });
        }
        all
    }

    /// Opens files that were just closed, and drops opens (F85, F86).
    fn reopen(&self, steps: Vec<Step>, random: &mut Rng) -> Vec<Step> {
        let mut all = Vec::new();
        for mut step in steps {
            let closes = matches!(step, Step::Close { .. });
            if let Step::Open(opening) = &mut step {
                opening.reopens = random.bool();
                opening.is_future = random.u8(0..4) == 0;
            }
            let is_future = matches!(&step, Step::Open(opening) if opening.is_future);
            all.push(step);
            if is_future {
                all.extend(self.drop_future(random));
            }
            if closes && random.bool() {
                let mut opening = self.opening(random);
                opening.reopens = true;
                opening.is_future = random.u8(0..4) == 0;
                opening.truncate |= opening.write && random.bool();
                let is_future = opening.is_future;
                all.push(Step::Open(opening));
                if is_future {
                    all.extend(self.drop_future(random));
                }
            }
        }
        all
    }

    /// Drops a future at once, a little later, or not.
    fn drop_future(&self, random: &mut Rng) -> Vec<Step> {
        let waits = Step::Turns {
            count: random.u8(1..4),
            ms: random.u16(0..10),
        };
        let (dropped, mut opening) = (Step::CancelOpen, self.opening(random));
        opening.reopens = true;
        match random.u8(0..4) {
            0 => vec![dropped],
            1 => vec![waits, dropped],
            2 => vec![dropped, Step::Open(opening)],
            _ => vec![],
        }
    }

    /// Polls futures between the steps. Each drops the one before it.
    fn poll_futures(&self, steps: Vec<Step>, random: &mut Rng) -> Vec<Step> {
        let mut all = Vec::new();
        for step in steps {
            all.push(step);
            for _ in 0..random.u8(0..3) {
                let file = random.u8(0..FILES as u8);
                all.push(match random.u8(0..3) {
                    0 => Step::PollAgain { file },
                    1 if random.u8(0..20) == 0 => Step::Close {
                        file,
                        how: Closing::Future,
                    },
                    _ => Step::Poll {
                        file,
                        what: self.future(random),
                    },
                });
            }
        }
        all
    }

    fn future(&self, random: &mut Rng) -> Polled {
        let len = any_size(random, self.largest_read.into()) as u32;
        match random.u8(0..16) {
            0 => Polled::Opened,
            1 => Polled::Read { len },
            2 => Polled::Readable { len },
            3..5 => Polled::Show { len },
            5 => Polled::Write {
                len: self.write_len(random),
                payload: random.u32(0..payload::STARTS),
            },
            6 => Polled::Flush,
            7 => Polled::Sync,
            8 => Polled::Len,
            9 => Polled::TakeUnwritten,
            _ => {
                let by = i64::from(self.offset(random));
                let by = if random.bool() { by } else { -by };
                let to = match random.u8(0..5) {
                    0 => SeekFrom::Start(by.unsigned_abs()),
                    1..3 => SeekFrom::Current(by * i64::from(random.bool())),
                    _ => SeekFrom::End(by),
                };
                let of_tokio = random.u8(0..4) > 0;
                Polled::Seek { to, of_tokio }
            }
        }
    }

    /// Fills the disk while an engine shuts down (F84).
    fn fill_up(&self, steps: &mut Vec<Step>, random: &mut Rng) {
        let at = random.usize(0..steps.len());
        let write = Step::Write {
            file: random.u8(0..FILES as u8),
            len: self.write_len(random),
            payload: random.u32(0..payload::STARTS),
        };
        let shutdown = Step::Shutdown {
            ms: random.u16(500..3000),
            room: Some((any_size(random, 1 << 16) as u32).saturating_sub(1)),
        };
        steps.splice(at..at, [write, shutdown]);
    }

    fn step(&self, random: &mut Rng) -> Step {
        let all = self.weights.iter().map(|(weight, _)| weight).sum();
        let mut at = random.u32(0..all);
        let kind = self.weights.iter().find_map(|&(weight, kind)| {
            let found = at < weight;
            at = at.saturating_sub(weight);
            found.then_some(kind)
        });
        let file = random.u8(0..FILES as u8);
        match kind.unwrap_or(Kind::Turns) {
            Kind::Open => Step::Open(self.opening(random)),
            Kind::Write => Step::Write {
                file,
                len: self.write_len(random),
                payload: random.u32(0..payload::STARTS),
            },
            Kind::Read => Step::Read {
                file,
                len: any_size(random, self.largest_read.into()) as u32,
            },
            Kind::ReadAt => Step::ReadAt {
                file,
                at: self.offset(random),
                len: any_size(random, self.largest_read.into()).max(1) as u32,
            },
            Kind::WriteAt => Step::WriteAt {
                file,
                at: self.offset(random),
                len: self.write_len(random).max(1),
                payload: random.u32(0..payload::STARTS),
            },
            Kind::Truncate => Step::Truncate {
                file,
                len: self.offset(random),
            },
            Kind::TakeUnwritten => Step::TakeUnwritten { file },
            Kind::Seek => Step::Seek {
                file,
                to: self.offset(random),
            },
            Kind::Sync => Step::Sync { file },
            Kind::Flush => Step::Flush { file },
            Kind::Close => Step::Close {
                file,
                how: match random.u8(0..3) {
                    0 => Closing::Drop,
                    1 => Closing::Close,
                    _ => Closing::CloseSync,
                },
            },
            Kind::UseStale => Step::UseStale {
                which: random.u8(..),
                bits: random.u64(..),
            },
            // Many turns at one instant: no component may spin meanwhile.
            Kind::Turns if random.u8(0..50) == 0 => Step::Turns { count: 200, ms: 0 },
            Kind::Turns => Step::Turns {
                count: random.u8(1..10),
                ms: random.u16(0..300),
            },
            Kind::Interfere => {
                let size = any_size(random, self.largest_file.into()) as usize;
                Step::Interfere {
                    file,
                    change: if random.bool() {
                        Foreign::Appended(size.min(10_000))
                    } else {
                        Foreign::Resized(size)
                    },
                    payload: random.u32(0..payload::STARTS),
                }
            }
            Kind::Shutdown => Step::Shutdown {
                ms: random.u16(0..3000),
                room: None,
            },
            Kind::Kill => Step::Kill,
            Kind::PowerCut => Step::PowerCut,
        }
    }

    /// Returns an offset in a file, or after its end.
    fn offset(&self, random: &mut Rng) -> u32 {
        any_size(random, u64::from(self.largest_file) * 2) as u32
    }

    fn write_len(&self, random: &mut Rng) -> u32 {
        match random.u8(0..4) {
            0 => random.u32(0..200),
            1 => 4096,
            2 => any_size(random, self.largest_write.into()) as u32,
            _ => random.u32(0..self.largest_write),
        }
    }

    fn opening(&self, random: &mut Rng) -> Opening {
        let create = random.u8(0..10) > 0;
        let append = random.u8(0..5) == 0;
        let (read, write) = match random.u8(0..4) {
            0 => (true, false),
            1 => (false, true),
            _ => (true, true),
        };
        let writes = write || append;
        let modes = [
            None,
            Some(IoMode::Direct),
            Some(IoMode::Uncached),
            Some(IoMode::Cached),
            Some(IoMode::Auto),
        ];
        // One in twenty has invalid options and fails.
        let is_invalid = random.u8(0..20) == 0;
        Opening {
            path: random.u8(0..PATHS),
            read: read && (!append || random.u8(0..4) < 2),
            write: write && !append,
            append,
            create: create && (writes || is_invalid),
            create_new: random.u8(0..10) == 0 && (writes || is_invalid),
            truncate: random.u8(0..5) == 0 && ((write && !append) || is_invalid),
            prefetch: random.bool(),
            io_mode: random.choice(modes).flatten(),
            reopens: false,
            is_future: false,
            exists: (self.has_many_readers || random.bool()).then(|| {
                let len = if self.has_many_readers {
                    random.u32(self.largest_file / 2..self.largest_file)
                } else {
                    any_size(random, self.largest_file.into()) as u32
                };
                (len, random.u32(0..payload::STARTS))
            }),
        }
    }
}
