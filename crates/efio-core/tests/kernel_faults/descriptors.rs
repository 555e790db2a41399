//! F37: the process has no descriptor left.

use crate::common::child::{child_arg, run_in_child};
use crate::common::fixtures::{Fixture, MODES, backends, both};
use crate::common::{Dir, closed, event, ready, write_all};
use efio_core::{Engine, Errno, EventKind, File};
use std::cell::RefCell;

/// The open that finds none fails with EMFILE; the files that are open go on; and once some are
/// closed the next ones open. Repeated, so that a leak shows.
#[test]
fn emfile_is_reported_and_overcome() {
    if child_arg().is_none() {
        return run_in_child("descriptors::emfile_is_reported_and_overcome", "");
    }
    let dir = Dir::new();
    for &backend in backends() {
        for mode in MODES {
            let fixture = Fixture::new("disk", backend, mode, dir.path().to_owned());
            let engine = fixture.engine();
            let mut counts = Vec::new();
            for _ in 0..3 {
                let limit = Limit::new(50);
                let (files, refused) = open_until_refused(&engine, &fixture);
                assert_eq!(refused, Errno(libc::EMFILE), "{fixture}");
                counts.push(files.len());
                for (number, file) in files.iter().enumerate() {
                    works(&engine, file, number);
                }
                for file in files {
                    let fd = file.fd();
                    file.close().unwrap();
                    assert_eq!(closed(&engine, fd), Ok(()), "{fixture}");
                }
                drop(limit);
            }
            assert!(counts[0] >= 5, "{fixture}: {counts:?}");
            // An engine of before may still close what it had, so there may be more later; less
            // would be a leak.
            assert!(counts[2] >= counts[0], "{fixture}: {counts:?} leaks");
        }
    }
}

/// No descriptor from this number on, until it is dropped.
struct Limit(libc::rlimit);

impl Limit {
    fn new(most: u64) -> Self {
        let mut old = libc::rlimit {
            rlim_cur: 0,
            rlim_max: 0,
        };
        // SAFETY: room for the answer.
        let result = unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut old) };
        assert_eq!(result, 0);
        let limit = Self(old);
        limit.set(most);
        limit
    }

    fn set(&self, soft: u64) {
        let limit = libc::rlimit {
            rlim_cur: soft,
            rlim_max: self.0.rlim_max,
        };
        // SAFETY: a limit of this process, which exists for this test only.
        let result = unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) };
        assert_eq!(result, 0);
    }
}

impl Drop for Limit {
    fn drop(&mut self) {
        self.set(self.0.rlim_cur);
    }
}

fn open_until_refused(engine: &Engine, fixture: &Fixture) -> (Vec<File>, Errno) {
    let mut files = Vec::new();
    loop {
        let path = fixture.join(&files.len().to_string());
        let file = engine.open(path, &both().truncate(true)).unwrap();
        let fd = file.fd();
        let opened = event(engine, |event| event.fd == fd);
        match opened.kind {
            EventKind::Opened => files.push(file),
            EventKind::Failed(failure) => {
                assert!(file.close().is_err());
                assert_eq!(closed(engine, fd), Err(failure.errno));
                return (files, failure.errno);
            }
            other => panic!("{other:?}"),
        }
        assert!(files.len() < 100, "the limit does not hold");
    }
}

/// The file takes bytes and gives them back.
fn works(engine: &Engine, file: &File, number: usize) {
    let bytes = vec![number as u8; 5000];
    write_all(engine, file, &bytes).unwrap();
    file.set_position(0).unwrap();
    let buffer = RefCell::new(vec![0; 5000]);
    let n = ready(engine, file.fd(), || file.read(&mut buffer.borrow_mut())).unwrap();
    assert!(n > 0 && buffer.borrow()[..n] == bytes[..n]);
}
