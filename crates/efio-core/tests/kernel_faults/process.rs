//! The process around the engine: fork, exec, umask, and code that closes descriptors of others.

use crate::common::child::{child_arg, run_in_child};
use crate::common::fixtures::{Fixture, MODES, backends, both, create};
use crate::common::{Dir, TIMEOUT, closed, errno, event, pattern, write_all};
use efio_core::{Engine, EventKind, File, OpenOptions};
use std::fs;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

/// F51: in a forked child every call fails cleanly, whatever is in flight, and so do the drops; the
/// parent's files hold what the parent wrote.
#[test]
fn a_forked_child_disturbs_nobody() {
    let dir = Dir::new();
    for &backend in backends() {
        for mode in MODES {
            let fixture = Fixture::new("disk", backend, mode, dir.path().to_owned());
            let engine = fixture.engine();
            let file = engine.open(fixture.join("file"), &both()).unwrap();
            let bytes = pattern(5_000_000);
            write_all(&engine, &file, &bytes[..1_000_000]).unwrap();
            file.sync().unwrap();
            // SAFETY: the child calls efio, which takes no lock in a child, and leaves by `_exit`.
            let child = unsafe { libc::fork() };
            if child == 0 {
                let clean = child_is_refused(&engine, &file);
                drop((file, engine));
                // SAFETY: ends the child without the parent's atexit handlers.
                unsafe { libc::_exit(i32::from(!clean)) };
            }
            write_all(&engine, &file, &bytes[1_000_000..]).unwrap();
            let mut status = 0;
            // SAFETY: waits for the child made above.
            assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
            assert_eq!(status, 0, "{fixture}: the child");
            let fd = file.fd();
            file.close().unwrap();
            assert_eq!(closed(&engine, fd), Ok(()), "{fixture}");
            assert!(
                fs::read(fixture.join("file")).unwrap() == bytes,
                "{fixture}"
            );
        }
    }
}

fn child_is_refused(engine: &Engine, file: &File) -> bool {
    let refused = |result: std::io::Result<()>| {
        result.is_err_and(|error| error.raw_os_error() == Some(libc::ESHUTDOWN))
    };
    refused(file.write(b"of the child").map(drop))
        && refused(file.read(&mut [0; 4]).map(drop))
        && refused(file.set_position(0))
        && refused(file.sync().map(drop))
        && refused(engine.file(file.fd()).close())
        && refused(engine.open("/dev/shm/of-the-child", &create()).map(drop))
        && engine.events().try_next().is_none()
}

/// F56: a program that is started inherits no descriptor of the engine: no file, no eventfd, no
/// ring.
#[test]
fn exec_leaks_no_descriptor() {
    let dir = Dir::new();
    for &backend in backends() {
        for mode in MODES {
            let fixture = Fixture::new("disk", backend, mode, dir.path().to_owned());
            let engine = fixture.engine();
            let root = fs::File::open(fixture.join("")).unwrap();
            let file = engine.open(fixture.join("one"), &both()).unwrap();
            let other = engine.open("two", &create().beneath(root)).unwrap();
            for file in [&file, &other] {
                write_all(&engine, file, &pattern(100_000)).unwrap();
            }
            file.sync().unwrap();
            event(&engine, |event| {
                matches!(event.kind, EventKind::Synced { .. })
            });
            let output = Command::new("ls")
                .args(["-l", "/proc/self/fd"])
                .output()
                .unwrap();
            let list = String::from_utf8(output.stdout).unwrap();
            let links = list.lines().filter(|line| line.contains(" -> "));
            let ours = |line: &&str| {
                ["eventfd", "io_uring", "fixture-"]
                    .iter()
                    .any(|part| line.contains(part))
            };
            let leaked: Vec<_> = links.filter(ours).collect();
            assert!(list.contains("/proc/"), "the list is empty: {list}");
            assert_eq!(leaked, [""; 0], "{fixture}");
        }
    }
}

