//! Opens a path that may not leave its directory, one component after the other: where there is no
//! openat2(2), where it is refused, and where it gives up because of renames.
//!
//! ```text
//!  stack of open directories   root ── a ── b
//!  rest of the path            name / .. / link / file
//! ```
//!
//! Each component is one of three cases:
//!
//! 1. A name is opened in the last directory of the stack, never through a symbolic link.
//! 2. `..` pops one directory off the stack, never the root.
//! 3. A symbolic link puts its target before the rest of the path.
//!
//! So whatever is moved or replaced meanwhile, each step starts from a directory that was reached
//! from the root downwards.

use super::{open_plain, platform};
use std::collections::VecDeque;
use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// How many symbolic links one path may contain, as for the kernel.
const MAX_LINKS: u32 = 40;

/// Opens `path` beneath `directory`.
///
/// # Errors
///
/// - `EXDEV` for a path that leads out, as openat2(2) does.
/// - `ELOOP` after too many links.
/// - Those of `openat(2)`.
pub fn walk(directory: BorrowedFd<'_>, path: &CStr, flags: i32, mode: u32) -> io::Result<OwnedFd> {
    let mut walk = Walk {
        root: directory,
        stack: Vec::new(),
        rest: VecDeque::new(),
        links: 0,
    };
    walk.prepend(path.to_bytes())?;
    while let Some(name) = walk.rest.pop_front() {
        if name.as_bytes() == b".." {
            walk.stack.pop().ok_or(leads_out())?;
            continue;
        }
        let last = walk.rest.is_empty();
        let flags = if last {
            flags
        } else {
            platform::SEARCH | libc::O_DIRECTORY | libc::O_CLOEXEC
        };
        let found = open_at(walk.top(), &name, flags | libc::O_NOFOLLOW, mode);
        match found {
            Ok(fd) if last => return Ok(fd),
            Ok(fd) => walk.stack.push(fd),
            Err(error) => match link_at(walk.top(), &name) {
                Some(target) if flags & libc::O_EXCL == 0 => walk.follow(&target)?,
                _ => return Err(error),
            },
        }
    }
    // The path ended with a directory that is open already.
    open_at(walk.top(), c".", flags, mode)
}

struct Walk<'a> {
    root: BorrowedFd<'a>,
    /// The directories below the root, each in the one before it.
    stack: Vec<OwnedFd>,
    /// The remaining components.
    rest: VecDeque<CString>,
    links: u32,
}

impl Walk<'_> {
    fn top(&self) -> BorrowedFd<'_> {
        self.stack.last().map_or(self.root, OwnedFd::as_fd)
    }

    fn follow(&mut self, target: &[u8]) -> io::Result<()> {
        self.links += 1;
        if self.links > MAX_LINKS {
            return Err(io::Error::from_raw_os_error(libc::ELOOP));
        }
        self.prepend(target)
    }

    /// Prepends the components of `path` to the rest. A path that ends with a slash gets a last
    /// component `.`, so that its target has to be a directory.
    fn prepend(&mut self, path: &[u8]) -> io::Result<()> {
        if path.first() == Some(&b'/') {
            return Err(leads_out());
        }
        if self.rest.is_empty() && path.last() == Some(&b'/') {
            self.rest.push_front(c".".to_owned());
        }
        for name in path.rsplit(|&byte| byte == b'/') {
            if !name.is_empty() && name != b"." {
                self.rest.push_front(CString::new(name)?);
            }
        }
        Ok(())
    }
}

fn leads_out() -> io::Error {
    io::Error::from_raw_os_error(libc::EXDEV)
}

fn open_at(directory: BorrowedFd<'_>, name: &CStr, flags: i32, mode: u32) -> io::Result<OwnedFd> {
    open_plain(directory.as_raw_fd(), name, flags, mode)
}

/// Returns the target of the symbolic link `name`; `None` for anything else.
pub fn link_at(directory: BorrowedFd<'_>, name: &CStr) -> Option<Vec<u8>> {
    let mut target = vec![0; libc::PATH_MAX as usize];
    // SAFETY: an open descriptor, a NUL-terminated name, and as much room as the length passed.
    let len = unsafe {
        libc::readlinkat(
            directory.as_raw_fd(),
            name.as_ptr(),
            target.as_mut_ptr().cast(),
            target.len(),
        )
    };
    target.truncate(usize::try_from(len).ok()?);
    Some(target)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, File};
    use std::io::Read;
    use std::os::unix::fs::symlink;

    #[test]
    fn paths_lead_anywhere_beneath_and_nowhere_else() {
        let top = std::env::temp_dir().join(format!("efio-beneath-{}", std::process::id()));
        let root = top.join("root");
        fs::create_dir_all(root.join("a/b")).unwrap();
        fs::write(top.join("secret"), "secret").unwrap();
        fs::write(root.join("file"), "root").unwrap();
        fs::write(root.join("a/b/file"), "below").unwrap();
        for (link, target) in [
            ("a/up", ".."),
            ("a/down", "b/../b/"),
            ("out", "../secret"),
            ("a/out", "../../root/file"),
            ("absolute", "/etc/passwd"),
            ("round", "round"),
            ("to", "a/down/file"),
            ("new", "a/made"),
        ] {
            symlink(target, root.join(link)).unwrap();
        }
        let directory = File::open(&root).unwrap();
        let open = |path: &str, flags| {
            let path = CString::new(path).unwrap();
            walk(directory.as_fd(), &path, flags | libc::O_CLOEXEC, 0o600)
        };
        for (path, content) in [
            ("file", "root"),
            ("./a//b/file", "below"),
            ("a/b/../../file", "root"),
            ("a/up/a/up/file", "root"),
            ("a/down/file", "below"),
            ("to", "below"),
        ] {
            let mut text = String::new();
            let fd = open(path, libc::O_RDONLY).unwrap();
            File::from(fd).read_to_string(&mut text).unwrap();
            assert_eq!(text, content, "{path}");
        }
        for (path, errno) in [
            ("..", libc::EXDEV),
            ("../root/file", libc::EXDEV),
            ("a/b/../../../secret", libc::EXDEV),
            ("a/up/../secret", libc::EXDEV),
            ("out", libc::EXDEV),
            ("a/out", libc::EXDEV),
            ("absolute", libc::EXDEV),
            ("/etc/passwd", libc::EXDEV),
            ("round", libc::ELOOP),
            ("round/file", libc::ELOOP),
            ("file/", libc::ENOTDIR),
            ("file/..", libc::ENOTDIR),
            ("nowhere", libc::ENOENT),
            ("a/nowhere/file", libc::ENOENT),
        ] {
            let error = open(path, libc::O_RDONLY).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(errno), "{path}");
        }
        for path in [".", "a/..", "a/b/", "a/down"] {
            open(path, libc::O_RDONLY | libc::O_DIRECTORY).expect(path);
        }
        let create = libc::O_WRONLY | libc::O_CREAT;
        let error = open("new", create | libc::O_EXCL).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EEXIST));
        open("new", create).unwrap();
        assert!(root.join("a/made").exists());
        fs::remove_dir_all(&top).unwrap();
    }
}
