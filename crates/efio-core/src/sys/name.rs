//! The name of a new file, which is as durable as the directory that has it (F35, F62).
//!
//! The directory is opened right after the open that created the file, and kept open until the
//! file's first sync: by then the directory may have another name, or none, or the process may not
//! reach it any more. All new files of one directory share one descriptor of it. It is the
//! directory that got the name: where the path ends with a symbolic link, that of the link's
//! target.
//!
//! | directory | first sync of the file |
//! |---|---|
//! | is open | syncs it, wherever it is now |
//! | is not open: no descriptor available, or too many directories open | looks for the name again |
//! | does not have the name any more, cannot be read or synced | reports the name as unknown |

use super::beneath::link_at;
use super::directories::{Directories, Directory, NameSync};
use super::open_spec::OpenSpec;
use super::stat::FileId;
use super::{base, open_at, open_plain, platform};
use crate::error::Errno;
use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::Arc;

/// How many links one path may end with, one after the other, as for the kernel.
const MAX_LINKS: u32 = 40;
/// The name of a file that its open created.
#[derive(Debug)]
pub struct Name {
    /// How the file was opened.
    spec: Path,
    file: FileId,
    place: Place,
}

/// The part of an open's spec that locates the file.
#[derive(Debug)]
struct Path {
    path: CString,
    at: Option<Arc<OwnedFd>>,
    beneath: Option<Arc<OwnedFd>>,
    directories: Arc<Directories>,
}

#[derive(Debug)]
enum Place {
    /// In this directory.
    In(Arc<Directory>),
    /// Not looked for, for lack of descriptors.
    Unsought,
    /// Not found, or the directory cannot be synced.
    Unknown(Errno),
}

/// What a directory is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    /// To be kept open.
    Keep,
    /// To be synced at once.
    Sync,
}

/// The file that a path named before an open that may create one.
#[derive(Clone, Copy, Debug)]
pub struct Before(Option<FileId>);

impl Before {
    /// Looks the path up, before the open.
    pub fn find(spec: &OpenSpec) -> Self {
        if spec.flags & libc::O_CREAT == 0 || spec.flags & libc::O_EXCL != 0 {
            return Self(None);
        }
        let found = if spec.beneath.is_some() {
            let flags = platform::SEARCH | libc::O_CLOEXEC | libc::O_NONBLOCK | libc::O_NOCTTY;
            open_at(spec, &spec.path, flags).and_then(|fd| platform::file_id(fd.as_raw_fd()))
        } else {
            platform::file_id_at(base(spec.at.as_ref()), &spec.path, true)
        };
        Self(found.ok())
    }

    /// Returns the name of the file, if the open created it.
    pub fn name(self, spec: &OpenSpec, file: FileId) -> Option<Box<Name>> {
        if spec.flags & libc::O_CREAT == 0 || self.0 == Some(file) {
            return None;
        }
        let spec = Path {
            path: spec.path.clone(),
            at: spec.at.clone(),
            beneath: spec.beneath.clone(),
            directories: Arc::clone(&spec.directories),
        };
        let place = spec.find(file, Purpose::Keep);
        Some(Box::new(Name { spec, file, place }))
    }
}

impl Name {
    /// Makes the name durable, if that is possible.
    pub fn sync(&self) -> NameSync {
        let found;
        let place = match &self.place {
            Place::In(directory) if directory.fd().is_some() => &self.place,
            Place::Unknown(_) => &self.place,
            _ => {
                found = self.spec.find(self.file, Purpose::Sync);
                &found
            }
        };
        match place {
            Place::In(directory) => directory.sync(),
            Place::Unsought => NameSync::NotYet,
            Place::Unknown(errno) => NameSync::Unknown(*errno),
        }
    }
}

impl Path {
    /// Looks for the directory that has the name.
    fn find(&self, file: FileId, purpose: Purpose) -> Place {
        match self.follow(file, purpose) {
            Ok(directory) => Place::In(directory),
            Err(error) if is_shortage(&error) => Place::Unsought,
            Err(error) => Place::Unknown(error.into()),
        }
    }

    fn follow(&self, file: FileId, purpose: Purpose) -> io::Result<Arc<Directory>> {
        let mut path = self.path.as_bytes().to_vec();
        for _ in 0..MAX_LINKS {
            let (parent, last) = split(&path)?;
            let directory = self.open(&parent, purpose)?;
            let held = directory.fd().ok_or_else(|| errno(libc::EMFILE))?;
            let fd = held.as_fd();
            if platform::file_id_at(fd.as_raw_fd(), &last, false)? == file {
                return Ok(directory);
            }
            // Another file has the name by now, unless it is a link.
            let target = link_at(fd, &last).ok_or_else(|| errno(libc::ESTALE))?;
            path = join(parent.as_bytes(), target);
        }
        Err(errno(libc::ELOOP))
    }

    fn open(&self, path: &CStr, purpose: Purpose) -> io::Result<Arc<Directory>> {
        if self.beneath.is_none() {
            // One that is open already need not be opened.
            let identity = platform::file_id_at(base(self.at.as_ref()), path, true)?;
            if let Some(directory) = self.directories.get(identity) {
                return Ok(directory);
            }
        }
        if purpose == Purpose::Keep && self.directories.is_full() {
            return Err(errno(libc::EMFILE));
        }
        let flags = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_CLOEXEC;
        let fd = match &self.beneath {
            Some(root) => platform::open_beneath(root.as_fd(), path, flags, 0)?,
            None => open_plain(base(self.at.as_ref()), path, flags, 0)?,
        };
        let identity = platform::file_id(fd.as_raw_fd())?;
        Ok(Directories::share(&self.directories, identity, fd))
    }
}

/// Splits a path into its directory and its last component.
///
/// `a/b/file`: `a/b` and `file`. `file`: `.` and `file`. `a/..`: an error.
fn split(path: &[u8]) -> io::Result<(CString, CString)> {
    let (parent, last) = match path.iter().rposition(|&byte| byte == b'/') {
        Some(0) => (&b"/"[..], &path[1..]),
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (&b"."[..], path),
    };
    if matches!(last, b"" | b"." | b"..") {
        // Not the name of a file.
        return Err(errno(libc::ESTALE));
    }
    Ok((CString::new(parent)?, CString::new(last)?))
}

/// Returns the path of the target of a link in the directory `parent`.
fn join(parent: &[u8], target: Vec<u8>) -> Vec<u8> {
    if target.first() == Some(&b'/') {
        return target;
    }
    [parent, b"/", &target].concat()
}

/// Whether a retry may succeed.
fn is_shortage(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EMFILE | libc::ENFILE | libc::ENOMEM | libc::EINTR | libc::EAGAIN)
    )
}

fn errno(errno: i32) -> io::Error {
    io::Error::from_raw_os_error(errno)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_a_directory_and_a_name() {
        let parts = |path: &str| {
            let (parent, last) = split(path.as_bytes()).ok()?;
            Some((parent.into_string().unwrap(), last.into_string().unwrap()))
        };
        let both = |parent: &str, last: &str| Some((parent.to_owned(), last.to_owned()));
        assert_eq!(parts("file"), both(".", "file"));
        assert_eq!(parts("/file"), both("/", "file"));
        assert_eq!(parts("a/b//file"), both("a/b/", "file"));
        assert_eq!(parts("a/.."), None);
        assert_eq!(parts("a/"), None);
        assert_eq!(join(b"a", b"../b".to_vec()), b"a/../b");
        assert_eq!(join(b"a", b"/b".to_vec()), b"/b");
    }
}
