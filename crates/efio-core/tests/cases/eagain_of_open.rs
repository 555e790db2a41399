//! F60: an open that the kernel answers with `EAGAIN` is retried or waited for. It completes, and
//! until then it is pending, which is not an error.

use crate::common::fixtures::backends;
use crate::common::{Dir, TIMEOUT, skip};
use efio_core::{BackendKind, Engine, EventKind, OpenOptions};
use std::fs;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// openat2(2) gives up a path with `..` while anything is renamed, wherever it is.
#[test]
fn an_open_beneath_goes_well_while_others_rename() {
    let dir = Dir::new();
    let (root, other) = (dir.join("root"), dir.join("other"));
    fs::create_dir_all(root.join("a/b")).unwrap();
    fs::create_dir_all(&other).unwrap();
    fs::write(root.join("file"), b"hello").unwrap();
    fs::write(other.join("x"), b"").unwrap();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                fs::rename(other.join("x"), other.join("y")).unwrap();
                fs::rename(other.join("y"), other.join("x")).unwrap();
            }
        });
        let directory = fs::File::open(&root).unwrap();
        for &backend in backends() {
            let engine = Engine::builder().backend(backend).start().unwrap();
            for _ in 0..2000 {
                let beneath = directory.try_clone().unwrap();
                let options = OpenOptions::new().read(true).beneath(beneath);
                let file = engine.open("a/b/../../file", &options).unwrap();
                file.blocking(TIMEOUT).wait_open().unwrap();
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
}

/// Takes a lease on the file at `path` that holds every other open of it. This process ignores the
/// signal that such an open sends.
fn lease(path: &std::path::Path) -> Option<fs::File> {
    let file = fs::File::options()
        .read(true)
        .write(true)
        .open(path)
        .unwrap();
    // SAFETY: plain values; the disposition of a signal that is not used here, and a lease on a
    // descriptor of ours.
    let result = unsafe {
        libc::signal(libc::SIGIO, libc::SIG_IGN);
        libc::fcntl(file.as_raw_fd(), libc::F_SETLEASE, libc::F_WRLCK)
    };
    if result != 0 {
        skip(&format!("a lease: {}", std::io::Error::last_os_error()));
        return None;
    }
    Some(file)
}

/// open(2) sleeps until the lease is given back. Here the open is pending for so long, keeps its
/// place, and delays no other: there is one worker.
#[test]
fn an_open_of_a_leased_file_waits_and_nobody_else_does() {
    let dir = Dir::new();
    for &backend in backends() {
        let leased = dir.join(&format!("{backend:?}"));
        fs::write(&leased, b"0123456789").unwrap();
        let Some(holder) = lease(&leased) else { return };
        let engine = Engine::builder()
            .backend(backend)
            .workers(1)
            .start()
            .unwrap();
        let options = OpenOptions::new().read(true).write(true);
        let file = engine.open(&leased, &options).unwrap();
        let n = std::io::Write::write(&mut &file, b"abc").unwrap();
        assert_eq!(n, 3, "accepted while the open is pending");
        for number in 0..20 {
            let path = dir.join(&format!("{backend:?}-{number}"));
            let options = OpenOptions::new().write(true).create(true);
            let other = engine.open(path, &options).unwrap();
            other.blocking(TIMEOUT).wait_open().unwrap();
            let pending = file.open_status();
            assert!(
                !pending.expect("pending is not an error"),
                "the lease is there"
            );
        }
        let events: Vec<_> = engine.events().drain().collect();
        assert!(
            events.iter().all(|event| event.fd != file.fd()),
            "{events:?}"
        );
        let waits = file.blocking(Duration::ZERO).wait_open().unwrap_err();
        assert_eq!(waits.kind(), std::io::ErrorKind::TimedOut);
        drop(holder);
        file.blocking(TIMEOUT).wait_open().unwrap();
        file.wait_closed(Some(TIMEOUT)).unwrap();
        assert_eq!(fs::read(&leased).unwrap(), b"abc3456789");
        assert!(engine.shutdown(TIMEOUT).unwrap().is_clean());
    }
}

/// An engine that ends meanwhile reports what it has not written.
#[test]
fn a_pending_open_does_not_hold_up_a_shutdown() {
    let dir = Dir::new();
    let leased = dir.join("leased");
    fs::write(&leased, b"0123456789").unwrap();
    let Some(_holder) = lease(&leased) else {
        return;
    };
    let engine = Engine::builder()
        .backend(BackendKind::Pool)
        .start()
        .unwrap();
    let file = engine
        .open(&leased, &OpenOptions::new().write(true))
        .unwrap();
    let fd = file.fd();
    std::io::Write::write(&mut &file, b"abc").unwrap();
    let report = engine.shutdown(Duration::from_millis(50)).unwrap();
    assert_eq!(report.unfinished, [(fd, 3)]);
}

/// What cannot be opened at all is refused as before, and at once: a FIFO without another end.
#[test]
fn a_fifo_is_refused_and_not_waited_for() {
    let dir = Dir::new();
    let path = dir.join("fifo");
    let name = std::ffi::CString::new(path.to_str().unwrap()).unwrap();
    // SAFETY: a NUL-terminated path.
    assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
    let engine = Engine::new().unwrap();
    for (options, errnos) in [
        (OpenOptions::new().read(true), [libc::ESPIPE, libc::ESPIPE]),
        (OpenOptions::new().write(true), [libc::ENXIO, libc::ESPIPE]),
    ] {
        let file = engine.open(&path, &options).unwrap();
        let event = crate::common::event(&engine, |event| event.fd == file.fd());
        let EventKind::Failed(failure) = event.kind else {
            panic!("{event:?}");
        };
        assert!(errnos.contains(&failure.errno.0), "{failure:?}");
    }
}
