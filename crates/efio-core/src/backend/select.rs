//! Which backend an engine gets.

use super::PoolBackend;
use crate::config::{BackendKind, Config};
use efio_sync::{Doorbell, EventFd};
use std::io;
use std::sync::Arc;

/// Starts the backend that the configuration names.
///
/// # Errors
///
/// [`io::ErrorKind::Unsupported`] for io_uring, which is not built yet; what
/// [`PoolBackend::start`] says.
pub fn start(config: &Config, bell: Arc<Doorbell<EventFd>>) -> io::Result<PoolBackend> {
    match config.backend {
        BackendKind::Auto | BackendKind::Pool => PoolBackend::start(config.workers, bell),
        BackendKind::Uring => {
            let message = "the io_uring backend is not built yet";
            Err(io::Error::new(io::ErrorKind::Unsupported, message))
        }
    }
}
