//! Bad input and refusals of the real kernel: the documented errno, never a panic or a hang.

mod common;

use common::child::{child_arg, limit, run_in_child};
use common::mount;
use common::{Dir, TIMEOUT, closed, errno, event, pattern, readable, write_all};
use efio_core::{Engine, EventKind, Fd, IoMode, OpenOptions};
use std::ffi::{CString, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, Instant};

fn create() -> OpenOptions {
    OpenOptions::new().write(true).create(true)
}

/// Waits until the event queue is empty and its descriptor is not readable. The engine may signal
/// the last event after it was taken.
fn no_event(engine: &Engine) {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        assert_eq!(engine.events().try_next(), None);
        if !readable(engine, Duration::ZERO) {
            return;
        }
        assert!(Instant::now() < deadline, "readable without end");
    }
}

/// Opens and waits for the outcome: the errno that the open failed with.
fn refused(engine: &Engine, path: &Path, options: &OpenOptions) -> i32 {
    let file = engine.open(path, options).unwrap();
    let fd = file.fd();
    let event = event(engine, |event| event.fd == fd);
    let EventKind::Failed(failure) = event.kind else {
        panic!("{path:?}: {event:?}")
    };
    assert_eq!(errno(file.open_status()), failure.errno.0);
    assert_eq!(
        errno(file.write(b"x").and(file.read(&mut [0]))),
        match options {
            _ if format!("{options:?}").contains("write: true") => failure.errno.0,
            _ => libc::EBADF,
        }
    );
    assert_eq!(errno(file.close()), failure.errno.0);
    assert_eq!(closed(engine, fd), Err(failure.errno));
    failure.errno.0
}

/// F1, F8, F9.
#[test]
fn wild_and_stale_descriptors_are_refused() {
    let dir = Dir::new();
    let engine = Engine::new().unwrap();
    let stale = {
        let file = engine.open(dir.join("first"), &create()).unwrap();
        let fd = file.fd();
        file.close().unwrap();
        closed(&engine, fd).unwrap();
        fd
    };
    let file = engine.open(dir.join("second"), &create()).unwrap();
    assert_eq!(file.fd().index(), stale.index(), "the slot is used again");
    let wild = [0, 1, u64::MAX, 1 << 32, u64::from(u32::MAX), 7 << 32 | 63];
    for fd in wild.map(Fd::from_bits).into_iter().chain([stale]) {
        if fd == file.fd() {
            continue;
        }
        assert_eq!(errno(engine.file(fd).write(b"astray")), libc::EBADF);
        assert_eq!(errno(engine.file(fd).read(&mut [0; 8])), libc::EBADF);
        assert_eq!(errno(engine.file(fd).set_position(0)), libc::EBADF);
        assert_eq!(errno(engine.file(fd).sync()), libc::EBADF);
        assert_eq!(errno(engine.file(fd).progress()), libc::EBADF);
        assert_eq!(errno(engine.file(fd).open_status()), libc::EBADF);
        assert_eq!(errno(engine.file(fd).close()), libc::EBADF);
        assert_eq!(errno(engine.file(fd).close_sync()), libc::EBADF);
    }
    let fd = file.fd();
    drop(file);
    closed(&engine, fd).unwrap();
    assert_eq!(
        std::fs::read(dir.join("second")).unwrap(),
        b"",
        "the new file is untouched"
    );
}

