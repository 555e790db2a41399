//! The events of the `tracing` feature.

mod common;

use common::{Dir, closed, event};
use efio_core::{Engine, EventKind, OpenOptions};
use std::fmt::{Debug, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

/// Keeps each event as a line: level, message, fields.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let _ = match field.name() {
            "message" => write!(self.0, " {value:?}"),
            name => write!(self.0, " {name}={value:?}"),
        };
    }
}

impl Subscriber for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "efio" && *metadata.level() <= Level::DEBUG
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(event.metadata().level().to_string());
        event.record(&mut line);
        self.0.lock().unwrap().push(line.0);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// One engine, one file that is used, one that does not exist: each step leaves its line.
#[test]
fn the_life_of_an_engine_is_traced() {
    let lines = Lines::default();
    tracing::subscriber::set_global_default(lines.clone()).unwrap();
    let dir = Dir::new();
    let engine = Engine::new().unwrap();
    let options = OpenOptions::new().write(true).create(true);
    let file = engine.open(dir.join("there"), &options).unwrap();
    file.write(b"bytes").unwrap();
    let fd = file.fd();
    file.close().unwrap();
    closed(&engine, fd).unwrap();
    let missing = engine
        .open(dir.join("missing"), &OpenOptions::new().read(true))
        .unwrap();
    event(&engine, |event| matches!(event.kind, EventKind::Failed(_)));
    drop(missing);
    engine.shutdown(Duration::from_secs(10)).unwrap();

    let lines = lines.0.lock().unwrap();
    let one = |parts: &[&str]| {
        let fits = |line: &&String| parts.iter().all(|part| line.contains(part));
        let count = lines.iter().filter(fits).count();
        assert_eq!(count, 1, "{parts:?} in {lines:#?}");
    };
    one(&["INFO", "backend", "kind=", "reason="]);
    one(&["DEBUG", "opening", "fd=Fd(0#1)", "there", "mode=Auto"]);
    one(&["DEBUG", "opened", "fd=Fd(0#1)", "size=0"]);
    one(&["DEBUG", "closed", "fd=Fd(0#1)", "error=None"]);
    one(&["ERROR", "failed", "No such file", "offset=0"]);
    one(&["INFO", "shut down", "unfinished=0"]);
}
