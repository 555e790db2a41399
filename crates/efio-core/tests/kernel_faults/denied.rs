//! What the system may refuse an engine: io_uring, threads, locked memory.

use crate::common::child::{child_arg, deny, limit, run_in_child};
use crate::common::fixtures::{Fixture, MODES, create, reading};
use crate::common::{Dir, TIMEOUT, closed, pattern, read_all, skip, write_all};
use efio_core::{BackendKind, Engine};
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;

/// F41: io_uring is denied by each of the means of containers and administrators: the engine
/// works all the same, on the pool, and asking for io_uring is refused by name.
#[test]
fn without_io_uring_all_goes_on() {
    let Some(errno) = child_arg() else {
        for errno in [libc::EPERM, libc::ENOSYS, libc::ENOMEM, libc::EACCES] {
            run_in_child("denied::without_io_uring_all_goes_on", &errno.to_string());
        }
        return;
    };
    if !deny(libc::SYS_io_uring_setup, errno.parse().unwrap()) {
        return;
    }
    let refused = Engine::builder().backend(BackendKind::Uring).start();
    let why = refused.err().expect("the kernel denies it");
    assert_eq!(why.kind(), ErrorKind::Unsupported, "{why}");
    round_trips(&Dir::new(), BackendKind::Auto);
}

/// Files of some sizes go out and come back in every mode.
fn round_trips(dir: &Dir, backend: BackendKind) {
    for mode in MODES {
        let fixture = Fixture::new("disk", backend, mode, dir.path().to_owned());
        let engine = fixture.engine();
        for len in [0, 1, 4097, 3_000_000] {
            let path = fixture.join("file");
            let file = engine.open(&path, &create()).unwrap();
            write_all(&engine, &file, &pattern(len)).unwrap();
            let fd = file.fd();
            file.close_sync().unwrap();
            assert_eq!(closed(&engine, fd), Ok(()), "{fixture}");
            let file = engine.open(&path, &reading()).unwrap();
            assert!(
                read_all(&engine, &file, 99_999).unwrap() == pattern(len),
                "{fixture}"
            );
        }
        assert!(engine.shutdown(TIMEOUT).unwrap().is_clean());
    }
}

/// Becomes a user to whom the limits apply, in a directory that the user owns.
fn become_nobody(dir: &Dir) {
    const NOBODY: u32 = 65_534;
    for path in dir.path().ancestors() {
        let Ok(metadata) = std::fs::metadata(path) else {
            continue;
        };
        let mut permissions = metadata.permissions();
        if permissions.mode() & 0o001 == 0 {
            skip(&format!("another user: {} is closed", path.display()));
            std::process::exit(0);
        }
        permissions.set_mode(0o777);
        if path == dir.path() {
            std::fs::set_permissions(path, permissions).unwrap();
        }
    }
    // SAFETY: identities of this process, which exists for one test only.
    let result = unsafe { libc::setgid(NOBODY) | libc::setuid(NOBODY) };
    if result != 0 {
        skip("another user: only root becomes one; the limits are tried as this one");
    }
}

/// F40: a thread that cannot be started is an error of the start, with the kernel's words, and
/// leaves nothing behind.
#[test]
fn a_thread_that_cannot_start_fails_the_start() {
    if child_arg().is_none() {
        return run_in_child("denied::a_thread_that_cannot_start_fails_the_start", "");
    }
    let dir = Dir::new();
    become_nobody(&dir);
    let descriptors = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    let before = descriptors();
    limit(libc::RLIMIT_NPROC as i32, 1);
    for backend in [BackendKind::Pool, BackendKind::Auto] {
        let refused = Engine::builder().backend(backend).workers(64).start();
        let why = refused
            .err()
            .expect("this user has a thread too many already");
        assert_eq!(why.raw_os_error(), Some(libc::EAGAIN), "{why}");
    }
    assert_eq!(descriptors(), before, "descriptors leaked");
}

/// F40: memory that may not be locked is only slower.
#[test]
fn without_locked_memory_all_goes_on() {
    if child_arg().is_none() {
        return run_in_child("denied::without_locked_memory_all_goes_on", "");
    }
    let dir = Dir::new();
    become_nobody(&dir);
    // Enough for a ring, but not for the memory of files; then not for a ring either.
    for most in [256 << 10, 0] {
        limit(libc::RLIMIT_MEMLOCK as i32, most);
        round_trips(&dir, BackendKind::Auto);
    }
}
