//! What the tests on the real kernel share.

#![allow(dead_code, reason = "each test takes what it needs")]

pub mod browser;
pub mod child;
pub mod fixtures;
pub mod fuse;
pub mod mount;
pub mod server;

use efio_core::{Engine, Errno, Event, EventKind, Fd, File};
use std::collections::BTreeSet;
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Far longer than anything here takes, even on a busy machine: running into it is a hang.
pub const TIMEOUT: Duration = Duration::from_secs(120);

/// Whether the library was built with the system layer of other Unix systems: without direct IO,
/// and without reads of what the kernel has in memory.
pub const PORTABLE: bool = cfg!(any(efio_portable, not(target_os = "linux")));

/// Prints that something could not be tested here, and why. Once for each reason, and directly to
/// stderr, as the test harness captures what a test prints.
pub fn skip(why: &str) {
    static SAID: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    if SAID.lock().unwrap().insert(why.to_owned()) {
        // Where stderr is closed the test goes on all the same.
        let _ = writeln!(io::stderr(), "\nSKIPPED: {why}");
    }
}

/// A directory that is removed at the end of the test.
pub struct Dir(PathBuf);

impl Dir {
    pub fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        // Below target, which is on a disk; the directory for temporary files may be in memory.
        let path = Path::new(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("efio-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Waits for the event that `wanted` accepts; others are dropped.
pub fn event(engine: &Engine, mut wanted: impl FnMut(&Event) -> bool) -> Event {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        while let Some(event) = engine.events().try_next() {
            if wanted(&event) {
                return event;
            }
        }
        assert!(
            Instant::now() < deadline,
            "no such event within {TIMEOUT:?}"
        );
        readable(engine, Duration::from_secs(1));
    }
}

/// Whether the event descriptor becomes readable within `timeout`.
pub fn readable(engine: &Engine, timeout: Duration) -> bool {
    let fd = engine.events().as_raw_fd();
    let mut poll = libc::pollfd {
        fd,
        events: libc::POLLIN,
        revents: 0,
    };
    // SAFETY: one pollfd that lives through the call.
    unsafe { libc::poll(&raw mut poll, 1, timeout.as_millis() as i32) == 1 }
}

/// Waits until the file is closed; its first error.
pub fn closed(engine: &Engine, fd: Fd) -> Result<(), Errno> {
    let event = event(engine, |event| {
        event.fd == fd && matches!(event.kind, EventKind::Closed { .. })
    });
    match event.kind {
        EventKind::Closed { result } => result,
        _ => unreachable!(),
    }
}

/// Repeats a call until it is not blocked any more.
pub fn ready<R>(engine: &Engine, fd: Fd, call: impl Fn() -> io::Result<R>) -> io::Result<R> {
    loop {
        match call() {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                event(engine, |event| {
                    event.fd == fd
                        && matches!(event.kind, EventKind::Readable | EventKind::Writable)
                });
            }
            result => return result,
        }
    }
}

/// Writes all bytes.
pub fn write_all(engine: &Engine, file: &File, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let n = ready(engine, file.fd(), || file.write(bytes))?;
        assert!(n > 0);
        bytes = &bytes[n..];
    }
    Ok(())
}

/// Reads to the end of file, `step` bytes per call.
pub fn read_all(engine: &Engine, file: &File, step: usize) -> io::Result<Vec<u8>> {
    let mut all = Vec::new();
    let buffer = std::cell::RefCell::new(vec![0; step]);
    loop {
        let n = ready(engine, file.fd(), || file.read(&mut buffer.borrow_mut()))?;
        if n == 0 {
            return Ok(all);
        }
        all.extend_from_slice(&buffer.borrow()[..n]);
    }
}

/// `len` bytes that differ from page to page.
pub fn pattern(len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    fastrand::Rng::with_seed(len as u64).fill(&mut bytes);
    bytes
}

/// The errno of an error.
pub fn errno<R: std::fmt::Debug>(result: io::Result<R>) -> i32 {
    result
        .unwrap_err()
        .raw_os_error()
        .expect("an error of the kernel's kind")
}
