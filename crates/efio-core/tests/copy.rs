//! The copy example as its users run it: sizes, modes, and everything that can go wrong.

mod common;

use common::fixtures::backends;
use common::mount;
use common::{Dir, TIMEOUT, pattern};
use efio_core::BackendKind;
use std::ffi::{CString, OsStr};
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The example beside the test's own binary; `cargo test` builds both.
fn example() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let path = test
        .parent()
        .unwrap()
        .parent()
        .unwrap()
        .join("examples/copy");
    assert!(
        path.exists(),
        "{} is missing: cargo build --example copy",
        path.display()
    );
    path
}

fn copy(args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Output {
    Command::new("timeout")
        .arg(TIMEOUT.as_secs().to_string())
        .arg(example())
        .args(args)
        .output()
        .unwrap()
}

/// The error message of a copy that must fail with exit code 1.
fn refusal(src: &Path, dst: &Path) -> String {
    let output = copy([src, dst]);
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{message}");
    message
}

#[test]
fn copies_are_identical_and_leave_no_pages() {
    let dir = Dir::new();
    let (src, dst) = (dir.join("src"), dir.join("dst"));
    let backends = backends().iter().map(|backend| match backend {
        BackendKind::Uring => "uring",
        BackendKind::Pool => "pool",
        _ => "auto",
    });
    let modes = ["direct", "uncached", "cached", "auto"];
    for (mode, backend) in backends
        .chain(["auto"])
        .flat_map(|backend| modes.map(|mode| (mode, backend)))
    {
        for len in [0, 1, 4096, 4097, (1 << 20) - 1, (1 << 20) + 1, 9_999_999] {
            std::fs::write(&src, pattern(len)).unwrap();
            std::fs::write(&dst, pattern(len / 2 + 5000)).unwrap();
            let output = copy([
                src.as_os_str(),
                dst.as_os_str(),
                "--io-mode".as_ref(),
                mode.as_ref(),
                "--backend".as_ref(),
                backend.as_ref(),
            ]);
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            let errors = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(
                output.status.success(),
                "{mode}, {backend}, {len} bytes: {errors}"
            );
            assert!(
                std::fs::read(&dst).unwrap() == pattern(len),
                "{mode}, {backend}, {len} bytes"
            );
            assert!(text.starts_with(&format!("{len} bytes in ")), "{text}");
            if mode == "direct" && text.contains(" 0 fallbacks") {
                for name in ["SRC", "DST"] {
                    let line = text.lines().find(|line| line.contains(name)).unwrap();
                    let resident: usize = line.split_whitespace().nth(1).unwrap().parse().unwrap();
                    assert_eq!(resident, 0, "{len} bytes: {line}");
                }
            }
        }
    }
}

/// The message names the path and the errno's text.
fn names(message: &str, path: &Path, error: &str) -> bool {
    message.contains(&*path.to_string_lossy()) && message.contains(error)
}

/// As cp does: the mode of SRC, its holes, and the contents of a file whose size is 0.
#[test]
fn a_copy_is_what_cp_makes() {
    use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
    let dir = Dir::new();
    let (src, dst) = (dir.join("sparse"), dir.join("dst"));
    let file = std::fs::File::create(&src).unwrap();
    file.set_len(64 << 20).unwrap();
    file.write_all_at(&pattern(100_000), 5 << 20).unwrap();
    file.sync_all().unwrap();
    std::fs::set_permissions(&src, PermissionsExt::from_mode(0o750)).unwrap();
    let output = copy(
        [&src, &dst]
            .map(|path| path.as_os_str())
            .into_iter()
            .chain(["--memory".as_ref(), "8".as_ref()]),
    );
    assert!(output.status.success(), "{output:?}");
    assert!(std::fs::read(&dst).unwrap() == std::fs::read(&src).unwrap());
    let (from, to) = (src.metadata().unwrap(), dst.metadata().unwrap());
    assert!(
        to.blocks() <= from.blocks() + 2048,
        "{} of {}",
        to.blocks(),
        from.blocks()
    );
    // The umask of these tests removes no permission of the owner.
    assert_eq!(to.mode() & 0o700, from.mode() & 0o700);
    assert_eq!(to.mode() & 0o007, 0);

    for src in [
        "/proc/version",
        "/sys/kernel/mm/transparent_hugepage/enabled",
    ] {
        let Ok(expected) = std::fs::read(src) else {
            common::skip(&format!("there is no {src}"));
            continue;
        };
        let output = copy([Path::new(src), &dst]);
        assert!(output.status.success(), "{src}: {output:?}");
        assert_eq!(std::fs::read(&dst).unwrap(), expected, "{src}");
    }
}

#[test]
fn what_cannot_be_copied_is_reported_by_name() {
    let dir = Dir::new();
    let (src, dst) = (dir.join("src"), dir.join("dst"));
    std::fs::write(&src, pattern(100_000)).unwrap();

    let missing = dir.join("missing");
    assert!(names(&refusal(&missing, &dst), &missing, "No such file"));
    assert_eq!(
        std::fs::metadata(&dst).unwrap_err().kind(),
        ErrorKind::NotFound,
        "DST untouched"
    );

    let inside = dir.join("missing/dst");
    assert!(names(&refusal(&src, &inside), &inside, "No such file"));
    assert!(names(
        &refusal(&src, dir.path()),
        dir.path(),
        "Is a directory"
    ));
    assert!(names(
        &refusal(dir.path(), &dst),
        dir.path(),
        "Is a directory"
    ));

    let fifo = dir.join("fifo");
    let name = CString::new(fifo.as_os_str().as_bytes()).unwrap();
    // SAFETY: a NUL-terminated path.
    assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
    assert!(names(&refusal(&fifo, &dst), &fifo, "not a regular file"));

    assert!(refusal(&src, &src).contains("is the source as well"));
    assert!(
        std::fs::read(&src).unwrap() == pattern(100_000),
        "SRC is untouched"
    );
}

#[test]
fn a_full_file_system_is_reported_by_name() {
    let dir = Dir::new();
    let src = dir.join("src");
    std::fs::write(&src, pattern(3 << 20)).unwrap();
    let Some(small) = mount::memory(1 << 20) else {
        return;
    };
    let dst = small.join("dst");
    assert!(names(&refusal(&src, &dst), &dst, "No space left"));
    assert!(
        std::fs::read(&src).unwrap() == pattern(3 << 20),
        "SRC is untouched"
    );
}
