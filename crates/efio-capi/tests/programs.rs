//! The examples and the programs in `tests/c`, compiled as C and as C++ and run; their output is
//! compared byte by byte. The script `check` does the same with other compilers and under valgrind
//! and AddressSanitizer.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// The directory of the library that cargo has built for these tests.
fn library_dir() -> PathBuf {
    let exe = std::env::current_exe().unwrap();
    let deps = exe.parent().unwrap();
    assert!(
        deps.join("libefio.so").exists(),
        "cargo builds libefio.so with the tests"
    );
    deps.to_path_buf()
}

/// A directory that is removed after the test.
struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("efio-c-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Compiles `source` as `language`; returns the path of the program.
fn compile(dir: &Dir, source: &str, language: &str) -> PathBuf {
    let name = Path::new(source).file_stem().unwrap().to_str().unwrap();
    let program = dir.join(name);
    let mut compiler = Command::new("cc");
    compiler.args(["-Wall", "-Wextra", "-Werror", "-O1", "-pthread"]);
    if language == "c" {
        compiler.args(["-x", "c", "-std=gnu11"]);
    } else {
        compiler.args(["-x", "c++", "-std=c++17"]);
    }
    let status = compiler
        .arg("-I")
        .arg(Path::new(ROOT).join("include"))
        .arg(Path::new(ROOT).join(source))
        .arg("-L")
        .arg(library_dir())
        .arg("-lefio")
        .args((name == "copy_libev").then_some("-lev"))
        .arg("-o")
        .arg(&program)
        .status()
        .expect("a C compiler");
    assert!(status.success(), "{source} as {language}");
    program
}

fn run(program: &Path, args: &[&Path]) {
    let status = Command::new("timeout")
        // More is a hang, on a busy machine as well.
        .arg("300")
        .arg(program)
        .args(args)
        // Before the path of cargo, which may have an older library.
        .env("LD_LIBRARY_PATH", library_dir())
        .status()
        .unwrap();
    assert!(status.success(), "{}: {status}", program.display());
}

/// Returns bytes that differ from page to page.
fn pattern(len: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 56) as u8
    };
    (0..len).map(|_| next()).collect()
}

fn copies(example: &str, language: &str) {
    let dir = Dir::new(&format!("{example}-{language}"));
    let program = compile(&dir, &format!("examples/{example}.c"), language);
    for len in [0, 1, 4096, 70_001, 20_000_003] {
        let bytes = pattern(len);
        let (src, dst) = (dir.join("src"), dir.join("dst"));
        fs::write(&src, &bytes).unwrap();
        run(&program, &[&src, &dst]);
        assert!(fs::read(&dst).unwrap() == bytes, "{example}: {len} bytes");
    }
}

#[test]
fn copies_by_polling() {
    copies("copy_poll", "c");
    copies("copy_poll", "c++");
}

#[test]
fn copies_by_callback() {
    copies("copy_callback", "c");
    copies("copy_callback", "c++");
}

#[test]
fn copies_in_a_libev_loop() {
    let has_libev = Command::new("cc")
        .args([
            "-E",
            "-include",
            "ev.h",
            "-x",
            "c",
            "/dev/null",
            "-o",
            "/dev/null",
        ])
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !has_libev {
        eprintln!("SKIPPED: there is no libev (Debian: libev-dev)");
        return;
    }
    copies("copy_libev", "c");
    copies("copy_libev", "c++");
}

#[test]
fn four_threads_write_forty_files() {
    const LEN: usize = 300_001;
    let dir = Dir::new("writers");
    let program = compile(&dir, "examples/writers.c", "c++");
    run(&program, &[&dir.0, Path::new(&LEN.to_string())]);
    for number in 0..40 {
        let bytes = fs::read(dir.join(&number.to_string())).unwrap();
        let expected = (0..LEN).map(|i| (number + i / 7) as u8);
        assert!(bytes.into_iter().eq(expected), "file {number}");
    }
}

#[test]
fn four_threads_share_a_queue() {
    let dir = Dir::new("queue");
    for language in ["c", "c++"] {
        let program = compile(&dir, "examples/queue.c", language);
        run(&program, &[Path::new("100000")]);
    }
}

#[test]
fn the_primitives_work_as_documented() {
    let dir = Dir::new("primitives");
    for language in ["c", "c++"] {
        run(&compile(&dir, "tests/c/primitives.c", language), &[]);
    }
}

#[test]
fn the_file_api_works_as_documented() {
    for language in ["c", "c++"] {
        let dir = Dir::new(&format!("documented-{language}"));
        run(&compile(&dir, "tests/c/documented.c", language), &[&dir.0]);
    }
}
