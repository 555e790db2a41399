//! The run as a whole: rounds, turns, and what is done between them.

use crate::child::Answer;
use crate::measure::{cache, system};
use crate::memory;
use crate::options::Options;
use crate::peers::Entry;
use crate::scenarios::Case;
use efio_benches::catalog::Scenario;
use efio_benches::record::{Measurement, Outcome, Record};
use std::fs::{self, File};
use std::io;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// From this fraction of a processor on that the host takes, a turn is measured again.
const STEAL: f64 = 0.1;
const REPEATS: usize = 3;
/// A turn that takes longer is ended, and has failed.
const TIMEOUT: Duration = Duration::from_secs(40);

/// Runs all that the options ask for.
pub fn all(options: &Options) -> io::Result<()> {
    fs::create_dir_all(&options.dir)?;
    let machine = system::machine(&options.dir);
    println!(
        "{}, Linux {}, {}",
        machine.processor, machine.kernel, machine.storage
    );
    let mut record = match &options.json {
        Some(path) => Record::load(path)?,
        None => Record::default(),
    };
    record.settle(machine)?;
    for scenario in options.scenarios()? {
        for &files in scenario.files {
            if !options.files.is_empty() && !options.files.contains(&files) {
                continue;
            }
            let case = Case {
                scenario,
                files,
                quick: options.quick,
                input: options.input_dir(scenario, files),
                output: PathBuf::new(),
            };
            one(options, case, &mut record)?;
        }
    }
    if options.keep {
        return Ok(());
    }
    fs::remove_dir_all(&options.dir)
}

/// One scenario with one number of files, all rounds. The record is saved after each.
fn one(options: &Options, mut case: Case, record: &mut Record) -> io::Result<()> {
    println!("\n{}; {} at once", case.scenario.title, case.files);
    let (name, files, version) = (case.scenario.name, case.files, system::version());
    record.forget(name, files, |old| options.resume && old.version == version);
    let peers = options.peers()?;
    let rounds = options.rounds.unwrap_or(if options.quick { 2 } else { 5 });
    for round in 0..rounds {
        let mut measured = false;
        for peer in order(round, peers.len()).map(|index| peers[index]) {
            if record.has(name, files, peer.name, round) {
                continue;
            }
            let mut measurement = turn(options, &mut case, peer, round)?;
            measurement.version.clone_from(&version);
            say(case.scenario, &measurement);
            record.measurements.push(measurement);
            measured = true;
        }
        if let (Some(path), true) = (&options.json, measured) {
            record.save(path)?;
        }
    }
    Ok(())
}

/// The order of a round: it begins with another peer than the one before, and goes on in another
/// step, so that nobody has the same one before it all the time.
fn order(round: usize, count: usize) -> impl Iterator<Item = usize> {
    let steps: Vec<_> = (1..=count)
        .filter(|&step| divisor(step, count) == 1)
        .collect();
    let step = steps[round % steps.len()];
    (0..count).map(move |place| (round + place * step) % count)
}

/// The greatest common divisor.
fn divisor(a: usize, b: usize) -> usize {
    if b == 0 { a } else { divisor(b, a % b) }
}

fn turn(options: &Options, case: &mut Case, peer: &Entry, round: usize) -> io::Result<Measurement> {
    case.prepare()?;
    for repeats in 0.. {
        let number = round * (REPEATS + 1) + repeats;
        case.output = options.output_dir((case.scenario, case.files), peer, number);
        let (steal, outcome) = match process(options, case, peer, number)? {
            Answer::Done { steal, figures } => (steal, Outcome::Done(figures)),
            Answer::Absent(why) => (0.0, Outcome::Absent(why)),
            Answer::Failed(why) => (0.0, Outcome::Failed(why)),
        };
        clear(case)?;
        if steal <= STEAL || repeats == REPEATS {
            return Ok(Measurement {
                scenario: case.scenario.name.to_owned(),
                files: case.files,
                peer: peer.name.to_owned(),
                round,
                steal,
                repeats: repeats as u32,
                version: String::new(),
                outcome,
            });
        }
    }
    unreachable!("the last repeat returns")
}

