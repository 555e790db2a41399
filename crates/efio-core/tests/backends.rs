//! Which backend an engine gets, what it does when the kernel will not have io_uring, and what it
//! leaves behind. Some cases change the process for good, so they run in a child of their own: this
//! program again, with one test and a variable.

mod common;

use common::{Dir, closed, event, pattern, read_all, write_all};
use efio_core::{BackendKind, Engine, EventKind, IoMode, OpenOptions};
use std::io::{self, ErrorKind};
use std::process::Command;
use std::time::Duration;

/// Set in a child, to the name of the case.
const CASE: &str = "EFIO_TEST_CASE";

/// Runs the test `name` once more in a child, with `vars` set; whether we are that child.
fn in_child(name: &str, vars: &[(&str, &str)]) -> bool {
    if std::env::var(CASE).is_ok_and(|case| case == name) {
        return true;
    }
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env(CASE, name)
        .env_remove("EFIO_BACKEND")
        .envs(vars.iter().copied())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}\n{errors}");
    assert!(text.contains("1 passed"), "the child ran: {text}");
    false
}

/// Whether this kernel lets us have io_uring at all; says so if not.
fn has_uring() -> bool {
    let there = Engine::builder()
        .backend(BackendKind::Uring)
        .start()
        .is_ok();
    if !there {
        eprintln!("SKIPPED: no io_uring here");
    }
    there
}

/// Writes and reads files in every mode.
fn works(engine: &Engine) {
    let dir = Dir::new();
    let bytes = pattern(5_000_001);
    for mode in [IoMode::Direct, IoMode::Uncached, IoMode::Cached] {
        let path = dir.join("file");
        let options = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .io_mode(mode);
        let file = engine.open(&path, &options).unwrap();
        write_all(engine, &file, &bytes).unwrap();
        let fd = file.fd();
        file.close_sync().unwrap();
        assert_eq!(closed(engine, fd), Ok(()));
        let options = OpenOptions::new().read(true).io_mode(mode);
        let file = engine.open(&path, &options).unwrap();
        assert!(
            read_all(engine, &file, 100_000).unwrap() == bytes,
            "{mode:?}"
        );
    }
}

/// A filter for system calls: `denied` fails with EPERM, for every thread of the process.
fn deny(denied: i64) {
    let jump_if_equal = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    let load = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    let answer = (libc::BPF_RET | libc::BPF_K) as u16;
    let step = |code, jt, jf, k| libc::sock_filter { code, jt, jf, k };
    let mut steps = [
        step(load, 0, 0, 0),
        step(jump_if_equal, 0, 1, denied as u32),
        step(answer, 0, 0, libc::SECCOMP_RET_ERRNO | libc::EPERM as u32),
        step(answer, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog {
        len: steps.len() as u16,
        filter: steps.as_mut_ptr(),
    };
    // SAFETY: a filter of four steps that lives through the call; both calls take plain values
    // otherwise.
    unsafe {
        assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        let result = libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            libc::SECCOMP_FILTER_FLAG_TSYNC,
            &raw const program,
        );
        assert_eq!(result, 0, "{}", io::Error::last_os_error());
    }
}

#[test]
fn the_backend_asked_for_is_the_one_that_works() {
    let engine = Engine::builder()
        .backend(BackendKind::Pool)
        .start()
        .unwrap();
    assert_eq!(engine.backend().kind, BackendKind::Pool);
    works(&engine);
    assert_eq!(engine.stats().ring_ops, 0);
    if has_uring() {
        let engine = Engine::builder()
            .backend(BackendKind::Uring)
            .start()
            .unwrap();
        assert_eq!(engine.backend().kind, BackendKind::Uring);
        works(&engine);
        let stats = engine.stats();
        assert!(stats.ring_ops > 0 && stats.ring_enters > 0, "{stats:?}");
        assert_eq!(stats.rings_lost, 0);
    }
}

#[test]
fn operators_can_ask_for_the_pool() {
    let name = "operators_can_ask_for_the_pool";
    if in_child(name, &[("EFIO_BACKEND", "pool")]) {
        let engine = Engine::new().unwrap();
        assert_eq!(engine.backend().kind, BackendKind::Pool);
        assert!(engine.backend().reason.contains("EFIO_BACKEND"));
    }
}

#[test]
fn operators_who_misspell_are_told() {
    let name = "operators_who_misspell_are_told";
    if in_child(name, &[("EFIO_BACKEND", "threads")]) {
        let error = Engine::new().err().unwrap();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains("EFIO_BACKEND"), "{error}");
    }
}

