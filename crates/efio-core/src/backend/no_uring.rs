//! Replaces the uring backend where there is no io_uring: it never starts.

use super::Backend;
use crate::config::Config;
use crate::op::{Completion, FileId, Request};
use crate::stats::Counters;
use crate::sys::file::KernelFile;
use efio_sync::{Doorbell, EventFd};
use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// A backend without values.
pub struct UringBackend(Infallible);

impl UringBackend {
    /// Always fails.
    ///
    /// # Errors
    ///
    /// `ENOSYS`.
    pub fn start(
        _config: &Config,
        _driver: Arc<Doorbell<EventFd>>,
        _counters: Arc<Counters>,
    ) -> io::Result<Self> {
        Err(io::Error::from_raw_os_error(libc::ENOSYS))
    }
}

impl Backend for UringBackend {
    type File = KernelFile;

    fn submit(&mut self, _request: Request<KernelFile>) -> Result<(), Request<KernelFile>> {
        match self.0 {}
    }

    fn id(file: &KernelFile) -> FileId {
        file.id()
    }

    fn reap(&mut self, _out: &mut Vec<Completion<KernelFile>>) {
        match self.0 {}
    }

    fn wait(&mut self, _timeout: Option<Duration>) {
        match self.0 {}
    }
}