/// F2, F3, F5.
#[test]
fn odd_calls_give_the_errno_of_the_kernel() {
    let dir = Dir::new();
    let engine = Engine::new().unwrap();
    let file = engine.open(dir.join("file"), &create()).unwrap();
    event(&engine, |event| event.kind == EventKind::Opened);
    assert_eq!(file.write(b"").unwrap(), 0);
    assert_eq!(
        errno(file.read(&mut [0])),
        libc::EBADF,
        "open for writing only"
    );
    assert_eq!(errno(file.set_position(1 << 63)), libc::EINVAL);
    file.set_position(i64::MAX as u64 - 3).unwrap();
    assert_eq!(errno(file.write(b"four")), libc::EINVAL);
    assert_eq!(file.progress().unwrap().accepted, 0, "nothing was buffered");

    let reader = engine
        .open(dir.join("file"), &OpenOptions::new().read(true))
        .unwrap();
    assert_eq!(reader.read(&mut []).unwrap(), 0);
    assert_eq!(
        errno(reader.write(b"x")),
        libc::EBADF,
        "open for reading only"
    );
    event(&engine, |event| event.kind == EventKind::Opened);
    no_event(&engine);
    assert_eq!(errno(engine.open("x", &OpenOptions::new())), libc::EINVAL);
}

/// F4: the slot is free again.
#[test]
fn bad_paths_are_refused_at_once() {
    let engine = Engine::builder().max_files(1).start().unwrap();
    let long = "x/".repeat(3000);
    for (path, expected) in [
        (OsStr::new(""), libc::ENOENT),
        (OsStr::from_bytes(b"nul\0inside"), libc::EINVAL),
        (OsStr::new(&long), libc::ENAMETOOLONG),
    ] {
        for _ in 0..3 {
            assert_eq!(errno(engine.open(path, &create())), expected);
        }
    }
    assert!(
        engine
            .open("/dev/shm/efio-slot-is-free", &OpenOptions::new().read(true))
            .is_ok()
    );
}

/// F6: refused, without a hang.
#[test]
fn only_regular_files_open() {
    let dir = Dir::new();
    let engine = Engine::new().unwrap();
    let fifo = dir.join("fifo");
    let name = CString::new(fifo.as_os_str().as_bytes()).unwrap();
    // SAFETY: a NUL-terminated path.
    assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
    let socket = dir.join("socket");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let read = OpenOptions::new().read(true);
    let both = OpenOptions::new().read(true).write(true);
    assert_eq!(refused(&engine, &fifo, &read), libc::ESPIPE);
    assert_eq!(refused(&engine, &fifo, &both), libc::ESPIPE);
    assert_eq!(refused(&engine, &fifo, &create()), libc::ENXIO);
    assert_eq!(refused(&engine, &socket, &read), libc::ENXIO);
    assert_eq!(
        refused(&engine, Path::new("/dev/null"), &both),
        libc::ESPIPE
    );
    assert_eq!(refused(&engine, dir.path(), &read), libc::EISDIR);
    assert_eq!(refused(&engine, dir.path(), &create()), libc::EISDIR);
    assert_eq!(refused(&engine, &dir.join("missing"), &read), libc::ENOENT);
    assert_eq!(
        refused(&engine, &dir.join("missing/file"), &create()),
        libc::ENOENT
    );
    std::fs::write(dir.join("there"), "").unwrap();
    let new = OpenOptions::new().write(true).create_new(true);
    assert_eq!(refused(&engine, &dir.join("there"), &new), libc::EEXIST);
}

/// F57: no path leads out of the directory.
#[test]
fn paths_stay_beneath_their_directory() {
    let dir = Dir::new();
    let root = dir.join("root");
    std::fs::create_dir(&root).unwrap();
    std::fs::write(dir.join("secret"), "secret").unwrap();
    std::os::unix::fs::symlink("../secret", root.join("link")).unwrap();
    std::os::unix::fs::symlink("/proc/self/cwd", root.join("magic")).unwrap();
    let engine = Engine::new().unwrap();
    let beneath = |options: OpenOptions| options.beneath(std::fs::File::open(&root).unwrap());
    let read = beneath(OpenOptions::new().read(true));
    for path in ["../secret", "link", "magic/Cargo.toml", "/etc/passwd"] {
        let errno = refused(&engine, Path::new(path), &read);
        assert!(
            [libc::EXDEV, libc::ELOOP].contains(&errno),
            "{path}: errno {errno}"
        );
    }
    let file = engine.open("inside", &beneath(create())).unwrap();
    file.write(b"fine").unwrap();
    let fd = file.fd();
    file.close_sync().unwrap();
    assert_eq!(closed(&engine, fd), Ok(()));
    assert_eq!(std::fs::read(root.join("inside")).unwrap(), b"fine");
}

