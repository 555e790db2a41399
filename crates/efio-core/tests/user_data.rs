//! The number that a program gave a file comes back in each of its events, from the queue and to a
//! callback.

mod common;

use common::{Dir, TIMEOUT, event};
use efio_core::{Engine, Event, EventKind, Fd, OpenOptions};
use std::mem::{Discriminant, discriminant};
use std::sync::mpsc::channel;

const MINE: u64 = u64::MAX - 7;

/// Brings about each kind of event, and takes them by `next`.
fn check(engine: &Engine, mut next: impl FnMut(Fd) -> Event) {
    let dir = Dir::new();
    let mut seen: Vec<Discriminant<EventKind>> = Vec::new();
    let mut expect = |fd: Fd, user_data: u64, wanted: &dyn Fn(&EventKind) -> bool| {
        loop {
            let event = next(fd);
            assert_eq!(event.user_data, user_data, "{event:?}");
            let kind = discriminant(&event.kind);
            if !seen.contains(&kind) {
                seen.push(kind);
            }
            if wanted(&event.kind) {
                return;
            }
        }
    };
    let create = OpenOptions::new().read(true).write(true).create(true);

    let file = engine
        .open(dir.join("file"), &create.clone().user_data(MINE))
        .unwrap();
    let fd = file.fd();
    expect(fd, MINE, &|kind| matches!(kind, EventKind::Opened));
    // More than the file's share: the call after it would block.
    let bytes = vec![7; 1 << 20];
    while file.write(&bytes).is_ok() {}
    expect(fd, MINE, &|kind| matches!(kind, EventKind::Writable));
    file.sync().unwrap();
    expect(fd, MINE, &|kind| matches!(kind, EventKind::Synced { .. }));
    file.set_position(0).unwrap();
    if file.read(&mut [0]).is_err() {
        expect(fd, MINE, &|kind| matches!(kind, EventKind::Readable));
    }
    file.read_at(0, engine.buffer(4096).unwrap(), 1).unwrap();
    expect(fd, MINE, &|kind| matches!(kind, EventKind::Completed(_)));
    file.set_len(10).unwrap();
    expect(fd, MINE, &|kind| {
        matches!(kind, EventKind::Truncated { .. })
    });
    file.close().unwrap();
    expect(fd, MINE, &|kind| matches!(kind, EventKind::Closed { .. }));

    let missing = OpenOptions::new().read(true).user_data(MINE - 1);
    let file = engine.open(dir.join("missing"), &missing).unwrap();
    let fd = file.fd();
    expect(fd, MINE - 1, &|kind| matches!(kind, EventKind::Failed(_)));
    drop(file);
    expect(fd, MINE - 1, &|kind| {
        matches!(kind, EventKind::Closed { .. })
    });

    // The place in the table is the same: the number is not left over.
    let file = engine.open(dir.join("file"), &create).unwrap();
    let fd = file.fd();
    expect(fd, 0, &|kind| matches!(kind, EventKind::Opened));
    drop(file);
    expect(fd, 0, &|kind| matches!(kind, EventKind::Closed { .. }));
    assert!(
        seen.len() >= 7,
        "all kinds, Readable where the read would block"
    );
}

#[test]
fn events_of_the_queue_carry_it() {
    let engine = Engine::builder().write_behind(2 << 20).start().unwrap();
    check(&engine, |fd| event(&engine, |event| event.fd == fd));
}

#[test]
fn events_of_a_callback_carry_it() {
    let (sender, receiver) = channel();
    let engine = Engine::builder()
        .write_behind(2 << 20)
        .on_event(move |event| {
            let _ = sender.send(event);
        })
        .start()
        .unwrap();
    check(&engine, |fd| {
        let mut events = std::iter::from_fn(|| receiver.recv_timeout(TIMEOUT).ok());
        events.find(|event| event.fd == fd).expect("an event")
    });
}
