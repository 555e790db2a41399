//! Regression tests in C, one program per fault: every `tests/cases/*.c` is compiled and run.
//!
//! To add a case, add a file there. Nothing is registered. It includes `case.h`, begins with a
//! comment that names the fault (`F69`) and what the case shows, and ends with `return result();`:
//! 0 when it passes, 77 when something that it needs is missing (`SKIP`), anything else when it
//! fails. Each line `RUN: [VAR=VALUE]... [ARGUMENT]...` in the comment is one run; `DIR` stands for
//! a new directory. Without such a line there is one run, with `DIR`.
//!
//! ```text
//! cargo test -p efio-capi --test cases [-- NAME...]     cases whose name contains one of these
//! ```

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Output};
use std::sync::Mutex;
use std::time::Instant;
use std::{env, fs, thread};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Seconds for a run, on a busy machine as well.
const TIMEOUT: &str = "300";

/// The status of a program that could not run here.
const SKIPPED: i32 = 77;

/// One program.
struct Case {
    name: String,
    source: PathBuf,
}

/// The result of a case.
enum Outcome {
    Passes,
    Skipped(String),
    Fails(String),
}

fn main() -> ExitCode {
    let (flags, words): (Vec<_>, Vec<_>) = env::args().skip(1).partition(|a| a.starts_with('-'));
    let is_wanted = |case: &Case| {
        let exact = flags.iter().any(|flag| flag == "--exact");
        let fits = |word: &String| case.name == *word || (!exact && case.name.contains(word));
        words.is_empty() || words.iter().any(fits)
    };
    let cases: Vec<_> = all().into_iter().filter(is_wanted).collect();
    if flags.iter().any(|flag| flag == "--list") {
        cases
            .iter()
            .for_each(|case| println!("{}: test", case.name));
        return ExitCode::SUCCESS;
    }
    println!("running {} tests", cases.len());
    let failures = run_all(&cases);
    println!("test result: {failures} of {} failed", cases.len());
    ExitCode::from(u8::from(failures > 0))
}

fn all() -> Vec<Case> {
    let mut cases: Vec<_> = fs::read_dir(Path::new(ROOT).join("tests/cases"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "c"))
        .map(|source| Case {
            name: source.file_stem().unwrap().to_str().unwrap().to_owned(),
            source,
        })
        .collect();
    cases.sort_by(|a, b| a.name.cmp(&b.name));
    cases
}

/// Runs the cases, two at a time; returns the number of failures.
fn run_all(cases: &[Case]) -> usize {
    let left = Mutex::new(cases.iter());
    let failures = Mutex::new(0);
    let work = || {
        loop {
            let next = left.lock().unwrap().next();
            let Some(case) = next else { return };
            let begin = Instant::now();
            let outcome = case.run();
            let seconds = begin.elapsed().as_secs_f64();
            let mut failures = failures.lock().unwrap();
            match outcome {
                Outcome::Passes => println!("test {} ... ok ({seconds:.1} s)", case.name),
                Outcome::Skipped(why) => println!("test {} ... ignored\n{why}", case.name),
                Outcome::Fails(how) => {
                    println!("test {} ... FAILED ({seconds:.1} s)\n{how}", case.name);
                    *failures += 1;
                }
            }
        }
    };
    thread::scope(|scope| {
        scope.spawn(work);
        scope.spawn(work);
    });
    failures.into_inner().unwrap()
}

impl Case {
    fn run(&self) -> Outcome {
        let dir = Dir::new(&self.name);
        let program = match self.compile(&dir) {
            Ok(program) => program,
            Err(how) => return Outcome::Fails(how),
        };
        let mut skipped = None;
        for (number, line) in self.runs().iter().enumerate() {
            let data = dir.0.join(format!("run-{number}"));
            fs::create_dir(&data).unwrap();
            let output = run(&program, line, &data);
            let text = text(&output);
            match output.status.code() {
                Some(0) => {}
                Some(SKIPPED) => skipped = Some(text),
                _ => return Outcome::Fails(format!("RUN: {line}: {}\n{text}", output.status)),
            }
        }
        skipped.map_or(Outcome::Passes, Outcome::Skipped)
    }

    /// Returns the runs that its comment lists.
    fn runs(&self) -> Vec<String> {
        let source = fs::read_to_string(&self.source).unwrap();
        let runs = |line: &str| {
            Some(
                line.split_once("RUN:")?
                    .1
                    .replace("*/", "")
                    .trim()
                    .to_owned(),
            )
        };
        let runs: Vec<_> = source.lines().filter_map(runs).collect();
        if runs.is_empty() {
            return vec!["DIR".into()];
        }
        runs
    }

    fn compile(&self, dir: &Dir) -> Result<PathBuf, String> {
        let program = dir.0.join(&self.name);
        let output = Command::new("cc")
            .args(["-Wall", "-Wextra", "-Werror", "-Wno-unused-result"])
            .args(["-std=gnu11", "-O1", "-g", "-pthread"])
            .arg("-I")
            .arg(Path::new(ROOT).join("include"))
            .arg(&self.source)
            .arg("-L")
            .arg(library_dir())
            .args(["-lefio", "-o"])
            .arg(&program)
            .output()
            .expect("a C compiler");
        if output.status.success() {
            Ok(program)
        } else {
            Err(text(&output))
        }
    }
}

/// Runs `program` by a `RUN:` line.
fn run(program: &Path, line: &str, dir: &Path) -> Output {
    let mut command = Command::new("timeout");
    command.args(["--kill-after=5", TIMEOUT]).arg(program);
    let mut is_setting = true;
    for word in line.split_whitespace() {
        is_setting &= word.contains('=');
        match word.split_once('=') {
            Some((name, value)) if is_setting => command.env(name, value),
            _ if word == "DIR" => command.arg(dir),
            _ => command.arg(word),
        };
    }
    command
        // Before the path of cargo, which may have an older library.
        .env("LD_LIBRARY_PATH", library_dir())
        .output()
        .unwrap()
}

fn text(output: &Output) -> String {
    let out = String::from_utf8_lossy(&output.stdout);
    out.into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// The directory of the library that cargo has built for these tests.
fn library_dir() -> PathBuf {
    let exe = env::current_exe().unwrap();
    let deps = exe.parent().unwrap();
    assert!(
        deps.join("libefio.so").exists(),
        "cargo builds libefio.so with the tests"
    );
    deps.to_path_buf()
}

/// A directory that is removed after the case.
struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("efio-case-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
