//! F71: each system call that a small program of efio makes, refused with `EPERM`, `ENOSYS` and
//! `EINVAL`, as containers and sandboxes do. Another call stands in, or there is a clean error: the
//! right bytes or none, no panic, no hang.
//!
//! A trace of the program lists the calls, so that no later one is forgotten.

use crate::common::child::{child_arg, child_command, deny};
use crate::common::{Dir, TIMEOUT, pattern, skip};
use efio_core::{BackendKind, Engine, File, OpenOptions};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};
use std::{env, fs, thread};

const TEST: &str = "refused_calls::what_is_refused_has_a_stand_in_or_a_clean_error";

/// The variable with the program's directory.
const PLACE: &str = "EFIO_TEST_PLACE";

/// Exit codes of the program. Nothing has to be printed for them.
const RIGHT: i32 = 10;
const CLEAN_ERROR: i32 = 11;
const NO_FILTER: i32 = 12;

/// Calls without which files cannot be read or written: refused, there is an error that says so.
const NEEDED: [&str; 8] = [
    "openat",
    "close",
    "ftruncate",
    "eventfd2",
    "clone",
    "clone3",
    "read",
    "write",
];

/// Calls without which the process, its threads or its C library end, whatever the program.
const BEYOND_US: [&str; 10] = [
    // The C library ends each thread without it; std panics at EINVAL.
    "rseq",
    "getrandom",
    "exit",
    "exit_group",
    "rt_sigreturn",
    "futex",
    "mmap",
    "munmap",
    "mprotect",
    "restart_syscall",
];

#[test]
fn what_is_refused_has_a_stand_in_or_a_clean_error() {
    match child_arg() {
        Some(what) => child(&what),
        None if crate::common::PORTABLE => skip("refused calls: the portable layer makes others"),
        None => parent(),
    }
}

