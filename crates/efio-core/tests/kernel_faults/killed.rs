//! F25, F52: a writing process is killed at any moment.

use crate::common::child::{child_arg, child_command};
use crate::common::fixtures::{MODES, backends, create};
use crate::common::{Dir, TIMEOUT, pattern, readable};
use efio_core::{BackendKind, Engine, IoMode, OpenOptions};
use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

/// Killed this often unless `EFIO_KILLS` says otherwise.
const KILLS: usize = 40;

/// What the child writes, over and over: no power of two, so that a repeated page shows.
const PERIOD: usize = 1_000_003;

/// The marks of the child, in a file that both processes use.
struct Marks(File);

impl Marks {
    /// At most this much was accepted.
    const ACCEPTED: u64 = 0;
    /// At least this much the kernel had.
    const WRITTEN: u64 = 8;

    fn set(&self, which: u64, value: u64) {
        // A write to a file survives the process as memory that is shared does.
        self.0.write_all_at(&value.to_le_bytes(), which).unwrap();
    }

    fn get(&self, which: u64) -> u64 {
        let mut bytes = [0; 8];
        self.0.read_exact_at(&mut bytes, which).unwrap();
        u64::from_le_bytes(bytes)
    }
}

/// The file is a prefix of what was accepted, at least as long as `written`; at no time did it have
/// a length that was not written.
#[test]
fn a_killed_process_leaves_a_prefix() {
    if let Some(what) = child_arg() {
        return write_until_killed(&what);
    }
    let kills = std::env::var("EFIO_KILLS").map_or(KILLS, |value| value.parse().unwrap());
    let bytes = pattern(PERIOD);
    let mut longest = 0;
    for number in 0..kills {
        let backend = backends()[number % backends().len()];
        let mode = number / backends().len() % MODES.len();
        let append = number % 3 == 0;
        let dir = Dir::new();
        let what = format!("{}\n{backend:?}\n{mode}\n{append}", dir.path().display());
        let len = kill_one(&dir, &what, number as u64, &bytes);
        longest = longest.max(len);
    }
    assert!(
        longest > PERIOD,
        "{longest} bytes at most: killed too early"
    );
}

/// Starts a child, kills it at a random moment, and checks the file that it left. Returns its length.
fn kill_one(dir: &Dir, what: &str, seed: u64, bytes: &[u8]) -> usize {
    let marks = Marks(File::create_new(dir.join("marks")).unwrap());
    marks.set(Marks::ACCEPTED, 0);
    marks.set(Marks::WRITTEN, 0);
    let marks = Marks(File::open(dir.join("marks")).unwrap());
    let mut child = child_command("killed::a_killed_process_leaves_a_prefix", what)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // From the first byte on, so that the moments lie in the writing and not in the start.
    let deadline = Instant::now() + TIMEOUT;
    while marks.get(Marks::WRITTEN) == 0 {
        assert!(
            child.try_wait().unwrap().is_none(),
            "the child ended: {what}"
        );
        assert!(
            Instant::now() < deadline,
            "the child does not write: {what}"
        );
        std::thread::sleep(Duration::from_micros(200));
    }
    let path = dir.join("file");
    // After so many bytes, and not after some time: then they are as many on a busy machine.
    let end = fastrand::Rng::with_seed(seed).u64(..4 * PERIOD as u64);
    while marks.get(Marks::ACCEPTED) < end {
        assert!(Instant::now() < deadline, "the child stalls: {what}");
        let len = fs::metadata(&path).unwrap().len();
        let accepted = marks.get(Marks::ACCEPTED);
        assert!(len <= accepted, "{what}: {len} seen, {accepted} accepted");
        std::thread::sleep(Duration::from_micros(100));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let there = fs::read(&path).unwrap();
    let (accepted, written) = (marks.get(Marks::ACCEPTED), marks.get(Marks::WRITTEN));
    let len = there.len() as u64;
    assert!(
        (written..=accepted).contains(&len),
        "{what}: {written} ≤ {len} ≤ {accepted}"
    );
    let odd = there
        .chunks(PERIOD)
        .position(|part| part != &bytes[..part.len()]);
    assert_eq!(odd, None, "{what}: not a prefix");
    there.len()
}

/// The child: writes until it is killed, and records its marks.
fn write_until_killed(what: &str) {
    let what: Vec<_> = what.lines().collect();
    let [dir, backend, mode, append] = what[..] else {
        panic!("{what:?}")
    };
    let backend = match backend {
        "Uring" => BackendKind::Uring,
        _ => BackendKind::Pool,
    };
    let dir = Path::new(dir);
    let marks = fs::OpenOptions::new().write(true).open(dir.join("marks"));
    write_for_ever(
        backend,
        MODES[mode.parse::<usize>().unwrap()],
        append == "true",
        &dir.join("file"),
        &Marks(marks.unwrap()),
    );
}

fn write_for_ever(backend: BackendKind, mode: IoMode, append: bool, path: &PathBuf, marks: &Marks) {
    let engine = Engine::builder()
        .backend(backend)
        .io_mode(mode)
        .flush_interval(Duration::from_millis(1))
        .start()
        .unwrap();
    let options = match append {
        true => OpenOptions::new().append(true).create(true),
        false => create(),
    };
    let file = engine.open(path, &options).unwrap();
    let bytes = pattern(PERIOD);
    let mut random = fastrand::Rng::new();
    let mut accepted = 0;
    loop {
        let rest = &bytes[accepted % PERIOD..];
        // Log lines as well as bulk.
        let most = if random.u8(..20) == 0 { 300_000 } else { 3000 };
        let step = &rest[..random.usize(1..most).min(rest.len())];
        marks.set(Marks::ACCEPTED, (accepted + step.len()) as u64);
        match file.write(step) {
            Ok(n) => accepted += n,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                readable(&engine, Duration::from_secs(1));
                engine.events().drain().for_each(drop);
            }
            Err(error) => panic!("{error}"),
        }
        marks.set(Marks::WRITTEN, file.progress().unwrap().written);
        if random.u8(..100) == 0 {
            file.sync().unwrap();
        }
    }
}
