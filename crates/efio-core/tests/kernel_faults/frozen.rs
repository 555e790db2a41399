//! F45: the disk hangs. A frozen file system holds every write, open for writing and sync until it
//! is thawed.

use crate::common::fixtures::{Fixture, MODES, backends, both, create};
use crate::common::mount::{Kind, Mount};
use crate::common::{TIMEOUT, closed, event, pattern, write_all};
use efio_core::{Errno, EventKind, File};
use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

/// The longest that a call which must not wait for the disk may take here, where others want the
/// processor too. One that does wait takes until the disk is thawed, which is later.
const AT_ONCE: Duration = Duration::from_secs(20);

/// Makes a call and checks that it returns at once.
fn at_once<R>(what: &str, call: impl FnOnce() -> R) -> R {
    let start = Instant::now();
    let result = call();
    let took = start.elapsed();
    assert!(took < AT_ONCE, "{what} took {took:?}");
    result
}

/// Every backend and mode on a file system that can be frozen.
fn each(check: impl Fn(&Fixture, &Mount)) {
    let Some(mount) = Mount::new(Kind::Ext4, 256 << 20) else {
        return;
    };
    for &backend in backends() {
        for mode in MODES {
            check(&Fixture::new("ext4", backend, mode, mount.join("")), &mount);
        }
    }
}

/// Every call returns at once; a file elsewhere goes on; the shutdown ends at its deadline and
/// reports what is left.
#[test]
fn a_disk_that_hangs_holds_up_nobody() {
    const DEADLINE: Duration = Duration::from_millis(300);
    each(|fixture, mount| {
        let engine = fixture.builder().memory_budget(16 << 20).start().unwrap();
        let path = fixture.join("hung");
        fs::write(&path, pattern(100_000)).unwrap();
        let hung = engine.open(&path, &both()).unwrap();
        event(&engine, |event| event.kind == EventKind::Opened);

        let frozen = mount.freeze();
        let accepted = write_until_blocked(&hung);
        assert!(
            accepted >= 1 << 20,
            "{accepted}: memory takes this much at least"
        );
        let mark = at_once("sync", || hung.sync()).unwrap();
        assert_eq!(mark, accepted);
        at_once("seek", || hung.set_position(0)).unwrap();
        let read = at_once("read", || hung.read(&mut [0; 100]));
        assert_eq!(read.unwrap_err().kind(), ErrorKind::WouldBlock);
        let late = at_once("open", || engine.open(fixture.join("late"), &create())).unwrap();
        write_all(&engine, &late, b"accepted while it opens").unwrap();
        let late_fd = late.fd();
        at_once("close", || late.close()).unwrap();
        elsewhere(&engine);
        let progress = at_once("progress", || hung.progress()).unwrap();
        assert_eq!((progress.accepted, progress.durable), (accepted, 0));

        let start = Instant::now();
        let report = engine.shutdown(DEADLINE).unwrap();
        let took = start.elapsed();
        assert!((DEADLINE..DEADLINE + AT_ONCE).contains(&took), "{took:?}");
        let mut left = report.unfinished;
        left.sort_by_key(|&(fd, _)| fd != hung.fd());
        let expected = [
            (hung.fd(), accepted - progress.written),
            (late_fd, b"accepted while it opens".len() as u64),
        ];
        assert_eq!(left, expected, "{fixture}");
        drop(frozen);
    });
}

/// Ops that the frozen disk holds at the deadline complete all the same, each once.
#[test]
fn a_shutdown_completes_what_a_hung_disk_has() {
    each(|fixture, mount| {
        let (sender, receiver) = channel();
        let engine = fixture.builder().on_event(move |event| {
            let _ = sender.send(event.kind);
        });
        let engine = engine.start().unwrap();
        let file = engine.open(fixture.join("file"), &both()).unwrap();
        assert_eq!(receiver.recv_timeout(TIMEOUT).unwrap(), EventKind::Opened);
        let frozen = mount.freeze();
        let buffer = || engine.buffer(8192).unwrap();
        file.write_at(0, buffer(), 0).unwrap();
        // Overlaps the first, which it waits for.
        file.write_at(4096, buffer(), 1).unwrap();
        file.read_at(0, buffer(), 2).unwrap();
        let report = engine.shutdown(Duration::from_millis(200)).unwrap();
        assert_eq!(report.unfinished, [(file.fd(), 16_384)], "{fixture}");
        let mut left = vec![libc::ETIMEDOUT, libc::ECANCELED, libc::ECANCELED];
        for kind in receiver.try_iter() {
            let EventKind::Completed(completed) = kind else {
                panic!("{fixture}: {kind:?}")
            };
            let errno = std::mem::take(&mut left[completed.token as usize]);
            let len = if errno == libc::ECANCELED { 8192 } else { 0 };
            assert_eq!(completed.result, Err(Errno(errno)), "{fixture}");
            assert_eq!(completed.buffer.len(), len, "{fixture}");
        }
        assert_eq!(left, [0; 3], "{fixture}: each completes");
        drop(frozen);
    });
}