/// F59: files get their permissions by the umask, which efio does not change. In a process of its
/// own.
#[test]
fn the_umask_stays_as_it_is() {
    if child_arg().is_none() {
        return run_in_child("process::the_umask_stays_as_it_is", "");
    }
    // SAFETY: a property of this process, which exists for this test only.
    unsafe { libc::umask(0o027) };
    let dir = Dir::new();
    for &backend in backends() {
        for mode in MODES {
            let fixture = Fixture::new("disk", backend, mode, dir.path().to_owned());
            let engine = fixture.engine();
            for (name, asked, expected) in [
                ("a", 0o666, 0o640),
                ("b", 0o777, 0o750),
                ("c", 0o600, 0o600),
            ] {
                let options = OpenOptions::new().write(true).create_new(true).mode(asked);
                let file = engine.open(fixture.join(name), &options).unwrap();
                event(&engine, |event| event.kind == EventKind::Opened);
                let mode = fs::metadata(fixture.join(name))
                    .unwrap()
                    .permissions()
                    .mode();
                assert_eq!(mode & 0o777, expected, "{fixture}: {name}");
                assert_eq!(umask(), "0027", "{fixture}");
                drop(file);
            }
            // O_EXCL is offered: a file that is there is not opened.
            let options = OpenOptions::new().write(true).create_new(true);
            let file = engine.open(fixture.join("a"), &options).unwrap();
            event(&engine, |event| matches!(event.kind, EventKind::Failed(_)));
            assert_eq!(errno(file.open_status()), libc::EEXIST, "{fixture}");
            assert!(engine.shutdown(TIMEOUT).unwrap().is_clean());
            assert_eq!(umask(), "0027", "{fixture}");
        }
    }
}

/// The umask of this process, without changing it.
fn umask() -> String {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("Umask"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().to_owned()
}

/// F14: other code closes the kernel's descriptors of a file, and opens files that get their
/// numbers: the file fails, and the others are neither written, truncated nor closed. In a process
/// of its own: other tests would lose theirs.
#[test]
fn a_descriptor_closed_by_others_fails_the_file() {
    if child_arg().is_none() {
        return run_in_child("process::a_descriptor_closed_by_others_fails_the_file", "");
    }
    let dir = Dir::new();
    for &backend in backends() {
        for mode in MODES {
            for taken in [false, true] {
                let fixture = Fixture::new("disk", backend, mode, dir.path().to_owned());
                close_by_others(&fixture, taken);
            }
        }
    }
}

fn close_by_others(fixture: &Fixture, taken: bool) {
    let engine = fixture.engine();
    let path = fixture.join("file");
    let file = engine.open(&path, &create()).unwrap();
    event(&engine, |event| event.kind == EventKind::Opened);
    let numbers = close_all_of(&path);
    let victims: Vec<_> = (0..if taken { numbers.len() } else { 0 })
        .map(|number| {
            let victim = fs::File::create(fixture.join(&format!("victim {number}"))).unwrap();
            assert!(numbers.contains(&victim.as_raw_fd()), "the number is taken");
            victim
        })
        .collect();
    write_all(&engine, &file, &pattern(1 << 20)).unwrap();
    // Either call may be the first to notice.
    let _ = file.sync();
    event(&engine, |event| matches!(event.kind, EventKind::Failed(_)));
    assert_eq!(errno(file.sync()), libc::EBADF, "{fixture}");
    assert_eq!(errno(file.write(b"more")), libc::EBADF, "{fixture}");
    let fd = file.fd();
    assert_eq!(errno(file.close()), libc::EBADF);
    assert_eq!(closed(&engine, fd).unwrap_err().0, libc::EBADF);
    for mut victim in victims {
        let len = victim.metadata().expect("it is still open").len();
        assert_eq!(len, 0, "{fixture}: another file was written");
        victim.write_all(b"fine").unwrap();
    }
}

/// Closes the descriptors of this process that are open on `path`: their numbers.
fn close_all_of(path: &Path) -> Vec<i32> {
    let open = fs::read_dir("/proc/self/fd").unwrap().flatten();
    let numbers: Vec<i32> = open
        .filter(|entry| fs::read_link(entry.path()).is_ok_and(|link| link == path))
        .map(|entry| entry.file_name().to_string_lossy().parse().unwrap())
        .collect();
    for &fd in &numbers {
        // SAFETY: closes a descriptor of another owner, which is what this test is about; the owner
        // gets `EBADF` from the kernel.
        assert_eq!(unsafe { libc::close(fd) }, 0);
    }
    assert!(!numbers.is_empty());
    numbers
}
