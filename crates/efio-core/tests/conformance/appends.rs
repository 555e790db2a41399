//! F29: two processes append to one file, each through an engine of its own.

use crate::common::child::{child_arg, child_command};
use crate::common::fixtures::{Fixture, reading};
use crate::common::{closed, read_all, write_all};
use efio_core::{BackendKind, Engine, IoMode, OpenOptions};
use std::path::Path;
use std::process::Stdio;

const LINES: usize = 1500;

/// No line is lost, torn or overwritten, and each writer's lines keep their order.
pub fn two_processes_append(fixture: &Fixture) {
    let path = fixture.join("log");
    let what = format!(
        "{}\n{:?}\n{:?}",
        path.display(),
        fixture.backend,
        fixture.mode
    );
    let child = child_command("two_processes_append", &what)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    append(&fixture.engine(), &path, "parent");
    assert!(child.wait_with_output().unwrap().status.success());

    let engine = fixture.engine();
    let file = engine.open(&path, &reading()).unwrap();
    let text = String::from_utf8(read_all(&engine, &file, 9999).unwrap()).unwrap();
    assert_eq!(text.lines().count(), 2 * LINES);
    for who in ["parent", "child"] {
        let lines: Vec<_> = text.lines().filter(|line| line.starts_with(who)).collect();
        let expected: Vec<_> = (0..LINES).map(|number| line(who, number)).collect();
        assert!(lines == expected, "lines of the {who} are lost or torn");
    }
}

/// Runs the other process, if this is it.
pub fn run_if_child() {
    let Some(what) = child_arg() else { return };
    let mut what = what.lines();
    let path = what.next().unwrap();
    let backend = match what.next() {
        Some("Uring") => BackendKind::Uring,
        _ => BackendKind::Pool,
    };
    let mode = match what.next() {
        Some("Direct") => IoMode::Direct,
        Some("Uncached") => IoMode::Uncached,
        Some("Cached") => IoMode::Cached,
        _ => IoMode::Auto,
    };
    let engine = Engine::builder().backend(backend).io_mode(mode).start();
    append(&engine.unwrap(), Path::new(path), "child");
    std::process::exit(0);
}

fn append(engine: &Engine, path: &Path, who: &str) {
    let options = OpenOptions::new().append(true).create(true);
    let file = engine.open(path, &options).unwrap();
    for number in 0..LINES {
        let line = line(who, number) + "\n";
        write_all(engine, &file, line.as_bytes()).unwrap();
        if number % 50 == 0 {
            // So that many writes of the two meet.
            file.sync().unwrap();
        }
    }
    let fd = file.fd();
    file.close().unwrap();
    assert_eq!(closed(engine, fd), Ok(()));
}

/// Lines of 20 to 200 bytes.
fn line(who: &str, number: usize) -> String {
    format!("{who} {number} {}", "x".repeat(number * 7 % 180))
}
