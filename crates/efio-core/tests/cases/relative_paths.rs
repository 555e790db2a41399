//! F72: a relative path is opened as such, as `std` does, and begins at the working directory of
//! the call.

use crate::common::child::{child_arg, run_in_child};
use crate::common::{Dir, PORTABLE, TIMEOUT, skip};
use efio_core::{Engine, OpenOptions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::{env, fs, io};

fn create(engine: &Engine, path: &str) -> io::Result<()> {
    let options = OpenOptions::new().write(true).create(true);
    let file = engine.open(path, &options)?;
    file.blocking(TIMEOUT).wait_open()?;
    let mark = file.sync()?;
    file.blocking(TIMEOUT).wait_synced(mark)
}

#[test]
fn a_working_directory_longer_than_a_path_may_be() {
    if child_arg().is_none() {
        let name = "relative_paths::a_working_directory_longer_than_a_path_may_be";
        return run_in_child(name, "");
    }
    let dir = Dir::new();
    env::set_current_dir(dir.path()).unwrap();
    let name = "d".repeat(200);
    for _ in 0..25 {
        fs::create_dir(&name).unwrap();
        env::set_current_dir(&name).unwrap();
    }
    let engine = Engine::new().unwrap();
    create(&engine, "file").unwrap();
    assert!(Path::new("file").exists());
    for _ in 0..25 {
        env::set_current_dir("..").unwrap();
    }
}

#[test]
fn a_parent_that_may_not_be_searched() {
    if PORTABLE {
        return skip("a directory that may not be read has no descriptor without O_PATH");
    }
    if child_arg().is_none() {
        return run_in_child("relative_paths::a_parent_that_may_not_be_searched", "");
    }
    let dir = Dir::new();
    fs::create_dir_all(dir.join("closed/open")).unwrap();
    env::set_current_dir(dir.join("closed/open")).unwrap();
    let set = |path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    // It may be searched, and not read.
    set(".", 0o733);
    set("..", 0o700);
    let engine = Engine::new().unwrap();
    // SAFETY: identities of this process, which exists for one test only.
    if unsafe { libc::setgid(65_534) | libc::setuid(65_534) } != 0 {
        skip("another user: only root becomes one");
    }
    fs::write("plain", b"x").unwrap();
    create(&engine, "file").unwrap();
    assert!(Path::new("file").exists());
}

/// Opens that are pending share a descriptor, and each goes to the directory of its call.
#[test]
fn the_directory_is_that_of_the_call() {
    if child_arg().is_none() {
        return run_in_child("relative_paths::the_directory_is_that_of_the_call", "");
    }
    let dir = Dir::new();
    let engine = Engine::new().unwrap();
    let options = OpenOptions::new().write(true).create_new(true);
    let mut files = Vec::new();
    for number in 0..100 {
        let home = dir.join(&(number % 3).to_string());
        fs::create_dir_all(&home).unwrap();
        env::set_current_dir(&home).unwrap();
        files.push(engine.open(number.to_string(), &options).unwrap());
    }
    env::set_current_dir("/").unwrap();
    for (number, file) in files.iter().enumerate() {
        file.blocking(TIMEOUT).wait_open().unwrap();
        assert!(dir.join(&format!("{}/{number}", number % 3)).exists());
    }
    // Removed meanwhile: the error of open(2).
    let home = dir.join("removed");
    fs::create_dir(&home).unwrap();
    env::set_current_dir(&home).unwrap();
    fs::remove_dir(&home).unwrap();
    let error = create(&engine, "file").unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
}