fn parent() {
    let Some(calls) = calls() else { return };
    let expected = [
        "openat",
        "openat2",
        "statx",
        "pwritev",
        "fdatasync",
        "fsync",
    ];
    for name in expected {
        let seen = calls.values().any(|call| call == name);
        assert!(seen, "the trace has no {name}: {calls:?}");
    }
    let tried = calls
        .iter()
        .filter(|(_, name)| !BEYOND_US.contains(&name.as_str()));
    let errnos = [libc::EPERM, libc::ENOSYS, libc::EINVAL];
    let all: Vec<_> = tried
        .flat_map(|(number, name)| errnos.map(|errno| (*number, name.clone(), errno)))
        .collect();
    let left = Mutex::new(all.into_iter());
    let wrong = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                loop {
                    let next = left.lock().unwrap().next();
                    let Some((number, name, errno)) = next else {
                        return;
                    };
                    if let Some(how) = try_out(number, &name, errno) {
                        wrong.lock().unwrap().push(how);
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The calls of the program, by their numbers, from a trace.
fn calls() -> Option<BTreeMap<i64, String>> {
    let dir = Dir::new();
    let log = dir.join("trace");
    let mut program = child_command(TEST, "0 0");
    program.env(PLACE, dir.path());
    let mut strace = Command::new("strace");
    strace.args(["-f", "-n", "-qq", "-o"]).arg(&log);
    strace.arg(program.get_program()).args(program.get_args());
    for (name, value) in program.get_envs() {
        match value {
            Some(value) => strace.env(name, value),
            None => strace.env_remove(name),
        };
    }
    let status = strace.stdout(Stdio::null()).stderr(Stdio::null()).status();
    let text = fs::read_to_string(&log).unwrap_or_default();
    if status.is_err() || text.is_empty() {
        skip("refused calls: strace does not run here");
        return None;
    }
    assert_eq!(status.unwrap().code(), Some(RIGHT), "the program as such");
    // From the mark on: what comes before is the start of the process and of the tests.
    let lines = text.lines().skip_while(|line| !line.contains("efio-begin"));
    // PID [ NUMBER] NAME(
    let call = |line: &str| {
        let (_, rest) = line.split_once('[')?;
        let (number, rest) = rest.split_once(']')?;
        let name = rest.trim_start().split_once('(')?.0;
        let is_name = name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        is_name.then_some((number.trim().parse().ok()?, name.to_owned()))
    };
    let calls: BTreeMap<i64, String> = lines.filter_map(call).collect();
    assert!(calls.len() > 20, "{calls:?}");
    Some(calls)
}

/// What is wrong when this call is refused with this error.
fn try_out(number: i64, name: &str, errno: i32) -> Option<String> {
    let dir = Dir::new();
    let mut child = child_command(TEST, &format!("{number} {errno}"))
        .env(PLACE, dir.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let begun = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if begun.elapsed() > TIMEOUT {
            child.kill().unwrap();
            child.wait().unwrap();
            return Some(format!("{name} refused with {errno}: hangs"));
        }
        thread::sleep(Duration::from_millis(5));
    };
    match status.code() {
        Some(RIGHT) => None,
        Some(CLEAN_ERROR) if NEEDED.contains(&name) => None,
        Some(NO_FILTER) => {
            skip("refused calls: no seccomp filters");
            None
        }
        _ => Some(format!("{name} refused with {errno}: {status}")),
    }
}

/// The program: its exit code is the result.
fn child(what: &str) {
    let (number, errno) = what.split_once(' ').unwrap();
    let (number, errno): (i64, i32) = (number.parse().unwrap(), errno.parse().unwrap());
    let dir = PathBuf::from(env::var_os(PLACE).unwrap());
    fs::create_dir(dir.join("sub")).unwrap();
    env::set_current_dir(&dir).unwrap();
    let backends = [BackendKind::Auto, BackendKind::Pool];
    // Before anything is refused.
    let beneath = backends.map(|_| fs::File::open(&dir).unwrap());
    let _ = fs::metadata("efio-begin");
    if errno != 0 && !deny(number, errno) {
        exit(NO_FILTER);
    }
    for (backend, beneath) in backends.into_iter().zip(beneath) {
        if work(&dir, backend, beneath).is_err() {
            exit(CLEAN_ERROR);
        }
    }
    exit(RIGHT);
}

fn exit(code: i32) -> ! {
    // SAFETY: ends the process; nothing of it has to be run.
    unsafe { libc::_exit(code) }
}

fn write(file: &File, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        file.blocking(TIMEOUT).wait_writable()?;
        match (&mut &*file).write(bytes) {
            Ok(n) => bytes = &bytes[n..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn read(file: &File) -> io::Result<Vec<u8>> {
    let (mut all, mut buffer) = (Vec::new(), vec![0; 50_000]);
    loop {
        file.blocking(TIMEOUT).wait_readable()?;
        match file.read(&mut buffer) {
            Ok(0) => return Ok(all),
            Ok(n) => all.extend_from_slice(&buffer[..n]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}

/// Files out and in, in every way that there is. Wrong bytes are a panic, and so not a clean error.
fn work(dir: &Path, backend: BackendKind, beneath: fs::File) -> io::Result<()> {
    let name = &format!("{backend:?}");
    let engine = Engine::builder().backend(backend).start()?;
    let new = || OpenOptions::new().read(true).write(true).create(true);
    let bytes = pattern(300_001);
    let options = [
        (dir.join(name), new()),
        (Path::new("sub").join(name), new()),
        (
            format!("sub/../below-{name}").into(),
            new().beneath(beneath),
        ),
        (
            dir.join(format!("log-{name}")),
            OpenOptions::new().append(true).create(true),
        ),
    ];
    let mut written = BTreeSet::new();
    for (path, options) in options {
        let file = engine.open(&path, &options)?;
        write(&file, &bytes)?;
        let mark = file.sync()?;
        file.blocking(TIMEOUT).wait_synced(mark)?;
        file.wait_closed(Some(TIMEOUT))?;
        written.insert(path);
    }
    for path in written {
        let raw = fs::read(&path);
        let file = engine.open(&path, &OpenOptions::new().read(true).write(true))?;
        let back = read(&file)?;
        assert!(back == bytes, "{path:?}");
        if let Ok(raw) = raw {
            assert!(raw == bytes, "{path:?}");
        }
        assert_eq!(file.blocking(TIMEOUT).len()?, bytes.len() as u64);
        file.set_len(1000)?;
        file.blocking(TIMEOUT).flush()?;
        assert_eq!(file.blocking(TIMEOUT).len()?, 1000);
        file.wait_closed(Some(TIMEOUT))?;
    }
    assert!(engine.shutdown(TIMEOUT)?.is_clean());
    Ok(())
}
