//! F62, F90: the name of a new file. Its directory is the one that got the name, wherever it is by
//! the first sync; and whatever becomes of it, the bytes are durable and the file lives.

use crate::common::child::{child_arg, deny, limit, run_in_child};
use crate::common::fixtures::backends;
use crate::common::{Dir, TIMEOUT, skip};
use efio_core::{BackendKind, Engine, Errno, File, NameState, OpenOptions};
use std::fs;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

fn start(backend: BackendKind) -> Engine {
    Engine::builder().backend(backend).start().unwrap()
}

fn create(engine: &Engine, path: impl AsRef<Path>) -> File {
    let options = OpenOptions::new().write(true).create(true);
    let file = engine.open(path, &options).unwrap();
    file.blocking(TIMEOUT).wait_open().unwrap();
    (&file).write_all(b"hello\n").unwrap();
    file
}

/// Syncs the file, which has to work afterwards: it takes more bytes. Returns the state of its
/// name.
fn sync(file: &File) -> NameState {
    let mark = file.sync().unwrap();
    file.blocking(TIMEOUT).wait_synced(mark).unwrap();
    assert_eq!(file.failure().unwrap(), None);
    (&*file).write_all(b"more\n").unwrap();
    file.blocking(TIMEOUT).flush().unwrap();
    file.stats().unwrap().name
}

fn close(file: File, content: &str, path: Option<PathBuf>) {
    file.wait_closed(Some(TIMEOUT)).unwrap();
    if let Some(path) = path {
        assert_eq!(fs::read_to_string(path).unwrap(), content);
    }
}

#[test]
fn a_directory_that_moves_or_goes_is_synced_all_the_same() {
    let dir = Dir::new();
    for &backend in backends() {
        let engine = start(backend);
        let root = dir.join(&format!("{backend:?}"));
        fs::create_dir_all(root.join("moved")).unwrap();
        fs::create_dir_all(root.join("gone")).unwrap();

        let file = create(&engine, root.join("moved/file"));
        assert_eq!(file.stats().unwrap().name, NameState::Pending);
        fs::rename(root.join("moved"), root.join("final")).unwrap();
        assert_eq!(sync(&file), NameState::Durable);
        assert_eq!(sync(&file), NameState::Durable);
        close(file, "hello\nmore\nmore\n", Some(root.join("final/file")));

        let file = create(&engine, root.join("gone/file"));
        fs::remove_file(root.join("gone/file")).unwrap();
        fs::remove_dir(root.join("gone")).unwrap();
        sync(&file);
        close(file, "", None);

        let beneath = fs::File::open(&root).unwrap();
        let options = OpenOptions::new().write(true).create(true).beneath(beneath);
        for path in ["top", "final/below"] {
            let file = engine.open(path, &options).unwrap();
            (&file).write_all(b"hello\n").unwrap();
            assert_eq!(sync(&file), NameState::Durable);
            close(file, "hello\nmore\n", Some(root.join(path)));
        }
        assert_eq!(engine.stats().names_unknown, 0);
    }
}

#[test]
fn a_file_that_was_there_needs_no_directory() {
    let dir = Dir::new();
    let path = dir.join("file");
    let raw = fs::File::create(&path).unwrap();
    for &backend in backends() {
        let engine = start(backend);
        let file = create(&engine, &path);
        assert_eq!(file.stats().unwrap().name, NameState::NotNew);
        assert_eq!(sync(&file), NameState::NotNew);
        // By the name of a descriptor, as fopen("/dev/fd/3", "w") has it.
        for by in ["/dev/fd", "/proc/self/fd"] {
            let path = format!("{by}/{}", raw.as_raw_fd());
            if Path::new(&path).exists() {
                assert_eq!(sync(&create(&engine, path)), NameState::NotNew);
            }
        }
        let beneath = fs::File::open(dir.path()).unwrap();
        let options = OpenOptions::new().write(true).create(true).beneath(beneath);
        let file = engine.open("file", &options).unwrap();
        (&file).write_all(b"hello\n").unwrap();
        assert_eq!(sync(&file), NameState::NotNew);
    }
}

/// The link's own directory is not the one that got the name.
#[test]
fn the_name_is_where_the_links_lead() {
    let dir = Dir::new();
    fs::create_dir_all(dir.join("links")).unwrap();
    fs::create_dir_all(dir.join("files")).unwrap();
    std::os::unix::fs::symlink("../files/next", dir.join("links/first")).unwrap();
    std::os::unix::fs::symlink("file", dir.join("files/next")).unwrap();
    let engine = start(BackendKind::Pool);
    let file = create(&engine, dir.join("links/first"));
    // With the link only, the directory could not be found any more.
    fs::remove_dir_all(dir.join("links")).unwrap();
    assert_eq!(sync(&file), NameState::Durable);
    assert!(dir.join("files/file").exists());
}

/// No error of the directory's fsync harms the file. The data is synced by another call.
#[cfg(target_os = "linux")]
#[test]
fn an_error_of_the_directory_is_reported_and_harms_nothing() {
    let Some(errno) = child_arg() else {
        for errno in [libc::EINVAL, libc::EIO, libc::ENOTSUP, libc::EBADF] {
            let name =
                "name_of_a_new_file::an_error_of_the_directory_is_reported_and_harms_nothing";
            run_in_child(name, &errno.to_string());
        }
        return;
    };
    let errno = errno.parse().unwrap();
    let dir = Dir::new();
    if crate::common::PORTABLE || !deny(libc::SYS_fsync, errno) {
        return;
    }
    for &backend in backends() {
        let engine = start(backend);
        let path = dir.join(&format!("{backend:?}"));
        let file = create(&engine, &path);
        assert_eq!(sync(&file), NameState::Unknown(Errno(errno)));
        assert_eq!(sync(&file), NameState::Unknown(Errno(errno)));
        assert_eq!(engine.stats().names_unknown, 1, "counted once");
        close(file, "hello\nmore\nmore\n", Some(path));
    }
}

