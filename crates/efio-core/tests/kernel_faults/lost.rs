//! F30: the kernel loses bytes that it took, says so to one fsync, and to the next that all is
//! well.

use crate::common::fixtures::{Fixture, backends, create};
use crate::common::mount::{Kind, Mount, memory};
use crate::common::{Dir, TIMEOUT, closed, errno, event, pattern, write_all};
use efio_core::{EventKind, IoMode};

/// A loop device over a tmpfs that has no room for it: what the page cache took cannot be written
/// back. efio reports it to the sync, to every later one, and to the close.
#[test]
fn a_sync_that_failed_once_fails_for_ever() {
    for &backend in backends() {
        for mode in [IoMode::Cached, IoMode::Uncached] {
            let Some(small) = memory(3 << 20) else { return };
            let image = small.join("image");
            let Some(mount) = Mount::over(Kind::Ext4, 64 << 20, image, Dir::new()) else {
                return;
            };
            let fixture = Fixture::new("ext4", backend, mode, mount.join(""));
            sync_fails_for_ever(&fixture);
        }
    }
}

fn sync_fails_for_ever(fixture: &Fixture) {
    let engine = fixture.engine();
    let path = fixture.join("file");
    let file = engine.open(&path, &create()).unwrap();
    write_all(&engine, &file, &pattern(8 << 20)).unwrap();
    let mark = file.sync();
    let failed = event(&engine, |event| {
        assert!(
            !matches!(event.kind, EventKind::Synced { .. }),
            "{fixture}: {event:?}"
        );
        matches!(event.kind, EventKind::Failed(_))
    });
    let EventKind::Failed(failure) = failed.kind else {
        unreachable!()
    };
    assert!(mark.is_err() || [libc::EIO, libc::ENOSPC].contains(&failure.errno.0));
    // The kernel has cleared its error by now: a plain fsync would succeed.
    let kernel = || {
        let file = std::fs::OpenOptions::new().write(true).open(&path)?;
        file.sync_data()
    };
    let forgot = (0..4).any(|_| kernel().is_ok());
    assert!(
        forgot,
        "{fixture}: the kernel kept its error, and this shows nothing"
    );
    for _ in 0..3 {
        assert_eq!(errno(file.sync()), failure.errno.0, "{fixture}");
    }
    assert_eq!(errno(file.write(b"more")), failure.errno.0);
    assert_eq!(file.progress().unwrap().durable, 0);
    let fd = file.fd();
    assert_eq!(errno(file.close_sync()), failure.errno.0);
    assert_eq!(closed(&engine, fd), Err(failure.errno));
    assert!(engine.shutdown(TIMEOUT).unwrap().is_clean());
}
