//! `efio_core::copy`: whole files, the progress that is reported, and everything that can go wrong.

mod common;

use common::mount;
use common::{Dir, PORTABLE, pattern, skip};
use efio_core::transfer::CopyError;
use efio_core::{Engine, IoMode, copy};
use std::io::ErrorKind;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::sync::mpsc::channel;

fn engine(mode: IoMode) -> Engine {
    let builder = Engine::builder().memory_budget(4 << 20);
    builder.io_mode(mode).start().unwrap()
}

/// The errno, and the path that it is about.
fn errno(result: Result<u64, CopyError>) -> i32 {
    let error = result.expect_err("it fails");
    let message = error.to_string();
    assert!(
        message.starts_with(&*error.path().to_string_lossy()),
        "{message}"
    );
    error.io_error().raw_os_error().expect("of the kernel")
}

fn path_of(result: Result<u64, CopyError>) -> std::path::PathBuf {
    result.expect_err("it fails").path().to_owned()
}

#[test]
fn a_copy_is_identical_and_reports_its_progress() {
    let dir = Dir::new();
    let (from, to) = (dir.join("from"), dir.join("to"));
    for mode in [
        IoMode::Direct,
        IoMode::Uncached,
        IoMode::Cached,
        IoMode::Auto,
    ] {
        let engine = engine(mode);
        for len in [0, 1, 4096, 4097, (1 << 20) - 1, 30_000_001] {
            let bytes = pattern(len);
            std::fs::write(&from, &bytes).unwrap();
            // Longer than the copy: what it held is gone.
            std::fs::write(&to, pattern(len + 5000)).unwrap();
            let mut progress = Vec::new();
            let copied = copy(&engine, &from, &to, |done, all| progress.push((done, all))).unwrap();
            let len = len as u64;
            assert_eq!(copied, len, "{mode:?}");
            assert!(
                std::fs::read(&to).unwrap() == bytes,
                "{mode:?}, {len} bytes"
            );
            assert!(progress.iter().all(|&(_, all)| all == len));
            assert!(progress.is_sorted_by(|a, b| a.0 < b.0), "{progress:?}");
            assert_eq!(
                (progress[0], progress[progress.len() - 1]),
                ((0, len), (len, len))
            );
        }
        // No event has to be taken for it.
        assert_eq!(engine.events().try_next(), None);
    }
}

#[test]
fn a_new_file_gets_the_permissions() {
    let dir = Dir::new();
    let (from, to) = (dir.join("from"), dir.join("to"));
    std::fs::write(&from, "x").unwrap();
    std::fs::set_permissions(&from, PermissionsExt::from_mode(0o700)).unwrap();
    copy(&engine(IoMode::Auto), &from, &to, |_, _| {}).unwrap();
    assert_eq!(to.metadata().unwrap().permissions().mode() & 0o777, 0o700);
}

#[test]
fn an_error_is_that_of_the_kernel_and_the_source_stays() {
    let dir = Dir::new();
    let (from, to, alias) = (dir.join("from"), dir.join("to"), dir.join("alias"));
    let bytes = pattern(100_000);
    std::fs::write(&from, &bytes).unwrap();
    symlink(&from, &alias).unwrap();
    let engine = engine(IoMode::Auto);
    let try_copy = |from: &Path, to: &Path| {
        copy(&engine, from, to, |_, _| {
            panic!("there is no progress to report")
        })
    };
    assert_eq!(errno(try_copy(&dir.join("absent"), &to)), libc::ENOENT);
    assert!(!to.exists(), "the target is not touched");
    assert_eq!(errno(try_copy(&from, &dir.join("absent/to"))), libc::ENOENT);
    assert_eq!(errno(try_copy(dir.path(), &to)), libc::EISDIR);
    assert_eq!(errno(try_copy(&from, dir.path())), libc::EISDIR);
    let absent = dir.join("absent");
    assert_eq!(path_of(try_copy(&absent, &to)), absent);
    assert_eq!(
        path_of(try_copy(&from, &absent.join("to"))),
        absent.join("to")
    );
    assert_eq!(path_of(try_copy(&from, dir.path())), dir.path());
    for itself in [&from, &alias] {
        let error = try_copy(&from, itself).unwrap_err();
        assert_eq!(error.io_error().kind(), ErrorKind::InvalidInput);
        assert_eq!(std::io::Error::from(error).kind(), ErrorKind::InvalidInput);
    }
    assert!(std::fs::read(&from).unwrap() == bytes);
    // The engine goes on.
    assert_eq!(copy(&engine, &from, &to, |_, _| {}).unwrap(), 100_000);
}

