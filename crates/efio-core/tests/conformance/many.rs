//! `EFIO_FILES` files at once, a thousand by default.

use crate::common::fixtures::{Fixture, both};
use crate::common::{TIMEOUT, readable, ready, skip, write_all};
use efio_core::{Engine, EventKind, File};
use std::time::{Duration, Instant};

/// All are open, each holds what was written to it, and none is left at the end.
pub fn many_files_are_open_at_once(fixture: &Fixture) {
    let count = allowed();
    let engine = fixture.engine();
    let content = |number: usize| format!("file {number}, {}", number * 7).into_bytes();
    let files: Vec<File> = (0..count)
        .map(|number| {
            engine
                .open(fixture.join(&number.to_string()), &both())
                .unwrap()
        })
        .collect();
    wait(&engine, count, |kind| match kind {
        EventKind::Opened => true,
        EventKind::Failed(failure) => panic!("{failure:?}"),
        _ => false,
    });
    assert!(files.iter().all(|file| file.open_status().unwrap()));
    for (number, file) in files.iter().enumerate() {
        write_all(&engine, file, &content(number)).unwrap();
    }
    // F39: far more reads at a time than a ring has entries.
    for file in &files {
        file.set_position(0).unwrap();
        let _ = file.read(&mut [0; 9]);
    }
    for (number, file) in files.iter().enumerate() {
        file.set_position(0).unwrap();
        let buffer = std::cell::RefCell::new([0; 99]);
        let n = ready(&engine, file.fd(), || file.read(&mut *buffer.borrow_mut())).unwrap();
        assert_eq!(buffer.borrow()[..n], content(number), "file {number}");
    }
    assert_eq!(
        descriptors(fixture),
        count,
        "one kernel descriptor for each"
    );
    drop(files);
    wait(&engine, count, |kind| match kind {
        EventKind::Closed { result } => {
            assert_eq!(*result, Ok(()));
            true
        }
        _ => false,
    });
    assert!(engine.shutdown(TIMEOUT).unwrap().is_clean());
    for number in (0..count).step_by(97) {
        let path = fixture.join(&number.to_string());
        assert_eq!(std::fs::read(path).unwrap(), content(number));
    }
}

/// Takes events until `count` of them are `wanted`.
fn wait(engine: &Engine, count: usize, wanted: impl Fn(&EventKind) -> bool) {
    let deadline = Instant::now() + TIMEOUT;
    let mut seen = 0;
    while seen < count {
        assert!(Instant::now() < deadline, "{seen} of {count}");
        readable(engine, Duration::from_secs(1));
        seen += engine
            .events()
            .drain()
            .filter(|event| wanted(&event.kind))
            .count();
    }
}

/// The descriptors of this process that are open on files of the fixture.
fn descriptors(fixture: &Fixture) -> usize {
    let open = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
    let links = open.filter_map(|entry| std::fs::read_link(entry.path()).ok());
    let of_the_bed = std::fs::canonicalize(fixture.join(".")).unwrap();
    // New files share one on their directory until their names are durable.
    links
        .filter(|link| link.starts_with(&of_the_bed) && *link != of_the_bed)
        .count()
}

/// How many, or what this process may have: a file takes one descriptor of the kernel's, whatever
/// its mode.
fn allowed() -> usize {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: room for the answer.
    unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) };
    limit.rlim_cur = limit.rlim_max;
    // SAFETY: raises the soft limit to the hard one, which anyone may do.
    unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) };
    let most = (limit.rlim_cur as usize).saturating_sub(500);
    let wanted = std::env::var("EFIO_FILES").map_or(1000, |value| value.parse().unwrap());
    if most < wanted {
        let descriptors = limit.rlim_cur;
        skip(&format!(
            "more than {most} files, for RLIMIT_NOFILE is {descriptors}"
        ));
    }
    most.min(wanted)
}
