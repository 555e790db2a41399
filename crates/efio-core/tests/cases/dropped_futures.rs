//! F86: a future that is dropped before it is ready does nothing later.

use crate::common::{Dir, TIMEOUT};
use efio_core::{AsyncFile, Engine, OpenOptions};
use std::future::Future;
use std::path::Path;
use std::pin::pin;
use std::task::{Context, Waker};

fn new() -> OpenOptions {
    OpenOptions::new().write(true).create(true).truncate(true)
}

/// Polls once, then drops.
fn drop_pending<T>(future: impl Future<Output = T>) {
    let mut future = pin!(future);
    let polled = future
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()));
    drop(polled);
}

fn save(engine: &Engine, path: &Path, bytes: &[u8]) {
    let file = engine.open(path, &new().events(false)).unwrap();
    assert_eq!(file.write(bytes).unwrap(), bytes.len());
    file.blocking(TIMEOUT)
        .wait_synced(file.sync().unwrap())
        .unwrap();
    file.wait_closed(Some(TIMEOUT)).unwrap();
}

/// Opens that were dropped truncate nothing that is written and synced after them.
#[test]
fn a_dropped_open_truncates_nothing_later() {
    let dir = Dir::new();
    let path = dir.join("file");
    let bytes = [7; 30_000];
    let engine = Engine::new().unwrap();
    for round in 0..200 {
        for _ in 0..4 {
            drop_pending(AsyncFile::open(&engine, &path, &new()));
        }
        save(&engine, &path, &bytes);
        assert!(std::fs::read(&path).unwrap() == bytes, "round {round}");
    }
    assert!(engine.shutdown(TIMEOUT).unwrap().is_clean());
    assert!(std::fs::read(&path).unwrap() == bytes, "later");
}

/// A file that is not opened again keeps its contents if the open was cancelled in time: the engine
/// was in its callback and had not started it.
#[test]
fn an_open_that_is_cancelled_in_time_changes_nothing() {
    use std::sync::{Arc, Mutex, Weak};

    let dir = Dir::new();
    let (path, other) = (dir.join("file"), dir.join("other"));
    std::fs::write(&path, [7; 5000]).unwrap();
    let owner: Arc<Mutex<Weak<Engine>>> = Arc::default();
    let inside = Arc::clone(&owner);
    let target = path.clone();
    let callback = move |_| {
        // The engine's own thread: it starts none of these opens before this callback returns.
        if let Some(engine) = inside.lock().unwrap().upgrade() {
            drop_pending(AsyncFile::open(&engine, &target, &new()));
        }
    };
    let engine = Arc::new(Engine::builder().on_event(callback).start().unwrap());
    *owner.lock().unwrap() = Arc::downgrade(&engine);
    for _ in 0..20 {
        save(&engine, &other, b"x");
        drop(engine.open(&other, &new()).unwrap());
    }
    *owner.lock().unwrap() = Weak::new();
    let engine = Arc::into_inner(engine).expect("the callback is over");
    assert!(engine.shutdown(TIMEOUT).unwrap().is_clean());
    assert_eq!(std::fs::read(&path).unwrap(), [7; 5000]);
}
