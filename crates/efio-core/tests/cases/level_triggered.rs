//! The documented loop, level-triggered: it waits until the event descriptor is readable, then
//! takes events until none is left. The control for the edge-triggered cases (F82).

use crate::common::fixtures::backends;
use crate::common::{Dir, TIMEOUT, readable};
use efio_core::{BackendKind, Engine, Fd, File, OpenOptions};
use std::collections::HashMap;
use std::io::ErrorKind;

const FILES: usize = 2000;
const AT_ONCE: usize = 8;

#[test]
fn a_level_triggered_loop_misses_no_event() {
    for &backend in backends() {
        read_files(backend);
    }
}

/// Reads one file again and again, `AT_ONCE` times at once.
fn read_files(backend: BackendKind) {
    let dir = Dir::new();
    let path = dir.join("file");
    std::fs::write(&path, [7; 10_000]).unwrap();
    let engine = Engine::builder().backend(backend).start().unwrap();
    let options = OpenOptions::new().read(true).prefetch(true);
    let open = || {
        let file = engine.open(&path, &options).unwrap();
        (file.fd(), file)
    };
    let mut files: HashMap<Fd, File> = (0..AT_ONCE).map(|_| open()).collect();
    let (mut begun, mut done) = (AT_ONCE, 0);
    while done < FILES {
        let woken = readable(&engine, TIMEOUT);
        let mut taken = 0;
        for event in engine.events().drain() {
            taken += 1;
            let is_over = files.get(&event.fd).is_some_and(read_to_end);
            if is_over {
                files.remove(&event.fd);
                done += 1;
                if begun < FILES {
                    files.extend([open()]);
                    begun += 1;
                }
            }
        }
        assert!(woken, "{backend:?}: no wake-up, {taken} events were there");
    }
}

/// Reads what is there; whether that was the end.
fn read_to_end(file: &File) -> bool {
    let mut buffer = [0; 4096];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return true,
            Ok(n) => assert!(buffer[..n].iter().all(|&byte| byte == 7)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
            Err(error) => panic!("{error}"),
        }
    }
}
