//! What a test runs on: each backend that is available here, each io mode, each file system.

use super::mount::{Kind, Mount, memory};
use super::skip;
use efio_core::{BackendKind, Builder, Engine, IoMode, OpenOptions};
use std::fmt;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

pub const MODES: [IoMode; 4] = [
    IoMode::Direct,
    IoMode::Uncached,
    IoMode::Cached,
    IoMode::Auto,
];

/// The backends that start here. Prints one skip if io_uring does not.
pub fn backends() -> &'static [BackendKind] {
    static BACKENDS: OnceLock<Vec<BackendKind>> = OnceLock::new();
    BACKENDS.get_or_init(|| {
        let start = |backend| Engine::builder().backend(backend).start();
        start(BackendKind::Pool).expect("the pool works everywhere");
        match start(BackendKind::Uring) {
            Ok(_) => vec![BackendKind::Uring, BackendKind::Pool],
            Err(why) if why.kind() == ErrorKind::Unsupported => {
                skip(&format!("io_uring: {why}"));
                vec![BackendKind::Pool]
            }
            Err(why) => panic!("io_uring: {why}"),
        }
    })
}

/// One combination, with an empty directory of its own.
pub struct Fixture {
    pub fs: &'static str,
    pub backend: BackendKind,
    pub mode: IoMode,
    root: PathBuf,
}

impl fmt::Display for Fixture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}, {:?}, {}", self.backend, self.mode, self.fs)
    }
}

impl Fixture {
    /// A combination in the directory `root`.
    pub fn new(fs: &'static str, backend: BackendKind, mode: IoMode, root: PathBuf) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let root = root.join(format!("fixture-{}-{number}", std::process::id()));
        std::fs::create_dir(&root).unwrap();
        Self {
            fs,
            backend,
            mode,
            root,
        }
    }

    /// An engine to be configured.
    pub fn builder(&self) -> Builder {
        Engine::builder().backend(self.backend).io_mode(self.mode)
    }

    pub fn engine(&self) -> Engine {
        self.builder().start().unwrap()
    }

    pub fn join(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("FAILED with {self}");
        }
        let _ = std::fs::remove_dir_all(&self.root);
    }
}

/// Runs a check in every combination: the outcome has to be the same.
pub fn each(check: fn(&Fixture)) {
    for &(fs, _) in file_systems() {
        each_on(fs, check);
    }
}

/// Runs a check with every backend and mode on one file system.
pub fn each_on(fs: &str, check: fn(&Fixture)) {
    for (name, place) in file_systems().iter().filter(|(name, _)| *name == fs) {
        for &backend in backends() {
            for mode in MODES {
                check(&Fixture::new(name, backend, mode, place.root()));
            }
        }
    }
}

/// The name of the file system of the work directory.
pub fn disk() -> &'static str {
    file_systems()[0].0
}

/// A place for files.
enum Place {
    Disk(PathBuf),
    Own(Mount),
}

impl Place {
    fn root(&self) -> PathBuf {
        match self {
            Self::Disk(path) => path.clone(),
            Self::Own(mount) => mount.join(""),
        }
    }
}

/// The file systems of this process, made when the first test asks for them: that of the work
/// directory, and of the others those that are allowed.
fn file_systems() -> &'static [(&'static str, Place)] {
    static PLACES: OnceLock<Vec<(&'static str, Place)>> = OnceLock::new();
    PLACES.get_or_init(|| {
        let disk = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let mut places = vec![(name_of(disk), Place::Disk(disk.to_owned()))];
        let mounts = [
            ("tmpfs", memory(1 << 30)),
            ("xfs", Mount::new(Kind::Xfs, 2 << 30)),
            ("btrfs", Mount::new(Kind::Btrfs, 2 << 30)),
        ];
        for (name, mount) in mounts {
            places.extend(mount.map(|mount| (name, Place::Own(mount))));
        }
        places
    })
}

/// What the file system of a directory is called, if it is the one that servers have.
fn name_of(dir: &Path) -> &'static str {
    let output = std::process::Command::new("stat")
        .args(["-f", "-c", "%T"])
        .arg(dir)
        .output();
    match output {
        Ok(output) if output.stdout.starts_with(b"ext") => "ext4",
        _ => "the work directory",
    }
}

/// Options for a new file.
pub fn create() -> OpenOptions {
    OpenOptions::new().write(true).create(true).truncate(true)
}

/// Options for reading.
pub fn reading() -> OpenOptions {
    OpenOptions::new().read(true)
}

/// Options for both.
pub fn both() -> OpenOptions {
    OpenOptions::new().read(true).write(true).create(true)
}
