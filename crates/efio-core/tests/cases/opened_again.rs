//! F85: a file that is closed, and opened again by the same engine, is as if the close had ended
//! before. No old byte lands on the new contents, and a read sees what was accepted.

use crate::common::{Dir, TIMEOUT, write_all};
use efio_core::{BackendKind, Engine, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::path::Path;

const ROUNDS: usize = 40;
static OLD: [u8; 20_000] = [b'A'; 20_000];
static NEW: [u8; 5_000] = [b'B'; 5_000];

type Closing = fn(File);

/// Each way to close a file.
const CLOSINGS: [(&str, Closing); 4] = [
    ("drop", |file| drop(file)),
    ("close", |file| file.close().unwrap()),
    ("close_sync", |file| file.close_sync().unwrap()),
    ("close_wait", |file| {
        file.wait_closed(Some(TIMEOUT)).unwrap()
    }),
];

fn each_engine(test: impl Fn(&Engine)) {
    for kind in [BackendKind::Pool, BackendKind::Uring] {
        let Ok(engine) = Engine::builder().backend(kind).start() else {
            continue;
        };
        test(&engine);
        assert!(engine.shutdown(TIMEOUT).unwrap().is_clean());
    }
}

fn put(engine: &Engine, path: &Path, options: &OpenOptions, bytes: &[u8], close: fn(File)) {
    let file = engine.open(path, options).unwrap();
    write_all(engine, &file, bytes).unwrap();
    close(file);
}

fn get(engine: &Engine, path: &Path) -> io::Result<Vec<u8>> {
    let file = engine.open(path, &OpenOptions::new().read(true).events(false))?;
    file.blocking(TIMEOUT).wait_open()?;
    let (mut all, mut buffer) = (Vec::new(), vec![0; 30_000]);
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(all),
            Ok(n) => all.extend_from_slice(&buffer[..n]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                file.blocking(TIMEOUT).wait_readable()?;
            }
            Err(error) => return Err(error),
        }
    }
}

fn new() -> OpenOptions {
    OpenOptions::new().write(true).create(true)
}

/// "Save", and "save" again.
#[test]
fn saved_twice() {
    let dir = Dir::new();
    let path = dir.join("twice");
    for (how, close) in CLOSINGS {
        each_engine(|engine| {
            for round in 0..ROUNDS {
                put(engine, &path, &new().truncate(true), &OLD, close);
                put(engine, &path, &new().truncate(true), &NEW, close);
                let there = get(engine, &path).unwrap();
                assert_eq!(there.len(), NEW.len(), "{how}, round {round}");
                assert!(there == NEW, "{how}, round {round}");
            }
        });
        let there = std::fs::read(&path).unwrap();
        assert!(there == NEW, "{how}: {} bytes on disk", there.len());
    }
}

/// A new file is found and read as it was written, before its open was waited for.
#[test]
fn read_after_its_close() {
    let dir = Dir::new();
    each_engine(|engine| {
        for round in 0..ROUNDS {
            for (how, close) in CLOSINGS {
                let path = dir.join(&format!("{how}-{round}"));
                put(engine, &path, &new(), &OLD, close);
                let there = get(engine, &path).unwrap();
                assert_eq!(there.len(), OLD.len(), "{how}, round {round}");
                std::fs::remove_file(&path).unwrap();
            }
        }
    });
}

/// A file is identified by device and inode, not by its name.
#[test]
fn by_another_name() {
    let dir = Dir::new();
    each_engine(|engine| {
        for round in 0..ROUNDS {
            let paths = ["first", "link", "renamed", "symbolic"];
            let [first, link, renamed, symbolic] = paths.map(|name| dir.join(name));
            std::fs::write(&first, OLD).unwrap();
            std::fs::hard_link(&first, &link).unwrap();
            std::os::unix::fs::symlink(&renamed, &symbolic).unwrap();
            put(engine, &first, &new(), &OLD, drop);
            put(engine, &link, &new().truncate(true), &NEW, drop);
            std::fs::rename(&first, &renamed).unwrap();
            assert!(get(engine, &renamed).unwrap() == NEW, "round {round}");
            put(engine, &symbolic, &new().truncate(true), &OLD, drop);
            assert!(get(engine, &link).unwrap() == OLD, "round {round}");
            for path in [&link, &renamed, &symbolic] {
                std::fs::remove_file(path).unwrap();
            }
        }
    });
}

/// Appends and writes at an offset are ordered after the close too, and `O_EXCL` sees the file.
#[test]
fn in_every_mode() {
    let dir = Dir::new();
    let path = dir.join("modes");
    each_engine(|engine| {
        for round in 0..ROUNDS {
            put(engine, &path, &new(), &OLD, drop);
            let twin = engine.open(&path, &new().create_new(true)).unwrap();
            let error = twin.blocking(TIMEOUT).wait_open().unwrap_err();
            assert_eq!(error.raw_os_error(), Some(libc::EEXIST), "round {round}");
            put(engine, &path, &OpenOptions::new().append(true), &NEW, drop);
            let file = engine.open(&path, &OpenOptions::new().write(true)).unwrap();
            let mut buffer = engine.buffer(10).unwrap();
            buffer.copy_from_slice(b"0123456789");
            file.write_at(OLD.len() as u64, buffer, round as u64)
                .unwrap();
            drop(file);
            let there = get(engine, &path).unwrap();
            let all = [&OLD[..], b"0123456789", &NEW[10..]].concat();
            assert!(there == all, "round {round}: {} bytes", there.len());
            std::fs::remove_file(&path).unwrap();
        }
    });
}
