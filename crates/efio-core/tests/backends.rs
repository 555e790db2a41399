//! Which backend an engine gets, what it does when the kernel refuses io_uring, and what it leaves
//! behind. Some cases change the process permanently, so they run in a child of their own: this
//! program again, with one test and a variable.

mod common;

use common::child::{child_arg, child_command, deny, run_child};
use common::fixtures::backends;
use common::{Dir, PORTABLE, TIMEOUT, closed, event, pattern, read_all, skip, write_all};
use efio_core::{BackendKind, Engine, EventKind, IoMode, OpenOptions};
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::time::{Duration, Instant};

/// Whether this is the child for the test `name`; the parent runs it with `vars` set.
fn in_child(name: &str, vars: &[(&str, &str)]) -> bool {
    let child = child_arg().is_some();
    if !child {
        run_child(child_command(name, "").envs(vars.iter().copied()), name);
    }
    child
}

/// Returns whether this kernel offers io_uring; prints a skip if not.
fn has_uring() -> bool {
    backends().contains(&BackendKind::Uring)
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

#[test]
fn the_backend_asked_for_is_the_one_that_works() {
    let engine = Engine::builder()
        .backend(BackendKind::Pool)
        .start()
        .unwrap();
    assert_eq!(engine.backend().kind, BackendKind::Pool);
    works(&engine);
    assert_eq!(engine.stats().driver.ring_ops, 0);
    if has_uring() {
        let engine = Engine::builder()
            .backend(BackendKind::Uring)
            .start()
            .unwrap();
        assert_eq!(engine.backend().kind, BackendKind::Uring);
        works(&engine);
        let stats = engine.stats();
        assert!(
            stats.driver.ring_ops > 0 && stats.driver.ring_enters > 0,
            "{stats:?}"
        );
        assert_eq!(stats.driver.rings_lost, 0);
    }
}

/// What other Unix systems lack is refused, or replaced and counted: as on Linux where the kernel
/// or the file system lacks it.
#[test]
fn what_a_system_has_not_is_replaced_and_counted() {
    if !PORTABLE {
        return skip("the system layer of other Unix systems: it is not in this build");
    }
    let dir = Dir::new();
    let uring = Engine::builder().backend(BackendKind::Uring).start();
    assert_eq!(uring.err().unwrap().kind(), ErrorKind::Unsupported);
    let engine = Engine::builder()
        .backend(BackendKind::Auto)
        .start()
        .unwrap();
    assert_eq!(engine.backend().kind, BackendKind::Pool);
    // Direct is not available at the open, and Uncached not at the first write or read.
    for (mode, fallbacks) in [
        (IoMode::Direct, 2),
        (IoMode::Uncached, 1),
        (IoMode::Cached, 0),
        (IoMode::Auto, 0),
    ] {
        let path = dir.join("file");
        let options = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .io_mode(mode);
        let file = engine.open(&path, &options).unwrap();
        let bytes = pattern(1 << 20);
        write_all(&engine, &file, &bytes).unwrap();
        file.sync().unwrap();
        event(&engine, |event| {
            matches!(event.kind, EventKind::Synced { .. })
        });
        let stats = file.stats().unwrap();
        assert_eq!(stats.fallbacks, fallbacks, "{mode:?}");
        assert_eq!(stats.written.cached, bytes.len() as u64, "{mode:?}");
        assert!(std::fs::read(&path).unwrap() == bytes, "{mode:?}");
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
fn a_misspelled_backend_is_reported() {
    let name = "a_misspelled_backend_is_reported";
    if in_child(name, &[("EFIO_BACKEND", "threads")]) {
        let error = Engine::new().err().unwrap();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains("EFIO_BACKEND"), "{error}");
    }
}

/// F41: a container that forbids io_uring.
#[test]
fn without_io_uring_there_is_the_pool() {
    if !has_uring() {
        return;
    }
    if in_child("without_io_uring_there_is_the_pool", &[]) {
        if !deny(libc::SYS_io_uring_setup, libc::EPERM) {
            return;
        }
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

/// F41: creating a ring is allowed, entering it is not.
#[test]
fn a_ring_that_cannot_be_entered_is_none() {
    if in_child("a_ring_that_cannot_be_entered_is_none", &[]) {
        if !deny(libc::SYS_io_uring_enter, libc::EPERM) {
            return;
        }
        let engine = Engine::new().unwrap();
        assert_eq!(engine.backend().kind, BackendKind::Pool);
        works(&engine);
    }
}

/// F42: io_uring is taken away while the engine lives.
#[test]
fn a_ring_that_is_lost_is_replaced_by_the_workers() {
    if !has_uring() {
        return;
    }
    if in_child("a_ring_that_is_lost_is_replaced_by_the_workers", &[]) {
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
        if !deny(libc::SYS_io_uring_enter, libc::EPERM) {
            return;
        }
        // The first op of this read is in the submission queue when the kernel refuses the enter.
        assert!(read_all(&engine, &file, 100_000).unwrap() == bytes);
        drop(file);
        works(&engine);
        assert_eq!(engine.stats().driver.rings_lost, 1);
        let report = engine.shutdown(Duration::from_secs(10)).unwrap();
        assert!(report.is_clean());
    }
}

/// F40: without locked memory everything works, and the counters show it.
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
        assert!(stats.driver.ring_ops > 0);
        assert_eq!(stats.driver.ring_unregistered, stats.driver.ring_ops);
    }
}

/// F56: every descriptor of an engine, the ring's too, closes at exec. In a process of its own,
/// where nothing else opens descriptors.
#[test]
fn every_descriptor_is_close_on_exec() {
    if !in_child("every_descriptor_is_close_on_exec", &[]) {
        return;
    }
    let before = descriptors();
    let engine = Engine::new().unwrap();
    let dir = Dir::new();
    let options = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .io_mode(IoMode::Direct);
    let file = engine.open(dir.join("file"), &options).unwrap();
    write_all(&engine, &file, &pattern(1 << 20)).unwrap();
    file.sync().unwrap();
    event(&engine, |event| {
        matches!(event.kind, EventKind::Synced { .. })
    });
    let mut ours = descriptors();
    ours.retain(|fd, _| !before.contains_key(fd));
    let leaking = ours.values().filter(|flags| *flags & libc::FD_CLOEXEC == 0);
    assert_eq!(leaking.count(), 0, "{ours:?}");
    assert!(ours.len() >= 3, "doorbell, events and the file: {ours:?}");
}

/// The descriptors of this process and their flags.
fn descriptors() -> BTreeMap<i32, i32> {
    // SAFETY: it asks about a number, open or not.
    let flags = |fd| unsafe { libc::fcntl(fd, libc::F_GETFD) };
    let all = (0..1024).map(|fd| (fd, flags(fd)));
    all.filter(|(_, flags)| *flags >= 0).collect()
}

/// The scheduling policies of the threads whose name begins with `name`, as proc(5) has them.
fn policies(name: &str) -> Vec<i32> {
    let threads = std::fs::read_dir("/proc/self/task").unwrap();
    threads
        .filter_map(|thread| std::fs::read_to_string(thread.ok()?.path().join("stat")).ok())
        .filter_map(|stat| {
            let (head, rest) = stat.rsplit_once(") ")?;
            let (_, thread) = head.split_once('(')?;
            // Field 41 of the line; the first one after the name is field 3.
            let policy = rest.split_whitespace().nth(38)?.parse().ok()?;
            thread.starts_with(name).then_some(policy)
        })
        .collect()
}

#[test]
fn a_wake_up_of_the_engine_does_not_preempt_the_caller() {
    if PORTABLE {
        return skip("the policy is set on Linux only");
    }
    for &kind in backends() {
        let builder = Engine::builder().backend(kind).workers(2);
        let engine = builder.thread_name("batch").start().unwrap();
        let expected = vec![libc::SCHED_BATCH; 3];
        let end = Instant::now() + TIMEOUT;
        // The driver sets the policy before it starts the workers; it may not have done so yet.
        while policies("batch") != expected && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(policies("batch"), expected, "{kind:?}");
        drop(engine);
    }
}
