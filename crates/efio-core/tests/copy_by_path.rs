//! `efio_core::copy`: whole files, the progress that is told, and everything that can go wrong.

mod common;

use common::mount;
use common::{Dir, errno, pattern};
use efio_core::{Engine, IoMode, copy};
use std::io::ErrorKind;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::sync::mpsc::channel;

fn engine(mode: IoMode) -> Engine {
    let builder = Engine::builder().memory_budget(4 << 20);
    builder.io_mode(mode).start().unwrap()
}

#[test]
fn a_copy_is_identical_and_tells_how_far_it_is() {
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
            let mut told = Vec::new();
            let copied = copy(&engine, &from, &to, |done, all| told.push((done, all))).unwrap();
            let len = len as u64;
            assert_eq!(copied, len, "{mode:?}");
            assert!(
                std::fs::read(&to).unwrap() == bytes,
                "{mode:?}, {len} bytes"
            );
            assert!(told.iter().all(|&(_, all)| all == len));
            assert!(told.is_sorted_by(|a, b| a.0 < b.0), "{told:?}");
            assert_eq!((told[0], told[told.len() - 1]), ((0, len), (len, len)));
        }
        // Nobody has to take events for it.
        assert_eq!(engine.events().next(), None);
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
    let try_copy = |from: &std::path::Path, to: &std::path::Path| {
        copy(&engine, from, to, |_, _| {
            panic!("there is nothing to tell of")
        })
    };
    assert_eq!(errno(try_copy(&dir.join("absent"), &to)), libc::ENOENT);
    assert!(!to.exists(), "the target is not touched");
    assert_eq!(errno(try_copy(&from, &dir.join("absent/to"))), libc::ENOENT);
    assert_eq!(errno(try_copy(dir.path(), &to)), libc::EISDIR);
    assert_eq!(errno(try_copy(&from, dir.path())), libc::EISDIR);
    for itself in [&from, &alias] {
        let error = try_copy(&from, itself).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    }
    assert!(std::fs::read(&from).unwrap() == bytes);
    // The engine goes on.
    assert_eq!(copy(&engine, &from, &to, |_, _| {}).unwrap(), 100_000);
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

/// There the thread is the engine's own: it would wait for itself.
#[test]
fn a_callback_cannot_wait_for_a_copy() {
    let dir = Dir::new();
    std::fs::write(dir.join("from"), "x").unwrap();
    let (news, heard) = channel();
    let (from, to) = (dir.join("from"), dir.join("to"));
    let (give, take) = channel::<std::sync::Weak<Engine>>();
    let engine = Engine::builder().on_event({
        let take = std::sync::Mutex::new(take);
        move |_| {
            if let Ok(engine) = take.lock().unwrap().try_recv() {
                let engine = engine.upgrade().unwrap();
                news.send(copy(&engine, &from, &to, |_, _| {})).unwrap();
            }
        }
    });
    let engine = std::sync::Arc::new(engine.start().unwrap());
    give.send(std::sync::Arc::downgrade(&engine)).unwrap();
    let options = efio_core::OpenOptions::new().read(true);
    let _file = engine.open(dir.join("from"), &options).unwrap();
    let result = heard.recv_timeout(common::PATIENCE).unwrap();
    assert_eq!(errno(result), libc::EDEADLK);
}