/// Gives the disk back. Many files are emptied, and deleted at the end of the run, as are those
/// that were read: ext4 gives an inode to a new file only minutes after its deletion, and looks at
/// all that it passes over.
fn clear(case: &Case) -> io::Result<()> {
    if !case.writes_many() {
        return remove(&case.output);
    }
    for entry in fs::read_dir(&case.output)? {
        File::create(entry?.path())?;
    }
    Ok(())
}

fn remove(dir: &PathBuf) -> io::Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

/// Gets everything ready for a turn, and has it in a process of its own.
fn process(options: &Options, case: &Case, peer: &Entry, number: usize) -> io::Result<Answer> {
    fs::create_dir_all(&case.output)?;
    cache::drop_all(&case.paths()?)?;
    memory::touch(case.memory() as usize)?;
    let mut command = Command::new(std::env::current_exe()?);
    command
        .args(["--turn", &number.to_string()])
        .args(["--scenario", case.scenario.name])
        .args(["--files", &case.files.to_string()])
        .args(["--peers", peer.name])
        .arg("--dir")
        .arg(&options.dir)
        .args(options.quick.then_some("--quick"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let child = command.spawn()?;
    let (id, over) = (child.id(), Arc::new(AtomicBool::new(false)));
    let guard = Arc::clone(&over);
    let watch = thread::spawn(move || {
        thread::park_timeout(TIMEOUT);
        if !guard.load(Ordering::Relaxed) {
            // SAFETY: a child of ours that was not waited for yet.
            unsafe { libc::kill(id as i32, libc::SIGKILL) };
        }
    });
    // The child is a zombie until this returns: its number is not somebody else's.
    let output = child.wait_with_output();
    over.store(true, Ordering::Relaxed);
    watch.thread().unpark();
    let _ = watch.join();
    let output = output?;
    Ok(serde_json::from_slice(&output.stdout).unwrap_or_else(|_| {
        let said = String::from_utf8_lossy(&output.stderr);
        let last = said
            .lines()
            .find(|line| !line.trim().is_empty())
            .unwrap_or("");
        Answer::Failed(format!("{}: {last}", output.status))
    }))
}

/// One line for a turn.
fn say(scenario: &Scenario, measurement: &Measurement) {
    let name = format!("  {} {:<17}", measurement.round, measurement.peer);
    match &measurement.outcome {
        Outcome::Absent(why) => println!("{name} – {why}"),
        Outcome::Failed(why) => println!("{name} FAILED: {why}"),
        Outcome::Done(figures) => {
            let metrics = scenario.metrics.iter().map(|metric| {
                let value = figures
                    .metrics
                    .get(metric.name)
                    .copied()
                    .unwrap_or(f64::NAN);
                format!("{value:>10.2} {}", metric.name)
            });
            let metrics: Vec<_> = metrics.collect();
            let micros = |time: u64| time as f64 / 1000.0;
            let latency = figures.latency.as_ref().map_or(String::new(), |latency| {
                let (tail, longest) = (micros(latency.at(0.999)), micros(latency.at(1.0)));
                format!("  p99.9 {tail:.1} µs, longest {longest:.0} µs")
            });
            let late = figures.lateness.as_ref().map_or(String::new(), |late| {
                format!(
                    ", ticks {:.0} / {:.0} µs late",
                    micros(late.at(0.99)),
                    micros(late.at(1.0))
                )
            });
            println!(
                "{name}{}  cpu {:.2} of {:.2} s  {:>4} MiB  resident {} of {}{latency}{late}",
                metrics.join("  "),
                figures.cpu,
                figures.cpu_machine,
                figures.peak_memory >> 20,
                figures.resident.0,
                figures.resident.1,
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_round_has_each_once_and_begins_with_another() {
        for count in 1..=15 {
            for round in 0..count {
                let mut order: Vec<_> = order(round, count).collect();
                assert_eq!(order[0], round);
                order.sort_unstable();
                assert!(order.into_iter().eq(0..count));
            }
        }
    }

    #[test]
    fn who_comes_before_a_peer_changes_from_round_to_round() {
        let before = |round: usize| {
            let order: Vec<_> = order(round, 14).collect();
            let place = order.iter().position(|&index| index == 3).unwrap();
            order[(place + 13) % 14]
        };
        let first: std::collections::BTreeSet<_> = (0..5).map(before).collect();
        assert_eq!(first.len(), 5);
    }
}