/// Holds every open of this file until the returned descriptor is closed. `None` where fanotify is
/// not available.
#[cfg(target_os = "linux")]
fn hold_up_opens(path: &Path) -> Option<std::os::fd::OwnedFd> {
    use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
    let flags = libc::FAN_CLASS_CONTENT | libc::FAN_CLOEXEC;
    // SAFETY: no pointers.
    let fd = unsafe { libc::fanotify_init(flags, libc::O_RDONLY as u32) };
    if fd < 0 {
        common::skip("this process may not hold up opens");
        return None;
    }
    // SAFETY: a new descriptor without another owner.
    let listener = unsafe { OwnedFd::from_raw_fd(fd) };
    let path = CString::new(path.as_os_str().as_bytes()).unwrap();
    let (add, what) = (libc::FAN_MARK_ADD, libc::FAN_OPEN_PERM);
    // SAFETY: an open descriptor and a NUL-terminated path.
    let marked = unsafe {
        libc::fanotify_mark(
            listener.as_raw_fd(),
            add,
            what,
            libc::AT_FDCWD,
            path.as_ptr(),
        )
    };
    assert_eq!(marked, 0, "{}", std::io::Error::last_os_error());
    Some(listener)
}

/// F45: opens that hang delay no other, neither those submitted at the same time nor later ones.
#[cfg(target_os = "linux")]
#[test]
fn an_open_that_hangs_holds_up_no_other() {
    let dir = Dir::new();
    let (hangs, other) = (dir.join("hangs"), dir.join("other"));
    std::fs::write(&hangs, "held up").unwrap();
    std::fs::write(&other, "other").unwrap();
    let Some(listener) = hold_up_opens(&hangs) else {
        return;
    };
    let engine = Engine::builder().workers(3).start().unwrap();
    let read = OpenOptions::new().read(true);
    let mut held_up = Vec::new();
    for round in 0..100 {
        if round == 0 || round == 50 {
            held_up.push(engine.open(&hangs, &read).unwrap());
        }
        for file in [(); 3].map(|()| engine.open(&other, &read).unwrap()) {
            assert_eq!(common::read_all(&engine, &file, 10).unwrap(), b"other");
            let fd = file.fd();
            drop(file);
            closed(&engine, fd).unwrap();
        }
    }
    for file in &held_up {
        assert!(!file.open_status().unwrap(), "it is held up");
    }
    drop(listener);
    for file in held_up {
        assert_eq!(common::read_all(&engine, &file, 10).unwrap(), b"held up");
    }
    assert!(engine.shutdown(TIMEOUT).unwrap().is_clean());
}

/// F37: the table is full, and recovers.
#[test]
fn a_full_table_gives_emfile() {
    let dir = Dir::new();
    let engine = Engine::builder().max_files(3).start().unwrap();
    let open = || engine.open(dir.join("file"), &create());
    for _ in 0..3 {
        let files: Vec<_> = (0..3).map(|_| open().unwrap()).collect();
        assert_eq!(errno(open()), libc::EMFILE);
        for file in files {
            let fd = file.fd();
            drop(file);
            closed(&engine, fd).unwrap();
        }
    }
}

