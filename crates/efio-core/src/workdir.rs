//! The working directory of a call, for an open that happens later and on another thread.
//!
//! A relative path is opened as such, from a descriptor of the directory that was the working
//! directory at the call. An absolute path would fail where the directory cannot be reached by its
//! name: deeper than `PATH_MAX`, or below a parent that may not be searched (F72). Opens that are
//! pending at the same time share one descriptor, and none is kept afterwards.

use crate::sys::stat::FileId;
use crate::sys::{open_working_directory, working_directory};
use efio_sync::SpinLock;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Weak};

/// The descriptor of the working directory, while an open needs it.
#[derive(Default)]
pub struct WorkingDirectory {
    last: SpinLock<Option<Last>>,
}

struct Last {
    fd: Weak<OwnedFd>,
    /// Its identity, and its mount, which decides where `..` leads.
    place: (FileId, u64),
}

impl WorkingDirectory {
    /// Returns a descriptor of the calling thread's current working directory.
    ///
    /// # Errors
    ///
    /// Those of `open(2)`, for example `EMFILE` when there is no descriptor.
    pub fn now(&self) -> io::Result<Arc<OwnedFd>> {
        let place = working_directory();
        if let Ok(place) = &place {
            let last = self.last.lock();
            let same = last.as_ref().filter(|last| last.place == *place);
            let fd = same.and_then(|last| last.fd.upgrade());
            drop(last);
            if let Some(fd) = fd {
                return Ok(fd);
            }
        }
        let fd = Arc::new(open_working_directory()?);
        if let Ok(place) = place {
            let fd = Arc::downgrade(&fd);
            *self.last.lock() = Some(Last { fd, place });
        }
        Ok(fd)
    }
}
