//! An open file by its number.

use crate::fd::Fd;
use crate::file::File;
use crate::shared::Shared;
use std::io;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

/// An open file, by the number that [`Engine::file`](crate::Engine::file) was given. It has the
/// calls of [`File`], by reference; dropping it leaves the file open.
#[derive(Debug)]
pub struct FileRef<'engine> {
    file: ManuallyDrop<File>,
    engine: PhantomData<&'engine Arc<Shared>>,
}

impl<'engine> FileRef<'engine> {
    pub(crate) fn new(shared: &'engine Arc<Shared>, fd: Fd) -> Self {
        // SAFETY: the copy is no share of its own: it is never dropped, since the file around it is
        // not, and the one that it copies outlives it.
        let shared = unsafe { std::ptr::read(shared) };
        Self {
            file: ManuallyDrop::new(File::new(shared, fd)),
            engine: PhantomData,
        }
    }

    /// Closes the file as [`File::close`] does.
    ///
    /// # Errors
    ///
    /// Those of [`File::close`]; `EBADF` for a number that is stale.
    pub fn close(self) -> io::Result<()> {
        self.file.shared.close(self.file.fd, false)
    }

    /// Closes the file once it is durable, as [`File::close_sync`] does.
    ///
    /// # Errors
    ///
    /// Those of [`File::close_sync`]; `EBADF` for a number that is stale.
    pub fn close_sync(self) -> io::Result<()> {
        self.file.shared.close(self.file.fd, true)
    }

    /// Closes the file and waits until that is done, as [`File::wait_closed`] does.
    ///
    /// # Errors
    ///
    /// Those of [`File::wait_closed`]; `EBADF` for a number that is stale.
    pub fn wait_closed(self, timeout: impl Into<Option<Duration>>) -> io::Result<()> {
        self.file
            .shared
            .close_and_wait(self.file.fd, timeout.into())
    }
}

impl Deref for FileRef<'_> {
    type Target = File;

    fn deref(&self) -> &File {
        &self.file
    }
}