/// F21: a full disk fails the file; the lowest lost offset is exact and the error is sticky.
#[test]
fn a_full_disk_fails_the_file() {
    const SIZE: usize = 256 << 10;
    for mode in [IoMode::Direct, IoMode::Uncached, IoMode::Cached] {
        let Some(tmpfs) = mount::memory(SIZE as u64) else {
            return;
        };
        let engine = Engine::builder().io_mode(mode).start().unwrap();
        let path = tmpfs.join("file");
        let file = engine.open(&path, &create()).unwrap();
        let bytes = pattern(1 << 20);
        write_all(&engine, &file, &bytes).unwrap();
        let event = event(&engine, |event| matches!(event.kind, EventKind::Failed(_)));
        let EventKind::Failed(failure) = event.kind else {
            unreachable!()
        };
        assert_eq!(failure.errno.0, libc::ENOSPC);
        let there = std::fs::read(&path).unwrap();
        assert_eq!(failure.offset, there.len() as u64, "{mode:?}");
        assert!(
            there == bytes[..there.len()] && there.len() > SIZE / 2,
            "{mode:?}: a prefix"
        );
        assert_eq!(file.progress().unwrap().written, failure.offset);
        assert_eq!(errno(file.write(b"more")), libc::ENOSPC);
        assert_eq!(errno(file.sync()), libc::ENOSPC);
        let fd = file.fd();
        assert_eq!(errno(file.close()), libc::ENOSPC);
        assert_eq!(closed(&engine, fd), Err(failure.errno));
        assert!(engine.shutdown(TIMEOUT).unwrap().is_clean());
    }
}

/// F51: in a forked child every call fails cleanly, and the parent is not affected.
#[test]
fn a_forked_child_gets_clean_errors() {
    let dir = Dir::new();
    let engine = Engine::new().unwrap();
    let file = engine.open(dir.join("file"), &create().read(true)).unwrap();
    file.write(b"of the parent").unwrap();
    // An event waits while the process forks.
    assert!(readable(&engine, TIMEOUT));
    // SAFETY: the child calls efio, which takes no lock in a child, and leaves by `_exit`.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let fails = |result: std::io::Result<()>| {
            result.is_err_and(|error| error.raw_os_error() == Some(libc::ESHUTDOWN))
        };
        let clean = fails(file.write(b"of the child").map(drop))
            && fails(file.read(&mut [0; 4]).map(drop))
            && fails(file.sync().map(drop))
            && fails(file.progress().map(drop))
            && fails(engine.open("/dev/shm/x", &create()).map(drop))
            && engine.events().try_next().is_none();
        drop(file);
        drop(engine);
        // SAFETY: ends the child without the parent's atexit handlers.
        unsafe { libc::_exit(if clean { 0 } else { 1 }) };
    }
    let mut status = 0;
    // SAFETY: waits for the child made above.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    assert_eq!(status, 0, "the child");
    assert!(readable(&engine, TIMEOUT), "the event still waits");
    event(&engine, |event| event.kind == EventKind::Opened);
    let fd = file.fd();
    file.close().unwrap();
    assert_eq!(closed(&engine, fd), Ok(()));
    assert_eq!(std::fs::read(dir.join("file")).unwrap(), b"of the parent");
}

/// F22, F44: the file-size limit gives an error, not the signal that kills.
#[test]
fn the_file_size_limit_is_an_error() {
    if child_arg().is_none() {
        // The limit applies to the whole process, also to what a test harness prints into a file.
        return run_in_child("the_file_size_limit_is_an_error", "");
    }
    limit(libc::RLIMIT_FSIZE as i32, 100_000);
    let dir = Dir::new();
    let engine = Engine::builder().io_mode(IoMode::Cached).start().unwrap();
    let file = engine.open(dir.join("file"), &create()).unwrap();
    write_all(&engine, &file, &pattern(200_000)).unwrap();
    let event = event(&engine, |event| matches!(event.kind, EventKind::Failed(_)));
    let EventKind::Failed(failure) = event.kind else {
        unreachable!()
    };
    assert_eq!((failure.errno.0, failure.offset), (libc::EFBIG, 100_000));
    assert_eq!(std::fs::metadata(dir.join("file")).unwrap().len(), 100_000);
}
