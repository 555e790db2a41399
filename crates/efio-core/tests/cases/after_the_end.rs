//! Calls and waits on a file whose engine has ended return `ESHUTDOWN`.

use crate::common::{Dir, TIMEOUT, errno};
use efio_core::{Engine, OpenOptions};
use std::io::Write;

#[test]
fn a_file_of_an_ended_engine_says_eshutdown() {
    let dir = Dir::new();
    for dropped in [false, true] {
        let engine = Engine::new().unwrap();
        let options = OpenOptions::new().read(true).write(true).create(true);
        let file = engine.open(dir.join("file"), &options).unwrap();
        let closed = engine.open(dir.join("other"), &options).unwrap();
        file.blocking(TIMEOUT).wait_open().unwrap();
        let fd = closed.fd();
        closed.wait_closed(Some(TIMEOUT)).unwrap();
        assert_eq!(errno(engine.file(fd).sync()), libc::EBADF);
        if dropped {
            drop(engine);
        } else {
            assert!(engine.shutdown(TIMEOUT).unwrap().is_clean());
        }
        let end = libc::ESHUTDOWN;
        assert_eq!(errno(file.write(b"late")), end);
        assert_eq!(errno(file.read(&mut [0])), end);
        assert_eq!(errno((&file).flush()), end);
        assert_eq!(errno(file.sync()), end);
        assert_eq!(errno(file.len()), end);
        assert_eq!(errno(file.progress()), end);
        assert_eq!(errno(file.set_position(1)), end);
        assert_eq!(errno(file.set_len(1)), end);
        assert_eq!(errno(file.blocking(TIMEOUT).flush()), end);
        assert_eq!(errno(file.blocking(TIMEOUT).len()), end);
        assert_eq!(errno(file.close()), end);
    }
}