/// How many bytes a file takes until it returns "would block", each call at once.
fn write_until_blocked(file: &File) -> u64 {
    let bytes = pattern(300_000);
    let deadline = Instant::now() + TIMEOUT;
    let mut accepted = 0;
    loop {
        match at_once("write", || file.write(&bytes)) {
            Ok(n) => accepted += n as u64,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return accepted,
            Err(error) => panic!("{error}"),
        }
        assert!(Instant::now() < deadline, "memory is unbounded");
    }
}

/// A file on another disk is written as usual.
fn elsewhere(engine: &efio_core::Engine) {
    let dir = crate::common::Dir::new();
    let file = engine.open(dir.join("file"), &create()).unwrap();
    write_all(engine, &file, &pattern(50_000)).unwrap();
    let fd = file.fd();
    file.close_sync().unwrap();
    assert_eq!(closed(engine, fd), Ok(()));
    assert!(fs::read(dir.join("file")).unwrap() == pattern(50_000));
}

/// F45: once the disk is back, what hung goes on, and nothing is lost.
#[test]
fn a_disk_that_comes_back_loses_nothing() {
    each(|fixture, mount| {
        let engine = fixture.engine();
        let file = engine.open(fixture.join("file"), &create()).unwrap();
        let bytes = pattern(3_000_000);
        write_all(&engine, &file, &bytes[..1_000_000]).unwrap();
        let frozen = mount.freeze();
        write_all(&engine, &file, &bytes[1_000_000..]).unwrap();
        let mark = file.sync().unwrap();
        std::thread::sleep(Duration::from_millis(50));
        assert!(file.progress().unwrap().durable < mark, "it is frozen");
        drop(frozen);
        let synced = EventKind::Synced { upto: mark };
        event(&engine, |event| event.kind == synced);
        assert!(
            fs::read(fixture.join("file")).unwrap() == bytes,
            "{fixture}"
        );
    });
}

/// How many kernel descriptors of this process are open on files of `mount`.
fn descriptors(mount: &Mount) -> usize {
    let device = mount.root().metadata().unwrap().dev();
    let open = fs::read_dir("/proc/self/fd").unwrap().flatten();
    open.filter_map(|entry| fs::metadata(entry.path()).ok())
        .filter(|file| file.is_file() && file.dev() == device)
        .count()
}

/// F12: a file that is closed while its write is in flight keeps its kernel descriptor until the
/// write is over. F13: a file that is dropped before its open came through is closed once it did.
#[test]
fn kernel_descriptors_close_after_the_last_completion() {
    each(|fixture, mount| {
        let engine = fixture.engine();
        let file = engine.open(fixture.join("file"), &create()).unwrap();
        event(&engine, |event| event.kind == EventKind::Opened);
        let before = descriptors(mount);
        assert!(before > 0);
        let frozen = mount.freeze();
        file.write(&pattern(1 << 20)).unwrap();
        let fd = file.fd();
        file.close().unwrap();
        let dropped = engine.open(fixture.join("dropped"), &create()).unwrap();
        drop(dropped);
        let refused = |error: io::Error| error.kind() == ErrorKind::WouldBlock;
        assert!(
            !engine.file(fd).read(&mut [0]).is_err_and(refused),
            "it is closed"
        );
        std::thread::sleep(Duration::from_millis(50));
        assert!(
            descriptors(mount) >= before,
            "{fixture}: closed under its write"
        );
        drop(frozen);
        assert_eq!(closed(&engine, fd), Ok(()));
        let deadline = Instant::now() + TIMEOUT;
        while descriptors(mount) > 0 {
            assert!(Instant::now() < deadline, "{fixture}: a descriptor leaked");
            std::thread::sleep(Duration::from_millis(1));
        }
        assert!(fs::read(fixture.join("file")).unwrap() == pattern(1 << 20));
        assert!(fixture.join("dropped").exists());
    });
}