/// F41: a container that forbids io_uring.
#[test]
fn without_io_uring_there_is_the_pool() {
    if in_child("without_io_uring_there_is_the_pool", &[]) {
        deny(libc::SYS_io_uring_setup);
        let error = Engine::builder()
            .backend(BackendKind::Uring)
            .start()
            .err()
            .unwrap();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.to_string().contains("not permitted"), "{error}");
        let engine = Engine::new().unwrap();
        assert_eq!(engine.backend().kind, BackendKind::Pool);
        assert!(engine.backend().reason.contains("not permitted"));
        works(&engine);
    }
}

/// F41: making a ring is allowed, and using it is not.
#[test]
fn a_ring_that_cannot_be_entered_is_none() {
    if in_child("a_ring_that_cannot_be_entered_is_none", &[]) {
        deny(libc::SYS_io_uring_enter);
        let engine = Engine::new().unwrap();
        assert_eq!(engine.backend().kind, BackendKind::Pool);
        works(&engine);
    }
}

/// F42: io_uring is taken away while the engine lives.
#[test]
fn a_ring_that_is_lost_is_replaced_by_the_crew() {
    if !has_uring() {
        return;
    }
    if in_child("a_ring_that_is_lost_is_replaced_by_the_crew", &[]) {
        let engine = Engine::builder()
            .backend(BackendKind::Uring)
            .start()
            .unwrap();
        works(&engine);
        let dir = Dir::new();
        let bytes = pattern(1_000_000);
        std::fs::write(dir.join("file"), &bytes).unwrap();
        let options = OpenOptions::new().read(true).io_mode(IoMode::Direct);
        let file = engine.open(dir.join("file"), &options).unwrap();
        event(&engine, |event| event.kind == EventKind::Opened);
        deny(libc::SYS_io_uring_enter);
        // The first op of this read is in the queue when the kernel refuses to look at it.
        assert!(read_all(&engine, &file, 100_000).unwrap() == bytes);
        drop(file);
        works(&engine);
        assert_eq!(engine.stats().rings_lost, 1);
        let report = engine.shutdown(Duration::from_secs(10)).unwrap();
        assert!(report.is_clean());
    }
}

/// F40: without locked memory everything works, and it shows.
#[test]
fn without_locked_memory_buffers_are_not_registered() {
    if !has_uring() {
        return;
    }
    if in_child("without_locked_memory_buffers_are_not_registered", &[]) {
        // Enough for the ring itself, and too little for a slab.
        let little = libc::rlimit {
            rlim_cur: 1 << 20,
            rlim_max: 1 << 20,
        };
        // SAFETY: plain system calls. Root is not bound by the limit.
        let bound = unsafe {
            libc::setrlimit(libc::RLIMIT_MEMLOCK, &raw const little) == 0
                && (libc::geteuid() != 0 || libc::setuid(65_534) == 0)
        };
        assert!(bound);
        let engine = Engine::builder()
            .backend(BackendKind::Uring)
            .start()
            .unwrap();
        let options = OpenOptions::new().read(true).io_mode(IoMode::Cached);
        let file = engine.open("/proc/self/exe", &options).unwrap();
        assert!(!read_all(&engine, &file, 1 << 20).unwrap().is_empty());
        let stats = engine.stats();
        assert!(stats.ring_ops > 0);
        assert_eq!(stats.ring_unregistered, stats.ring_ops);
    }
}

/// F56: the ring goes with the process image.
#[test]
fn every_descriptor_is_close_on_exec() {
    let engine = Engine::new().unwrap();
    let dir = Dir::new();
    let options = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .io_mode(IoMode::Direct);
    let _file = engine.open(dir.join("file"), &options).unwrap();
    event(&engine, |event| event.kind == EventKind::Opened);
    let mut ours = 0;
    for entry in std::fs::read_dir("/proc/self/fd").unwrap() {
        let entry = entry.unwrap();
        let Ok(target) = std::fs::read_link(entry.path()) else {
            continue;
        };
        let name = target.to_string_lossy();
        if !(name.contains("io_uring") || name.contains("eventfd") || name.ends_with("/file")) {
            continue;
        }
        let info = format!("/proc/self/fdinfo/{}", entry.file_name().to_string_lossy());
        let Ok(info) = std::fs::read_to_string(info) else {
            continue;
        };
        let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
        let flags = i32::from_str_radix(flags.unwrap().trim(), 8).unwrap();
        assert!(flags & libc::O_CLOEXEC != 0, "{name}");
        ours += 1;
    }
    assert!(ours >= 3, "{ours} descriptors were looked at");
}