/// Holes at the start, in the middle and at the end stay holes; a file of nothing else, too.
#[test]
fn holes_are_copied_as_holes() {
    if PORTABLE {
        return skip("holes are found on Linux only");
    }
    const MIB: u64 = 1 << 20;
    let dir = Dir::new();
    let (from, to) = (dir.join("from"), dir.join("to"));
    for data in [&[][..], &[0], &[7], &[3, 4, 20], &[0, 63]] {
        let file = std::fs::File::create(&from).unwrap();
        file.set_len(64 * MIB).unwrap();
        for &at in data {
            file.write_all_at(&pattern(100_000), at * MIB + 4096 * at)
                .unwrap();
        }
        file.sync_all().unwrap();
        let sparse = from.metadata().unwrap().blocks();
        let engine = engine(IoMode::Auto);
        let mut progress = Vec::new();
        let len = copy(&engine, &from, &to, |done, _| progress.push(done)).unwrap();
        assert_eq!(len, from.metadata().unwrap().len());
        assert!(progress.is_sorted_by(|a, b| a < b), "{progress:?}");
        assert_eq!(progress.last(), Some(&len));
        assert!(std::fs::read(&to).unwrap() == std::fs::read(&from).unwrap());
        // In units of 512 bytes; what is left of a block of data is not a hole.
        let taken = to.metadata().unwrap().blocks();
        assert!(taken <= sparse + 2048, "{taken} of {sparse}: {data:?}");
    }
}

/// Files whose size does not match their contents.
#[test]
fn files_of_proc_and_sys_are_copied() {
    let dir = Dir::new();
    for from in [
        "/proc/version",
        "/proc/filesystems",
        "/sys/kernel/mm/transparent_hugepage/enabled",
    ] {
        let Ok(expected) = std::fs::read(from) else {
            skip(&format!("there is no {from}"));
            continue;
        };
        let len = copy(&engine(IoMode::Auto), from, dir.join("to"), |_, _| {}).unwrap();
        assert_eq!(len, expected.len() as u64, "{from}");
        assert!(std::fs::read(dir.join("to")).unwrap() == expected, "{from}");
    }
}

#[test]
fn a_full_disk_ends_the_copy() {
    let Some(disk) = mount::memory(1 << 20) else {
        return;
    };
    let dir = Dir::new();
    std::fs::write(dir.join("from"), pattern(9 << 20)).unwrap();
    let engine = engine(IoMode::Auto);
    let result = copy(&engine, dir.join("from"), disk.join("to"), |_, _| {});
    assert_eq!(errno(result), libc::ENOSPC);
    std::fs::write(dir.join("from"), "little").unwrap();
    assert_eq!(
        copy(&engine, dir.join("from"), disk.join("to"), |_, _| {}).unwrap(),
        6
    );
}

/// A callback runs on the engine's own thread, which would wait for itself.
#[test]
fn a_callback_cannot_wait_for_a_copy() {
    let dir = Dir::new();
    std::fs::write(dir.join("from"), "x").unwrap();
    let (sender, receiver) = channel();
    let (from, to) = (dir.join("from"), dir.join("to"));
    let (give, take) = channel::<std::sync::Weak<Engine>>();
    let engine = Engine::builder().on_event({
        let take = std::sync::Mutex::new(take);
        move |_| {
            if let Ok(engine) = take.lock().unwrap().try_recv() {
                let engine = engine.upgrade().unwrap();
                sender.send(copy(&engine, &from, &to, |_, _| {})).unwrap();
            }
        }
    });
    let engine = std::sync::Arc::new(engine.start().unwrap());
    give.send(std::sync::Arc::downgrade(&engine)).unwrap();
    let options = efio_core::OpenOptions::new().read(true);
    let _file = engine.open(dir.join("from"), &options).unwrap();
    let result = receiver.recv_timeout(common::TIMEOUT).unwrap();
    assert_eq!(errno(result), libc::EDEADLK);
}
