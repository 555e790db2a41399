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
    ///
    /// ```
    /// # use efio_core::{Engine, OpenOptions};
    /// # use std::time::Duration;
    /// # fn main() -> std::io::Result<()> {
    /// # let path = std::env::temp_dir().join(format!("efio-ref-close-{}", std::process::id()));
    /// # std::fs::write(&path, b"hello")?;
    /// # let engine = Engine::new()?;
    /// let fd = engine.open(&path, &OpenOptions::new().write(true))?.into_fd();
    /// engine.file(fd).write(b"HELLO")?;
    /// engine.file(fd).close()?;
    /// assert!(engine.file(fd).progress().is_err()); // the number is stale
    /// # drop(engine);
    /// # std::fs::remove_file(path) }
    /// ```
    pub fn close(self) -> io::Result<()> {
        self.file.lock()?.close(false)
    }

    /// Closes the file once it is durable, as [`File::close_sync`] does.
    ///
    /// # Errors
    ///
    /// Those of [`File::close_sync`]; `EBADF` for a number that is stale.
    ///
    /// ```
    /// # use efio_core::{Engine, OpenOptions};
    /// # use std::time::Duration;
    /// # fn main() -> std::io::Result<()> {
    /// # let name = format!("efio-ref-close-sync-{}", std::process::id());
    /// # let path = std::env::temp_dir().join(name);
    /// # std::fs::write(&path, b"hello")?;
    /// # let engine = Engine::new()?;
    /// let fd = engine.open(&path, &OpenOptions::new().write(true))?.into_fd();
    /// engine.file(fd).write(b"HELLO")?;
    /// engine.file(fd).close_sync()?; // a `Closed` event without an error: it is durable
    /// assert!(engine.file(fd).progress().is_err());
    /// # drop(engine);
    /// # std::fs::remove_file(path) }
    /// ```
    pub fn close_sync(self) -> io::Result<()> {
        self.file.lock()?.close(true)
    }

    /// Closes the file and waits until that is done, as [`File::wait_closed`] does.
    ///
    /// # Errors
    ///
    /// Those of [`File::wait_closed`]; `EBADF` for a number that is stale.
    ///
    /// ```
    /// # use efio_core::{Engine, OpenOptions};
    /// # use std::time::Duration;
    /// # fn main() -> std::io::Result<()> {
    /// # let name = format!("efio-ref-wait-closed-{}", std::process::id());
    /// # let path = std::env::temp_dir().join(name);
    /// # std::fs::write(&path, b"hello")?;
    /// # let engine = Engine::new()?;
    /// let fd = engine.open(&path, &OpenOptions::new().write(true))?.into_fd();
    /// engine.file(fd).write(b"HELLO")?;
    /// engine.file(fd).wait_closed(Duration::from_secs(10))?;
    /// assert_eq!(std::fs::read(&path)?, b"HELLO");
    /// # drop(engine);
    /// # std::fs::remove_file(path) }
    /// ```
    pub fn wait_closed(self, timeout: impl Into<Option<Duration>>) -> io::Result<()> {
        let (File { shared, fd, .. }, mut closing) = (&*self.file, None);
        shared.block_on(timeout.into(), |waker| {
            shared.poll_closed(*fd, &mut closing, waker)
        })
    }
}

impl Deref for FileRef<'_> {
    type Target = File;

    fn deref(&self) -> &File {
        &self.file
    }
}
