//! The directory that is served: every name is resolved beneath it by the kernel, whatever `..` and
//! symbolic links it goes through. All of this may wait for a disk: it runs on the blocking pool.

use std::ffi::{CStr, CString, OsStr};
use std::fs;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The directory of uploads in progress; no other name may begin like it.
pub const OURS: &str = ".efio-uploads";

/// The root.
pub struct Root {
    directory: OwnedFd,
    uploads: OwnedFd,
}

/// What a path names.
pub enum Found {
    File(OwnedFd, Version),
    Directory,
}

/// A version of a file. The name changes with every upload, which makes a new inode, and with every
/// change of time or size that another program makes.
#[derive(Clone, Debug)]
pub struct Version {
    pub etag: String,
    pub modified: SystemTime,
    pub size: u64,
}

impl Version {
    pub fn new(inode: u64, size: u64, seconds: i64, nanos: i64) -> Self {
        let since = Duration::new(seconds.max(0) as u64, nanos as u32);
        Self {
            etag: format!("\"{inode:x}-{size:x}-{:x}\"", since.as_nanos()),
            modified: UNIX_EPOCH + since,
            size,
        }
    }

    pub fn last_modified(&self) -> String {
        httpdate::fmt_http_date(self.modified)
    }
}

/// An entry of a directory.
pub struct Entry {
    pub name: Vec<u8>,
    pub is_directory: bool,
    pub size: u64,
    pub modified: i64,
}

impl Root {
    /// Opens the root, makes it if it is not there, and removes what a crash left half-sent. Says
    /// how many files that were.
    pub fn open(path: &Path) -> io::Result<(Self, usize)> {
        fs::create_dir_all(path)?;
        let directory: OwnedFd = fs::File::open(path)?.into();
        let ours = CString::new(OURS)?;
        // SAFETY: an open directory and a NUL-terminated name.
        let made = check(unsafe { libc::mkdirat(directory.as_raw_fd(), ours.as_ptr(), 0o700) });
        match made {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            result => result?,
        }
        let how = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_NOFOLLOW;
        let uploads = open_beneath(directory.as_raw_fd(), &ours, how)?;
        // Another server's uploads are not leftovers.
        // SAFETY: an open descriptor.
        check(unsafe { libc::flock(uploads.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) })
            .map_err(|_| io::Error::new(io::ErrorKind::AddrInUse, "served by another process"))?;
        let root = Self { directory, uploads };
        let leftovers = names(&root.uploads)?;
        for name in &leftovers {
            root.discard(name)?;
        }
        Ok((root, leftovers.len()))
    }

    /// The directory of uploads, for opening files beneath it.
    pub fn uploads(&self) -> io::Result<OwnedFd> {
        self.uploads.try_clone()
    }

    /// Opens what is to be sent.
    pub fn look(&self, path: &Path) -> io::Result<Found> {
        // Without O_NONBLOCK the open of a FIFO waits for its other end.
        let how = libc::O_RDONLY | libc::O_NONBLOCK | libc::O_NOCTTY;
        let file = open_beneath(self.directory.as_raw_fd(), &c_path(path)?, how)?;
        let stat = stat(file.as_raw_fd(), c"", libc::AT_EMPTY_PATH)?;
        match stat.st_mode & libc::S_IFMT {
            libc::S_IFDIR => Ok(Found::Directory),
            libc::S_IFREG => {
                let size = stat.st_size as u64;
                let version = Version::new(stat.st_ino, size, stat.st_mtime, stat.st_mtime_nsec);
                Ok(Found::File(file, version))
            }
            _ => Err(io::Error::from_raw_os_error(libc::EACCES)),
        }
    }

