//! No room: a full file system, a quota, a limit on the size of files.

use crate::common::child::{child_arg, limit, run_in_child};
use crate::common::fixtures::{Fixture, MODES, backends, create};
use crate::common::mount::{Kind, Mount, run};
use crate::common::{Dir, TIMEOUT, closed, errno, event, pattern, skip, write_all};
use efio_core::{EventKind, Failure};
use std::process::Command;

/// Writes more than there is room for: the file fails with `expected`, holds an exact prefix up to
/// the offset that the failure names, and every later call returns the same error. Returns that
/// offset.
fn runs_out(fixture: &Fixture, len: usize, expected: i32) -> u64 {
    let engine = fixture.engine();
    let path = fixture.join("file");
    let file = engine.open(&path, &create()).unwrap();
    let bytes = pattern(len);
    // The failure may come while there is still something to accept.
    let _ = write_all(&engine, &file, &bytes).map_err(|error| {
        assert_eq!(error.raw_os_error(), Some(expected), "{fixture}");
    });
    let failure = match file.failure().unwrap() {
        Some(failure) => failure,
        None => failed(&engine),
    };
    assert_eq!(failure.errno.0, expected, "{fixture}");
    let there = std::fs::read(&path).unwrap();
    assert_eq!(
        failure.offset,
        there.len() as u64,
        "{fixture}: the lost offset"
    );
    assert!(there == bytes[..there.len()], "{fixture}: not a prefix");
    assert_eq!(file.progress().unwrap().written, failure.offset);
    assert_eq!(errno(file.write(b"more")), expected);
    assert_eq!(errno(file.sync()), expected);
    let fd = file.fd();
    assert_eq!(errno(file.close()), expected);
    assert_eq!(closed(&engine, fd), Err(failure.errno));
    assert!(engine.shutdown(TIMEOUT).unwrap().is_clean());
    failure.offset
}

fn failed(engine: &efio_core::Engine) -> Failure {
    let event = event(engine, |event| matches!(event.kind, EventKind::Failed(_)));
    let EventKind::Failed(failure) = event.kind else {
        unreachable!()
    };
    failure
}

/// Every backend and mode in the root of `mount`.
fn each(fs: &'static str, mount: &Mount, check: impl Fn(&Fixture)) {
    for &backend in backends() {
        for mode in MODES {
            check(&Fixture::new(fs, backend, mode, mount.join("")));
        }
    }
}

/// F21: a file system with room for 6 MiB.
#[test]
fn a_full_file_system_fails_the_file() {
    for (kind, bytes) in [
        (Kind::Ext4, 24 << 20),
        (Kind::Xfs, 320 << 20),
        (Kind::Btrfs, 128 << 20),
    ] {
        let Some(mount) = Mount::new(kind, bytes) else {
            continue;
        };
        fill(&mount, 6 << 20);
        each(kind.name(), &mount, |fixture| {
            let lost = runs_out(fixture, 16 << 20, libc::ENOSPC);
            assert!(lost > 1 << 20, "{fixture}: {lost} of some 6 MiB");
        });
    }
}

/// Takes all room of a file system but `left` bytes.
fn fill(mount: &Mount, left: u64) {
    let size = mount.free().saturating_sub(left);
    let name = mount.join("ballast");
    let ballast = std::fs::File::create(&name).unwrap();
    run(Command::new("fallocate")
        .args(["-l", &size.to_string()])
        .arg(&name))
    .unwrap();
    ballast.sync_all().unwrap();
}

/// F22: a quota on a subvolume of btrfs.
#[test]
fn a_quota_fails_the_file() {
    let Some(mount) = Mount::new(Kind::Btrfs, 512 << 20) else {
        return;
    };
    let subvolume = mount.join("limited");
    let btrfs = |args: &[&str]| run(Command::new("btrfs").args(args).arg(&subvolume));
    let made = btrfs(&["subvolume", "create"])
        .and_then(|()| {
            run(Command::new("btrfs")
                .args(["quota", "enable"])
                .arg(mount.join("")))
        })
        .and_then(|()| btrfs(&["qgroup", "limit", "8M"]));
    if let Err(why) = made {
        return skip(&format!("a quota: {why}"));
    }
    for &backend in backends() {
        for mode in MODES {
            let fixture = Fixture::new("btrfs", backend, mode, subvolume.clone());
            let lost = runs_out(&fixture, 16 << 20, libc::EDQUOT);
            assert!(lost > 1 << 20, "{fixture}: {lost} of 8 MiB");
            drop(fixture);
            // What was removed counts until the transaction is over.
            run(Command::new("btrfs")
                .args(["filesystem", "sync"])
                .arg(&subvolume))
            .unwrap();
        }
    }
}

/// F22, F44: the limit of the process is an error, and not the signal that kills.
#[test]
fn the_file_size_limit_is_the_same_error_everywhere() {
    const LIMIT: u64 = 3_000_001;
    if child_arg().is_none() {
        return run_in_child(
            "space::the_file_size_limit_is_the_same_error_everywhere",
            "",
        );
    }
    limit(libc::RLIMIT_FSIZE as i32, LIMIT);
    let dir = Dir::new();
    for &backend in backends() {
        for mode in MODES {
            let fixture = Fixture::new("disk", backend, mode, dir.path().to_owned());
            assert_eq!(
                runs_out(&fixture, 5_000_000, libc::EFBIG),
                LIMIT,
                "{fixture}"
            );
        }
    }
}
