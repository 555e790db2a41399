//! The directories that are kept open for new files; see [`name`](super::name).

use super::stat::FileId;
use super::{platform, retry};
use crate::error::Errno;
use std::collections::HashMap;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, IntoRawFd, OwnedFd, RawFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// One in this many of the process's descriptors may be a directory that is kept open.
const SHARE: libc::rlim_t = 8;

/// The directories that are kept open for new files of one engine.
#[derive(Debug, Default)]
pub struct Directories {
    held: Mutex<HashMap<FileId, Weak<Directory>>>,
}

/// A directory that is kept open.
#[derive(Debug)]
pub struct Directory {
    identity: FileId,
    /// `None` once an open needed the descriptor more.
    fd: Mutex<Option<Arc<Held>>>,
    of: Weak<Directories>,
}

/// A descriptor that is closed when dropped, unless it belongs to another file by then (F14).
#[derive(Debug)]
pub struct Held {
    fd: Option<OwnedFd>,
    identity: FileId,
}

/// The result of making the name of a new file durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameSync {
    /// The name survives a power cut.
    Durable,
    /// Not synced for lack of descriptors or memory: the next sync retries.
    NotYet,
    /// Its directory cannot be synced, or is not known.
    Unknown(Errno),
}

impl Directory {
    /// Returns its descriptor, if it is open.
    pub fn fd(&self) -> Option<Arc<Held>> {
        lock(&self.fd).clone()
    }

    /// Syncs the directory. An error does not concern the bytes of the file, which are durable by
    /// then. `PostgreSQL` goes on after those errors that mean "this cannot be synced", and
    /// `SQLite` after all of them.
    pub fn sync(&self) -> NameSync {
        let Some(fd) = self.fd() else {
            return NameSync::NotYet;
        };
        let synced = self
            .identity
            .check(fd.as_raw_fd())
            .and_then(|()| retry(|| platform::sync_directory(fd.as_fd())));
        match synced {
            Ok(()) => NameSync::Durable,
            Err(error) => NameSync::Unknown(error.into()),
        }
    }
}

impl Directories {
    /// Returns a directory that is open.
    pub fn get(&self, identity: FileId) -> Option<Arc<Directory>> {
        let directory = lock(&self.held).get(&identity)?.upgrade()?;
        directory.fd().is_some().then_some(directory)
    }

    /// Returns the directory that `fd` is, shared with other files.
    pub fn share(this: &Arc<Self>, identity: FileId, fd: OwnedFd) -> Arc<Directory> {
        if let Some(directory) = this.get(identity) {
            return directory;
        }
        let held = Held {
            fd: Some(fd),
            identity,
        };
        let directory = Arc::new(Directory {
            identity,
            fd: Mutex::new(Some(Arc::new(held))),
            of: Arc::downgrade(this),
        });
        let mut held = lock(&this.held);
        held.insert(identity, Arc::downgrade(&directory));
        directory
    }

    /// Whether as many directories are open as may be.
    pub fn is_full(&self) -> bool {
        lock(&self.held).len() as libc::rlim_t >= max_held()
    }

    /// Closes the descriptors that are not in use, because the process has none left. Their files
    /// look for their directories again. Returns whether there were any.
    pub fn give_up(&self) -> bool {
        let all: Vec<_> = lock(&self.held)
            .values()
            .filter_map(Weak::upgrade)
            .collect();
        let mut any = false;
        for directory in all {
            any |= lock(&directory.fd).take().is_some();
        }
        any
    }
}

impl AsFd for Held {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_ref().expect("there until it is dropped").as_fd()
    }
}

impl AsRawFd for Held {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(fd) = self.fd.take() {
            if self.identity.check(fd.as_raw_fd()).is_err() {
                let _ = fd.into_raw_fd();
            }
        }
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        if let Some(of) = self.of.upgrade() {
            let mut held = lock(&of.held);
            // The next one with this identity may be there already.
            if held
                .get(&self.identity)
                .is_some_and(|one| one.strong_count() == 0)
            {
                held.remove(&self.identity);
            }
        }
    }
}

/// Returns how many directories may be kept open: of 1024 descriptors 128.
fn max_held() -> libc::rlim_t {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: room for the answer.
    let result = unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) };
    let all = if result == 0 { limit.rlim_cur } else { 1024 };
    all / SHARE
}

/// Locks a mutex. Each is held for a few instructions, none of which panics half-way.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
