//! F66: `Duration::MAX` means no timeout wherever a duration is taken.

use crate::common::{Dir, TIMEOUT};
use efio_core::log::{LogOptions, WhenBehind};
use efio_core::{BackendKind, Engine, OpenOptions};
use std::io::Write;
use std::time::Duration;

const FOR_EVER: Duration = Duration::MAX;

fn engines(with: impl Fn(efio_core::Builder) -> efio_core::Builder, act: impl Fn(Engine, &Dir)) {
    for backend in [BackendKind::Uring, BackendKind::Pool] {
        match with(Engine::builder().backend(backend)).start() {
            Ok(engine) => act(engine, &Dir::new()),
            Err(error) => crate::common::skip(&format!("{backend:?}: {error}")),
        }
    }
}

fn writing() -> OpenOptions {
    OpenOptions::new().write(true).create(true)
}

#[test]
fn an_interval_of_an_engine_never_ends() {
    let builder = |builder: efio_core::Builder| builder.flush_interval(FOR_EVER);
    engines(builder, |engine, dir| {
        let file = engine.open(dir.join("file"), &writing()).unwrap();
        file.blocking(None).wait_open().unwrap();
        file.write(b"accepted").unwrap();
        // The driver has seen the bytes once it has answered with a size.
        assert_eq!(file.blocking(TIMEOUT).len().unwrap(), 8);
        file.write(b", too").unwrap();
        file.wait_closed(Some(TIMEOUT)).unwrap();
        assert_eq!(std::fs::read(dir.join("file")).unwrap(), b"accepted, too");
    });
}

#[test]
fn waits_and_the_shutdown_have_time() {
    let builder = |builder: efio_core::Builder| builder.drop_deadline(FOR_EVER);
    engines(builder, |engine, dir| {
        let file = engine.open(dir.join("file"), &writing()).unwrap();
        file.blocking(FOR_EVER).wait_open().unwrap();
        file.write(b"bytes").unwrap();
        file.blocking(FOR_EVER).flush().unwrap();
        let mark = file.sync().unwrap();
        file.blocking(FOR_EVER).wait_synced(mark).unwrap();
        file.wait_closed(Some(FOR_EVER)).unwrap();
        let file = engine.open(dir.join("other"), &writing()).unwrap();
        file.write(b"bytes").unwrap();
        assert!(engine.shutdown(FOR_EVER).unwrap().is_clean());
        assert_eq!(std::fs::read(dir.join("other")).unwrap(), b"bytes");
    });
}

#[test]
fn every_time_of_a_log() {
    let dir = Dir::new();
    let options = LogOptions::new().memory(2 << 20);
    let options = options.flush_interval(FOR_EVER);
    let options = options.when_behind(WhenBehind::Block(FOR_EVER));
    let (log, guard) = options.open(dir.join("log")).unwrap();
    for _ in 0..100 {
        (&log).write_all(&[b'x'; 100_000]).unwrap();
    }
    let report = guard.close(FOR_EVER).unwrap();
    assert_eq!((report.lines, report.dropped_lines), (100, 0));
}
