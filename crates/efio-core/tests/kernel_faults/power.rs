//! F34, F35: the power goes. `FS_IOC_SHUTDOWN` stops a file system at once, with its journal as it
//! is on the device; the next mount recovers from there, as after a power cut of a disk that keeps
//! what it was sent.

use crate::common::fixtures::{Fixture, MODES, backends, create};
use crate::common::mount::{Kind, Mount};
use crate::common::{TIMEOUT, event, pattern, readable, write_all};
use efio_core::{BackendKind, EventKind, IoMode};
use std::io::ErrorKind;
use std::os::fd::AsRawFd;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// `_IOR('X', 125, __u32)` of `<linux/fs.h>`.
const FS_IOC_SHUTDOWN: libc::c_ulong = 0x8004_587d;
/// Without writing the log out first.
const NO_LOG_FLUSH: u32 = 2;

const OLD: usize = 3_000_000;

/// What is true of the file before the cut.
struct Before {
    /// The mark of the last `Synced` event before the cut.
    durable: usize,
    accepted: usize,
}

/// What the new file is written with.
fn bytes() -> &'static [u8] {
    static BYTES: OnceLock<Vec<u8>> = OnceLock::new();
    BYTES.get_or_init(|| pattern(32 << 20))
}

#[test]
fn what_was_synced_survives_a_power_cut() {
    for kind in [Kind::Ext4, Kind::Xfs] {
        let Some(mut mount) = Mount::new(kind, 400 << 20) else {
            continue;
        };
        for &backend in backends() {
            for mode in MODES {
                for round in 0..2 {
                    cut(&mut mount, kind, backend, mode, round);
                }
            }
        }
    }
}

/// One cut at a random moment, and the look afterwards.
fn cut(mount: &mut Mount, kind: Kind, backend: BackendKind, mode: IoMode, round: u64) {
    let fixture = Fixture::new(kind.name(), backend, mode, mount.join(""));
    std::fs::write(fixture.join("old"), pattern(OLD)).unwrap();
    sync_all(mount);
    let Before { durable, accepted } = write_until_the_cut(&fixture, mount, round);

    let dir = fixture.join("");
    let below = dir.strip_prefix(mount.join("")).unwrap().to_owned();
    mount.unmount();
    mount.mount().unwrap();
    let read = |name| std::fs::read(mount.join("").join(&below).join(name));
    let there = read("new").unwrap_or_else(|error| panic!("F35, the name is gone: {error}"));
    assert!(there.len() >= durable, "{} of {durable}", there.len());
    assert!(there.len() <= accepted, "{} of {accepted}", there.len());
    assert!(
        there[..durable] == bytes()[..durable],
        "synced bytes differ"
    );
    // Of what was not synced a byte is the one that was written, or was never written.
    let odd = (durable..there.len()).find(|&at| there[at] != bytes()[at] && there[at] != 0);
    assert_eq!(odd, None, "a byte that was never written");
    assert!(read("old").unwrap() == pattern(OLD), "another file differs");
    std::fs::remove_dir_all(mount.join("").join(&below)).unwrap();
}

/// All that the file system has goes to its device.
fn sync_all(mount: &Mount) {
    // SAFETY: an open descriptor.
    assert_eq!(unsafe { libc::syncfs(mount.root().as_raw_fd()) }, 0);
}

/// Writes and syncs until the power goes, and checks that efio does not report that as a success.
fn write_until_the_cut(fixture: &Fixture, mount: &Mount, round: u64) -> Before {
    let interval = Duration::from_millis(5);
    let engine = fixture.builder().flush_interval(interval).start().unwrap();
    let file = engine.open(fixture.join("new"), &create()).unwrap();
    // F35: at least one sync, of the name and the first bytes.
    write_all(&engine, &file, &bytes()[..10_001]).unwrap();
    let mark = file.sync().unwrap();
    let synced = EventKind::Synced { upto: mark };
    event(&engine, |event| event.kind == synced);
    let mut durable = mark as usize;
    let mut accepted = durable;
    let cutting = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut random = fastrand::Rng::with_seed(round + fixture.mode as u64 * 7);
            std::thread::sleep(Duration::from_micros(random.u64(..30_000)));
            cutting.store(true, Ordering::SeqCst);
            mount.ioctl(FS_IOC_SHUTDOWN, NO_LOG_FLUSH).unwrap();
        });
        let mut random = fastrand::Rng::with_seed(round);
        let deadline = Instant::now() + TIMEOUT;
        let error = loop {
            assert!(Instant::now() < deadline, "no write fails");
            let rest = &bytes()[accepted..];
            let step = &rest[..random.usize(1..60_000).min(rest.len())];
            let asked = if step.is_empty() || random.u8(..3) == 0 {
                file.sync().map(|_| 0)
            } else {
                file.write(step)
            };
            match asked {
                Ok(n) => accepted += n,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    readable(&engine, Duration::from_secs(1));
                }
                Err(error) => break error,
            }
            let synced = engine
                .events()
                .drain()
                .filter_map(|event| match event.kind {
                    EventKind::Synced { upto } => Some(upto as usize),
                    _ => None,
                });
            let durable_before = synced.max().unwrap_or(durable);
            // While it shuts down, ext4 lets an fdatasync succeed that comes too late (a program of
            // two threads and no efio shows the same). In a real power
            // cut no caller is left to see that.
            if !cutting.load(Ordering::SeqCst) {
                durable = durable_before;
            }
        };
        // ext4 calls itself read-only when it was in the middle of a transaction.
        let errno = error.raw_os_error().unwrap();
        assert!([libc::EIO, libc::EROFS].contains(&errno), "{error}");
    });
    drop(file);
    assert!(engine.shutdown(TIMEOUT).unwrap().is_clean());
    Before { durable, accepted }
}
