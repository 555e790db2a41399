//! F68: a process forks while other threads are inside efio, whose locks stay taken in the child
//! for ever. Every call there ends all the same, refused with `ESHUTDOWN`, and so does every drop.

use crate::common::fixtures::backends;
use crate::common::{Dir, TIMEOUT};
use efio_core::log::LogOptions;
use efio_core::{Engine, EventKind, File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::thread;
use std::time::Duration;

/// How a child ended: its exit status, or the signal that ended it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Exit(i32),
    Signal(i32),
}

/// Runs `work` in a child, whose exit status is the result; `SIGALRM` ends one that hangs.
fn in_child(work: impl FnOnce() -> bool) -> End {
    // SAFETY: the child calls efio, which takes no lock in a child, and leaves by `_exit`.
    match unsafe { libc::fork() } {
        0 => {
            // SAFETY: plain values; the alarm ends the process.
            unsafe {
                libc::signal(libc::SIGALRM, libc::SIG_DFL);
                libc::alarm(10);
            }
            let held = work();
            // SAFETY: ends the child without the parent's atexit handlers.
            unsafe { libc::_exit(i32::from(!held)) }
        }
        child => end_of(child),
    }
}

fn end_of(child: libc::pid_t) -> End {
    let mut status = 0;
    // SAFETY: waits for a child of this process.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    if libc::WIFEXITED(status) {
        End::Exit(libc::WEXITSTATUS(status))
    } else {
        End::Signal(libc::WTERMSIG(status))
    }
}

fn refused<T>(result: io::Result<T>) -> bool {
    result.is_err_and(|error| error.raw_os_error() == Some(libc::ESHUTDOWN))
}

#[test]
fn a_log_of_four_threads() {
    const FORKS: usize = 40;
    let dir = Dir::new();
    let (log, guard) = LogOptions::new().open(dir.join("log")).unwrap();
    let done = AtomicBool::new(false);
    let ends: Vec<_> = thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    writeln!(&log, "a line of the parent").unwrap();
                }
            });
        }
        let in_a_child = |_| {
            in_child(|| {
                let mut log = log.clone();
                refused(log.write(b"a line of the child\n"))
                    && refused(writeln!(log, "{}", 1))
                    && refused(log.flush())
                    && guard.report().lines == 0
            })
        };
        let ends = (0..FORKS).map(in_a_child).collect();
        done.store(true, Ordering::Relaxed);
        ends
    });
    assert_eq!(ends, [End::Exit(0); FORKS]);
    let end = in_child(move || {
        drop(log);
        refused(guard.close(Duration::from_secs(1)))
    });
    assert_eq!(end, End::Exit(0));
    let text = std::fs::read_to_string(dir.join("log")).unwrap();
    assert!(!text.contains("child"));
}

/// Each of the engine's locks is held by some thread at some of the forks.
#[test]
fn files_of_busy_threads() {
    const FORKS: usize = 40;
    for &backend in backends() {
        let dir = Dir::new();
        let engine = Engine::builder().backend(backend).start().unwrap();
        let kept = open(&engine, &dir, "kept");
        let done = AtomicBool::new(false);
        let ends: Vec<_> = thread::scope(|scope| {
            for name in ["one", "two"] {
                let (engine, dir, kept, done) = (&engine, &dir, &kept, &done);
                scope.spawn(move || {
                    while !done.load(Ordering::Relaxed) {
                        use_all(engine, dir, name, kept);
                    }
                });
            }
            let in_a_child = |_| {
                let own = open(&engine, &dir, "own");
                let buffer = engine.buffer(1 << 20).ok();
                in_child(|| {
                    // Drops that free memory or send the driver a command.
                    drop((own, buffer));
                    all_refused(&engine, &kept, &dir)
                })
            };
            let ends = (0..FORKS).map(in_a_child).collect();
            done.store(true, Ordering::Relaxed);
            ends
        });
        assert_eq!(ends, [End::Exit(0); FORKS], "{backend:?}");
        let end = in_child(move || {
            drop(kept);
            refused(engine.shutdown(TIMEOUT))
        });
        assert_eq!(end, End::Exit(0), "{backend:?}");
    }
}

fn open(engine: &Engine, dir: &Dir, name: &str) -> File {
    let options = OpenOptions::new().read(true).write(true).create(true);
    let file = engine.open(dir.join(name), &options.events(false)).unwrap();
    file.blocking(TIMEOUT).wait_open().unwrap();
    file
}

/// What the parent's threads do without pause.
fn use_all(engine: &Engine, dir: &Dir, name: &str, kept: &File) {
    let bytes = [7; 70_000];
    let file = open(engine, dir, name);
    // Each may find no room, or nothing to read yet.
    let _ = file.write(&bytes);
    let _ = kept.write(&bytes[..100]);
    let _ = kept.set_position(0);
    let _ = kept.read(&mut [0; 10]);
    let _ = kept.len();
    drop(engine.buffer(4096));
    let _ = file.sync();
    let _ = file.wait_closed(Some(TIMEOUT));
}

/// In the child: each call returns `ESHUTDOWN`.
fn all_refused(engine: &Engine, file: &File, dir: &Dir) -> bool {
    let (fd, some) = (file.fd(), Some(TIMEOUT));
    let answered =
        engine.stats().driver.stray_completions == 0 && engine.events().try_next().is_none();
    answered
        && refused(engine.open(dir.join("child"), &OpenOptions::new().read(true)))
        && refused(engine.buffer(4096))
        && refused(engine.file(fd).stats())
        && refused(engine.file(fd).close())
        && refused(engine.file(fd).readiness())
        && refused(file.write(b"of the child"))
        && refused(file.read(&mut [0; 4]))
        && refused(file.available())
        && refused(file.set_position(0))
        && refused((&mut &*file).seek(SeekFrom::End(0)))
        && refused((&mut &*file).flush())
        && refused(file.len())
        && refused(file.sync())
        && refused(file.set_len(0))
        && refused(file.progress())
        && refused(file.failure())
        && refused(file.open_status())
        && refused(file.take_unwritten())
        && refused(file.blocking(some).wait_open())
        && refused(file.blocking(some).wait_readable())
        && refused(file.blocking(some).wait_writable())
        && refused(file.blocking(some).len())
        && refused(file.blocking(some).flush())
        && refused(file.blocking(some).wait_synced(0))
        && refused(engine.file(fd).wait_closed(some))
}

/// A callback that forks and comes back in the child: the child ends, and does not go on as the
/// engine's thread.
#[test]
fn a_callback_that_forks() {
    for &backend in backends() {
        let dir = Dir::new();
        let child = Arc::new(AtomicI32::new(0));
        let theirs = Arc::clone(&child);
        let engine = Engine::builder().backend(backend).on_event(move |event| {
            if event.kind == EventKind::Opened {
                // SAFETY: the child comes back from the callback, and ends.
                match unsafe { libc::fork() } {
                    // SAFETY: ends a child that hangs.
                    0 => drop(unsafe { libc::alarm(10) }),
                    child => theirs.store(child, Ordering::Release),
                }
            }
        });
        let engine = engine.start().unwrap();
        let options = OpenOptions::new().write(true).create(true);
        let file = engine.open(dir.join("file"), &options).unwrap();
        file.write(b"once").unwrap();
        file.wait_closed(Some(TIMEOUT)).unwrap();
        assert!(engine.shutdown(TIMEOUT).unwrap().is_clean());
        assert_eq!(end_of(child.load(Ordering::Acquire)), End::Exit(0));
        assert_eq!(std::fs::read(dir.join("file")).unwrap(), b"once");
    }
}
