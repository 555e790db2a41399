//! File systems of our own, each on a loop device over a sparse file, or in memory.
//!
//! A file system is mounted, its root is opened, and at once it is taken out of the tree again
//! (`umount -l`): it lives as long as there is a descriptor in it, and its paths go through
//! `/proc/PID/fd`. So nothing is left behind, not even by a test that is killed: the kernel takes
//! the mount and its loop device away with the last descriptor.

use super::{Dir, TIMEOUT, skip};
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

/// What a file system is made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Ext4,
    Xfs,
    Btrfs,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Ext4 => "ext4",
            Self::Xfs => "xfs",
            Self::Btrfs => "btrfs",
        }
    }

    fn mkfs(self) -> Command {
        let mut mkfs = Command::new(format!("mkfs.{}", self.name()));
        match self {
            // No group of blocks is left to be made ready later, in the middle of a test.
            Self::Ext4 => mkfs.args(["-q", "-F", "-b", "4096", "-E", "lazy_itable_init=0"]),
            Self::Xfs | Self::Btrfs => mkfs.arg("-q"),
        };
        mkfs
    }
}

/// A mounted file system that is nowhere in the tree.
pub struct Mount {
    root: Option<File>,
    image: PathBuf,
    /// Where it is mounted for a moment, and the image.
    dir: Dir,
}

impl Mount {
    /// Makes a file system of `bytes` on a loop device; prints a skip and returns `None` where that
    /// is not possible.
    pub fn new(kind: Kind, bytes: u64) -> Option<Self> {
        let dir = Dir::new();
        let image = dir.join("image");
        Self::over(kind, bytes, image, dir)
    }

    /// The same over the file `image`.
    pub fn over(kind: Kind, bytes: u64, image: PathBuf, dir: Dir) -> Option<Self> {
        let made = File::create(&image)
            .and_then(|file| file.set_len(bytes))
            .and_then(|()| run(kind.mkfs().arg(&image)));
        std::fs::create_dir_all(dir.join("root")).unwrap();
        let mut mount = Self {
            root: None,
            image,
            dir,
        };
        match made.and_then(|()| mount.mount()) {
            Ok(()) => Some(mount),
            Err(why) => {
                skip(&format!("{} on a loop device: {why}", kind.name()));
                None
            }
        }
    }

    /// Mounts the image once more after [`unmount`](Self::unmount).
    pub fn mount(&mut self) -> io::Result<()> {
        let image = self.image.clone();
        self.attach(Command::new("mount").args(["-o", "loop"]).arg(image))
    }

    fn attach(&mut self, mount: &mut Command) -> io::Result<()> {
        let point = self.dir.join("root");
        run(mount.arg(&point))?;
        let root = File::open(&point);
        run(Command::new("umount").arg("-l").arg(&point))?;
        self.root = Some(root?);
        Ok(())
    }

    /// Unmounts the file system and waits until the kernel has released it.
    pub fn unmount(&mut self) {
        self.root = None;
        let deadline = Instant::now() + TIMEOUT;
        while loop_device_of(&self.image) {
            assert!(Instant::now() < deadline, "it is still in use");
            std::thread::yield_now();
        }
    }

    /// Its root directory.
    pub fn root(&self) -> &File {
        self.root.as_ref().expect("it is mounted")
    }

    /// A path in it, good for every process of this user while the file system is mounted.
    pub fn join(&self, name: &str) -> PathBuf {
        let fd = self.root().as_raw_fd();
        PathBuf::from(format!("/proc/{}/fd/{fd}/{name}", std::process::id()))
    }

    /// What the file that lies at `name` holds.
    pub fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.join(name)).unwrap()
    }

    /// Bytes that are free.
    pub fn free(&self) -> u64 {
        // SAFETY: plain integers, for which zero is valid.
        let mut answer: libc::statvfs = unsafe { std::mem::zeroed() };
        // SAFETY: an open descriptor, and room for the answer.
        let result = unsafe { libc::fstatvfs(self.root().as_raw_fd(), &raw mut answer) };
        assert_eq!(result, 0);
        answer.f_bavail * answer.f_frsize
    }

    /// An ioctl on its root directory.
    pub fn ioctl(&self, request: libc::c_ulong, mut argument: u32) -> io::Result<()> {
        // SAFETY: the requests used here read at most the 32 bits that they are given.
        match unsafe { libc::ioctl(self.root().as_raw_fd(), request as _, &raw mut argument) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

/// `FIFREEZE` of `<linux/fs.h>`.
const FREEZE: libc::c_ulong = 0xc004_5877;

/// A frozen file system. Another process thaws it when this is dropped, and also when this process
/// is killed, or waits for the disk longer than a test takes.
pub struct Frozen {
    thaw: Child,
}

impl Mount {
    /// Holds every write, open for writing and sync until the value is dropped.
    pub fn freeze(&self) -> Frozen {
        let thaw = Command::new("sh")
            .args([
                "-c",
                "timeout 60 cat; exec fsfreeze --unfreeze /proc/self/fd/1",
            ])
            .stdin(Stdio::piped())
            .stdout(self.root().try_clone().unwrap())
            .spawn()
            .unwrap();
        self.ioctl(FREEZE, 0).unwrap();
        Frozen { thaw }
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        drop(self.thaw.stdin.take());
        let status = self.thaw.wait().unwrap();
        assert!(status.success() || std::thread::panicking(), "{status}");
    }
}

/// A file system in memory, of `bytes` at most.
pub fn memory(bytes: u64) -> Option<Mount> {
    let dir = Dir::new();
    std::fs::create_dir_all(dir.join("root")).unwrap();
    let mut mount = Mount {
        root: None,
        image: dir.join("none"),
        dir,
    };
    let size = format!("size={bytes}");
    match mount.attach(Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"])) {
        Ok(()) => Some(mount),
        Err(why) => {
            skip(&format!("tmpfs: {why}"));
            None
        }
    }
}

/// Whether a loop device lies over `image`.
fn loop_device_of(image: &Path) -> bool {
    let Ok(devices) = std::fs::read_dir("/sys/block") else {
        return false;
    };
    devices.flatten().any(|device| {
        let backing = std::fs::read_to_string(device.path().join("loop/backing_file"));
        backing.is_ok_and(|path| Path::new(path.trim_end()) == image)
    })
}

/// Runs a program without output; on failure returns its stderr as the error.
pub fn run(command: &mut Command) -> io::Result<()> {
    let output = command.stdin(Stdio::null()).output()?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(io::Error::other(said))
}
