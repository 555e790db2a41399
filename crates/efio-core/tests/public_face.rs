//! What a program meets that uses the crate beside the standard library: no name of efio hides one of
//! std, and its errors are errors.

mod common;

use common::{Dir, TIMEOUT};
use efio_core::transfer::*;
use efio_core::{Engine, Errno, EventKind, Failure, OpenOptions, SubmitError};
use std::error::Error;
use std::io::{self, Read, Seek, SeekFrom};

#[test]
fn a_file_seeks_as_std_does() {
    let (dir, engine) = (Dir::new(), Engine::new().unwrap());
    let options = OpenOptions::new().read(true).write(true).create(true);
    let mut file = engine.open(dir.join("file"), &options).unwrap();
    assert_eq!(file.write(b"0123456789").unwrap(), 10);
    // The method of the trait, by method call.
    assert_eq!(file.seek(SeekFrom::Start(3)).unwrap(), 3);
    assert_eq!(file.position().unwrap(), 3);
    file.set_position(5).unwrap();
    assert_eq!(file.stream_position().unwrap(), 5);
    let mut rest = String::new();
    file.blocking(TIMEOUT).read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "56789");
    let fd = file.into_fd();
    assert_eq!(engine.file(fd).position().unwrap(), 10);
    engine.file(fd).wait_closed(TIMEOUT).unwrap();
    assert!(engine.file(fd).position().is_err());
}

/// The marker traits are those of std under a glob import of the transfers.
fn sends<T: Send + Copy>(step: T) -> T {
    step
}

#[test]
fn a_glob_import_hides_no_trait() {
    assert_eq!(sends(Step::Done), Step::Done);
    let _ = (
        SendFile::new(None),
        ReceiveFile::new(None),
        CopyFile::new(None),
    );
}

fn fails(errno: Errno) -> Result<(), Box<dyn Error>> {
    Err(errno)?
}

fn fails_for_good(failure: Failure) -> Result<(), Box<dyn Error + Send + Sync>> {
    Err(failure)?
}

#[test]
fn errors_are_errors() {
    let error = fails(Errno(libc::ENOSPC)).unwrap_err();
    assert!(error.downcast_ref::<Errno>().is_some(), "{error}");
    let failure = Failure {
        errno: Errno(libc::EIO),
        offset: 4096,
    };
    let error = fails_for_good(failure).unwrap_err();
    assert!(error.to_string().contains("4096"), "{error}");
    assert_eq!(io::Error::from(failure).raw_os_error(), Some(libc::EIO));
    fn is_error<T: Error>() {}
    is_error::<SubmitError>();
}

#[test]
fn events_are_matched_with_room_for_more() {
    let (dir, engine) = (Dir::new(), Engine::new().unwrap());
    let options = OpenOptions::new().write(true).create(true).user_data(7);
    drop(engine.open(dir.join("file"), &options).unwrap());
    let closed = common::event(&engine, |event| match event.kind {
        EventKind::Closed { result } => result.is_ok(),
        _ => false,
    });
    assert_eq!(closed.user_data, 7);
}
