//! A write reaches the file-size limit (F44), and then a callback runs with the signal mask of the
//! program (F73): `SIGXFSZ`, which the kernel holds for the thread that submitted the write, must
//! not end the process there.

use crate::common::child::{child_arg, limit, run_in_child};
use crate::common::fixtures::{MODES, backends};
use crate::common::{Dir, TIMEOUT};
use efio_core::{Engine, EventKind, OpenOptions};
use std::sync::mpsc::channel;

const TEST: &str = "callback_after_the_limit::a_callback_runs_after_a_write_at_the_limit";
const LIMIT: u64 = 1 << 20;

#[test]
fn a_callback_runs_after_a_write_at_the_limit() {
    if child_arg().is_none() {
        return run_in_child(TEST, "");
    }
    limit(libc::RLIMIT_FSIZE as i32, LIMIT);
    let dir = Dir::new();
    let options = OpenOptions::new().write(true).create(true);
    for &backend in backends() {
        for mode in MODES {
            let (events, kinds) = channel();
            let engine = Engine::builder().backend(backend).io_mode(mode);
            let engine = engine.on_event(move |event| drop(events.send(event.kind)));
            let engine = engine.start().unwrap();
            let next = |wanted: fn(&EventKind) -> bool| {
                while !wanted(&kinds.recv_timeout(TIMEOUT).unwrap()) {}
            };
            let file = engine.open(dir.join("file"), &options).unwrap();
            next(|kind| *kind == EventKind::Opened);
            let bytes = vec![7; 3 << 20];
            assert!(file.write(&bytes).unwrap() > LIMIT as usize);
            // Refused by now, or accepted and lost.
            let _ = file.sync();
            next(|kind| matches!(kind, EventKind::Failed(_)));
            let _other = engine.open(dir.join("other"), &options).unwrap();
            next(|kind| *kind == EventKind::Opened);
        }
    }
}