/// F90. The limit leaves a descriptor for the file, and none for its directory.
#[test]
fn without_a_descriptor_the_name_waits_and_the_bytes_do_not() {
    if child_arg().is_none() {
        let name = "name_of_a_new_file::without_a_descriptor_the_name_waits_and_the_bytes_do_not";
        return run_in_child(name, "");
    }
    let dir = Dir::new();
    let engine = start(BackendKind::Pool);
    let spare = fs::File::open(dir.path()).unwrap();
    let path = dir.join("file");
    set_soft(spare.as_raw_fd() as u64 + 1);
    drop(spare);
    let file = create(&engine, &path);
    assert_eq!(sync(&file), NameState::Pending, "reported, and retried");
    set_soft(64);
    assert_eq!(sync(&file), NameState::Durable);
    close(file, "hello\nmore\nmore\n", Some(path));
}

fn set_soft(most: u64) {
    // SAFETY: plain values; a limit of this process, which exists for one test only.
    unsafe {
        let mut limit: libc::rlimit = std::mem::zeroed();
        libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit);
        limit.rlim_cur = most as _;
        assert_eq!(libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit), 0);
    }
}

/// Descriptors of directories are given up for files, and opened again.
#[test]
fn directories_do_not_cost_a_file_its_descriptor() {
    if child_arg().is_none() {
        let name = "name_of_a_new_file::directories_do_not_cost_a_file_its_descriptor";
        return run_in_child(name, "");
    }
    let dir = Dir::new();
    limit(libc::RLIMIT_NOFILE as i32, 64);
    let engine = start(BackendKind::Pool);
    let Ok(open) = fs::read_dir("/proc/self/fd") else {
        return skip("no /proc/self/fd");
    };
    // That of the count itself is free again.
    let free = 64 + 1 - open.count();
    let mut files = Vec::new();
    for number in 0..free {
        let home = dir.join(&number.to_string());
        fs::create_dir(&home).unwrap();
        files.push(create(&engine, home.join("file")));
    }
    // Every descriptor is a file's. One that is closed is enough for all directories, in turn.
    files.pop().unwrap().wait_closed(Some(TIMEOUT)).unwrap();
    for file in &files {
        while sync(file) == NameState::Pending {
            std::thread::yield_now();
        }
        assert_eq!(file.stats().unwrap().name, NameState::Durable);
    }
}

#[test]
fn new_files_of_one_directory_share_its_descriptor() {
    if child_arg().is_none() {
        let name = "name_of_a_new_file::new_files_of_one_directory_share_its_descriptor";
        return run_in_child(name, "");
    }
    let Ok(open) = fs::read_dir("/proc/self/fd") else {
        return skip("no /proc/self/fd");
    };
    drop(open);
    let count = || fs::read_dir("/proc/self/fd").unwrap().count();
    let dir = Dir::new();
    let engine = start(BackendKind::Pool);
    let before = count();
    let new = |number: i32| create(&engine, dir.join(&number.to_string()));
    let files: Vec<_> = (0..200).map(new).collect();
    assert!(count() <= before + 201, "{} and {before} before", count());
    for file in &files {
        assert_eq!(sync(file), NameState::Durable);
    }
    assert_eq!(
        count(),
        before + 200,
        "none is held for a name that is durable"
    );
}

/// A directory that the process cannot reach any more, and one that it never could read.
#[test]
fn another_user_by_the_first_sync() {
    if child_arg().is_none() {
        return run_in_child("name_of_a_new_file::another_user_by_the_first_sync", "");
    }
    const NOBODY: u32 = 65_534;
    let dir = Dir::new();
    let closed = |path: &Path| {
        let mode = fs::metadata(path).map_or(0, |facts| facts.permissions().mode());
        mode & 0o001 == 0
    };
    if dir.path().ancestors().skip(1).any(closed) {
        return skip("another user: a parent directory denies access");
    }
    let set = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    fs::create_dir(dir.join("private")).unwrap();
    fs::create_dir(dir.join("dropbox")).unwrap();
    set(dir.path(), 0o755);
    set(&dir.join("private"), 0o700);
    set(&dir.join("dropbox"), 0o1733);
    let engine = start(BackendKind::Pool);
    let file = create(&engine, dir.join("private/file"));
    // SAFETY: identities of this process, which exists for one test only.
    if unsafe { libc::setgid(NOBODY) | libc::setuid(NOBODY) } != 0 {
        return skip("another user: only root becomes one");
    }
    assert_eq!(sync(&file), NameState::Durable);
    let file = create(&engine, dir.join("dropbox/file"));
    assert_eq!(sync(&file), NameState::Unknown(Errno(libc::EACCES)));
    assert_eq!(engine.stats().names_unknown, 1);
    file.wait_closed(Some(TIMEOUT)).unwrap();
    assert!(engine.shutdown(TIMEOUT).unwrap().is_clean());
}