    /// Checks whether an upload may get this path in the end, before the client sends it.
    pub fn check_target(&self, path: &Path) -> io::Result<()> {
        let (parent, name) = self.parent(path)?;
        match stat(parent.as_raw_fd(), &name, libc::AT_SYMLINK_NOFOLLOW) {
            Ok(stat) if stat.st_mode & libc::S_IFMT == libc::S_IFDIR => {
                Err(io::Error::from_raw_os_error(libc::EISDIR))
            }
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Gives a finished upload its name, durably. Whether there was no such file before.
    pub fn publish(&self, upload: &CStr, path: &Path) -> io::Result<bool> {
        let (parent, name) = self.parent(path)?;
        let rename = |flags| {
            // SAFETY: open directories and NUL-terminated names.
            check(unsafe {
                libc::renameat2(
                    self.uploads.as_raw_fd(),
                    upload.as_ptr(),
                    parent.as_raw_fd(),
                    name.as_ptr(),
                    flags,
                )
            })
        };
        let is_new = match rename(libc::RENAME_NOREPLACE) {
            Ok(()) => true,
            // EINVAL: the file system does not know the flag.
            Err(error) if is_any(&error, &[libc::EEXIST, libc::EINVAL]) => {
                rename(0)?;
                error.raw_os_error() != Some(libc::EEXIST)
            }
            Err(error) => return Err(error),
        };
        // SAFETY: an open descriptor.
        check(unsafe { libc::fsync(parent.as_raw_fd()) })?;
        Ok(is_new)
    }

    /// Removes an upload that was given up.
    pub fn discard(&self, upload: &CStr) -> io::Result<()> {
        // SAFETY: an open directory and a NUL-terminated name.
        check(unsafe { libc::unlinkat(self.uploads.as_raw_fd(), upload.as_ptr(), 0) })
    }

    /// Removes a file.
    pub fn remove(&self, path: &Path) -> io::Result<()> {
        let (parent, name) = self.parent(path)?;
        // SAFETY: an open directory and a NUL-terminated name.
        check(unsafe { libc::unlinkat(parent.as_raw_fd(), name.as_ptr(), 0) })?;
        // SAFETY: an open descriptor.
        check(unsafe { libc::fsync(parent.as_raw_fd()) })
    }

    /// What a directory holds: files and directories, by name.
    pub fn list(&self, path: &Path) -> io::Result<Vec<Entry>> {
        let directory = self.directory(path)?;
        let mut entries = Vec::new();
        for name in names(&directory)? {
            if name.to_bytes().starts_with(OURS.as_bytes()) {
                continue;
            }
            // A file may go while we look. A symbolic link is not shown: it may lead out of the
            // root.
            let Ok(stat) = stat(directory.as_raw_fd(), &name, libc::AT_SYMLINK_NOFOLLOW) else {
                continue;
            };
            let kind = stat.st_mode & libc::S_IFMT;
            if kind != libc::S_IFREG && kind != libc::S_IFDIR {
                continue;
            }
            entries.push(Entry {
                name: name.into_bytes(),
                is_directory: kind == libc::S_IFDIR,
                size: stat.st_size as u64,
                modified: stat.st_mtime,
            });
        }
        entries.sort_by(|a, b| (b.is_directory, &a.name).cmp(&(a.is_directory, &b.name)));
        Ok(entries)
    }

    fn directory(&self, path: &Path) -> io::Result<OwnedFd> {
        let path = if path.as_os_str().is_empty() {
            c".".to_owned()
        } else {
            c_path(path)?
        };
        let how = libc::O_RDONLY | libc::O_DIRECTORY;
        open_beneath(self.directory.as_raw_fd(), &path, how)
    }

    /// The directory that a path lies in, and its name there.
    fn parent(&self, path: &Path) -> io::Result<(OwnedFd, CString)> {
        let invalid = || io::Error::from_raw_os_error(libc::EISDIR);
        let name = path.file_name().ok_or_else(invalid)?;
        let parent = self.directory(path.parent().unwrap_or(Path::new("")))?;
        Ok((parent, c_path(Path::new(name))?))
    }
}

fn is_any(error: &io::Error, errnos: &[i32]) -> bool {
    error
        .raw_os_error()
        .is_some_and(|errno| errnos.contains(&errno))
}

fn c_path(path: &Path) -> io::Result<CString> {
    CString::new(path.as_os_str().as_bytes())
        .map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))
}

/// Opens a path that may not leave `directory`.
fn open_beneath(directory: RawFd, path: &CStr, flags: i32) -> io::Result<OwnedFd> {
    // SAFETY: `open_how` is plain integers, for which zero is valid.
    let mut how: libc::open_how = unsafe { MaybeUninit::zeroed().assume_init() };
    how.flags = (flags | libc::O_CLOEXEC) as u64;
    how.resolve = libc::RESOLVE_BENEATH | libc::RESOLVE_NO_MAGICLINKS;
    // SAFETY: a NUL-terminated path and a structure of the size that is passed along.
    let fd = unsafe {
        libc::syscall(
            libc::SYS_openat2,
            directory,
            path.as_ptr(),
            &raw const how,
            size_of_val(&how),
        )
    } as RawFd;
    check(fd)?;
    // SAFETY: a new descriptor without another owner.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn stat(directory: RawFd, name: &CStr, flags: i32) -> io::Result<libc::stat> {
    let mut stat = MaybeUninit::<libc::stat>::uninit();
    // SAFETY: an open descriptor, a NUL-terminated name, and room for the answer.
    check(unsafe { libc::fstatat(directory, name.as_ptr(), stat.as_mut_ptr(), flags) })?;
    // SAFETY: fstatat succeeded and filled it.
    Ok(unsafe { stat.assume_init() })
}

/// The names in an open directory.
fn names(directory: &OwnedFd) -> io::Result<Vec<CString>> {
    let path = format!("/proc/self/fd/{}", directory.as_raw_fd());
    let mut names = Vec::new();
    for entry in fs::read_dir(path)? {
        names.push(c_path(Path::new(OsStr::new(&entry?.file_name())))?);
    }
    Ok(names)
}

fn check(result: i32) -> io::Result<()> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}
