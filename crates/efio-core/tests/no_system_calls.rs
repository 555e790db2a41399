//! While the driver is awake a call of the data path makes no system call at all.
//!
//! The caller's thread installs a filter by which any system call kills the process, and then reads
//! and writes a hundred thousand times. The driver stays awake meanwhile because an event callback
//! does not return.

#![cfg(target_os = "linux")]

mod common;

use common::child::{child_arg, child_command, run_in_child};
use common::{Dir, TIMEOUT, pattern};
use efio_core::{Engine, EventKind, File, IoMode, OpenOptions};
use std::hint::spin_loop;
use std::os::unix::process::ExitStatusExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// As many bytes as the smallest window of read-ahead has in the end, two pages of 2 MiB, are
/// enough.
const SIZE: usize = 40;
const READS: usize = 90_000;
const WRITES: usize = 10_000;

/// The driver's thread stays in the callback while this is set.
static HOLD: AtomicBool = AtomicBool::new(false);
/// The driver's thread is in the callback.
static HELD: AtomicBool = AtomicBool::new(false);

/// How far the caller's thread is.
static DONE: AtomicU32 = AtomicU32::new(0);
const FORBIDDEN: u32 = 1;
const FINISHED: u32 = 2;
const NO_FILTER: u32 = 3;
const WRONG: u32 = 4;

#[test]
fn no_call_makes_a_system_call_while_the_driver_is_awake() {
    const NAME: &str = "no_call_makes_a_system_call_while_the_driver_is_awake";
    match child_arg().as_deref() {
        None => {
            run_in_child(NAME, "calls");
            let caught = child_command(NAME, "calls and one system call")
                .output()
                .unwrap();
            let killed = caught.status.signal() == Some(libc::SIGSYS);
            let skipped = String::from_utf8_lossy(&caught.stderr).contains("SKIPPED");
            assert!(
                killed || skipped,
                "a system call is seen: {}",
                caught.status
            );
        }
        Some(what) => many_calls(what != "calls"),
    }
}

fn many_calls(planted: bool) {
    let dir = Dir::new();
    let engine = Engine::builder()
        .memory_budget(256 << 20)
        .read_ahead(16 << 20)
        .on_event(|event| {
            if event.kind == EventKind::Opened && HOLD.load(Ordering::Acquire) {
                HELD.store(true, Ordering::Release);
                while HOLD.load(Ordering::Acquire) {
                    spin_loop();
                }
            }
        })
        .start()
        .unwrap();
    let content = pattern(32 << 20);
    std::fs::write(dir.join("read"), &content).unwrap();
    let read = engine
        .open(
            dir.join("read"),
            // A reader in cached mode gets what is in the page cache with one system call.
            &OpenOptions::new().read(true).io_mode(IoMode::Uncached),
        )
        .unwrap();
    let options = OpenOptions::new().write(true).create(true);
    let written = engine.open(dir.join("written"), &options).unwrap();
    let mut position = warm_up(&read, &written);

    // From here on the driver does not park.
    HOLD.store(true, Ordering::Release);
    let gate = engine.open(dir.join("gate"), &options).unwrap();
    until("the driver is held", || HELD.load(Ordering::Acquire));
    let rung = engine.stats().driver.doorbell_calls;
    let files = Arc::new((read, written, content));
    let theirs = Arc::clone(&files);
    // The thread has no way to end: that would be a system call.
    thread::spawn(move || {
        let (read, written, content) = &*theirs;
        // The memory allocator has what it needs for this thread.
        drop(vec![1u8; 64 << 10]);
        if !forbid_all() {
            DONE.store(NO_FILTER, Ordering::Release);
            return;
        }
        DONE.store(FORBIDDEN, Ordering::Release);
        let mut buf = [0; SIZE];
        for number in 0..READS + WRITES {
            let right = if number % (READS / WRITES + 1) == 0 {
                written.write(&buf).is_ok_and(|n| n == SIZE)
            } else {
                // A read ends where a page does.
                let n = read.read(&mut buf).unwrap_or(0);
                position += n;
                n > 0 && buf[..n] == content[position - n..position]
            };
            if !right {
                // A panic would be a system call.
                DONE.store(WRONG, Ordering::Release);
                loop {
                    spin_loop();
                }
            }
        }
        if planted {
            // SAFETY: a call without arguments.
            unsafe { libc::getppid() };
        }
        DONE.store(FINISHED, Ordering::Release);
        loop {
            spin_loop();
        }
    });
    until("the calls are made", || {
        DONE.load(Ordering::Acquire) >= FINISHED
    });
    match DONE.load(Ordering::Acquire) {
        FINISHED => assert_eq!(
            engine.stats().driver.doorbell_calls,
            rung,
            "the driver was awake"
        ),
        NO_FILTER => common::skip("a seccomp filter"),
        _ => panic!("a call failed, or read what is not in the file"),
    }
    HOLD.store(false, Ordering::Release);
    drop(gate);
    let mark = files.1.progress().unwrap().accepted;
    files.1.sync().unwrap();
    files.1.blocking(TIMEOUT).wait_synced(mark).unwrap();
}

/// Streams for a while, so that pages are large and many are read ahead. Returns the reader's
/// position.
fn warm_up(read: &File, written: &File) -> usize {
    read.blocking(TIMEOUT).wait_open().unwrap();
    written.blocking(TIMEOUT).wait_open().unwrap();
    let mut buf = vec![0; 64 << 10];
    let (mut got, mut put) = (0, 0);
    while got < 8 << 20 {
        read.blocking(TIMEOUT).wait_readable().unwrap();
        got += read.read(&mut buf).unwrap();
    }
    while put < 4 << 20 {
        written.blocking(TIMEOUT).wait_writable().unwrap();
        put += written.write(&buf).unwrap();
    }
    written.blocking(TIMEOUT).flush().unwrap();
    until("all is read ahead that will be needed", || {
        let stats = read.stats().unwrap();
        let arrived = stats.read.total();
        arrived as usize >= got + READS * SIZE
    });
    got
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < TIMEOUT, "in vain: {what}");
        thread::sleep(Duration::from_millis(1));
    }
}

/// From now on a system call of this thread is the end of the process (SIGSYS). Whether the kernel
/// allows that.
fn forbid_all() -> bool {
    let filter = [libc::sock_filter {
        code: (libc::BPF_RET | libc::BPF_K) as u16,
        jt: 0,
        jf: 0,
        k: libc::SECCOMP_RET_KILL_PROCESS,
    }];
    let program = libc::sock_fprog {
        len: filter.len() as u16,
        filter: filter.as_ptr().cast_mut(),
    };
    // SAFETY: a promise of this thread, which exists for one test only.
    unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
    // SAFETY: a program that lives through the call; the filter is for this thread only.
    let result = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            0,
            &raw const program,
        )
    };
    result == 0
}
