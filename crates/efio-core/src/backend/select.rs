//! Selects the backend of an engine, and records why.
//!
//! ```text
//!  Builder::backend ── Pool, Uring ─────────────────────────────► that one, or an error
//!         └ Auto ── EFIO_BACKEND ── pool, uring ────────────────► that one, or an error
//!                        └ not set ── io_uring available ─ yes ─► Uring
//!                                            └ no ──────────────► Pool
//! ```

use super::{PoolBackend, UringBackend};
use crate::config::{BackendKind, Config};
use crate::stats::Counters;
use efio_sync::{Doorbell, EventFd};
use std::ffi::OsStr;
use std::io;
use std::sync::Arc;

/// The variable by which operators override [`BackendKind::Auto`].
const VARIABLE: &str = "EFIO_BACKEND";

/// Which backend an engine has; see [`Engine::backend`](crate::Engine::backend).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BackendInfo {
    /// The one chosen, never [`BackendKind::Auto`].
    pub kind: BackendKind,
    /// Why, for a log.
    pub reason: String,
}

impl BackendInfo {
    fn new(kind: BackendKind, reason: impl Into<String>) -> Self {
        Self {
            kind,
            reason: reason.into(),
        }
    }

    #[cfg(feature = "__sim")]
    /// The backend of an engine over a simulated disk.
    pub(crate) fn simulated() -> Self {
        Self::new(BackendKind::Auto, "a simulated disk")
    }
}

/// The backend of an engine on the real kernel.
pub enum Selected {
    /// A ring and worker threads.
    Uring(Box<UringBackend>),
    /// Only worker threads.
    Pool(PoolBackend),
}

/// Starts the backend that the configuration, the environment or the kernel decides on. The driver
/// thread calls this.
///
/// # Errors
///
/// - `InvalidInput` if the variable names no backend.
/// - `Unsupported` if io_uring was asked for and is not available.
/// - The errors of [`PoolBackend::start`].
pub fn start(
    config: &Config,
    doorbell: Arc<Doorbell<EventFd>>,
    counters: Arc<Counters>,
) -> io::Result<(Selected, BackendInfo)> {
    let variable = std::env::var_os(VARIABLE);
    let (kind, asked) = choice(config.backend, variable.as_deref())?;
    let pool = |doorbell| PoolBackend::start(config, doorbell).map(Selected::Pool);
    if kind == BackendKind::Pool {
        return Ok((pool(doorbell)?, BackendInfo::new(kind, asked)));
    }
    match UringBackend::start(config, Arc::clone(&doorbell), counters) {
        Ok(uring) => {
            let info = BackendInfo::new(BackendKind::Uring, asked);
            Ok((Selected::Uring(Box::new(uring)), info))
        }
        Err(error) if kind == BackendKind::Auto => {
            let reason = format!("io_uring is not available: {error}");
            let info = BackendInfo::new(BackendKind::Pool, reason);
            Ok((pool(doorbell)?, info))
        }
        Err(error) => {
            let message = format!("io_uring is not available: {error}");
            Err(io::Error::new(io::ErrorKind::Unsupported, message))
        }
    }
}

/// Returns the kind that was asked for, and who asked.
fn choice(
    configured: BackendKind,
    variable: Option<&OsStr>,
) -> io::Result<(BackendKind, &'static str)> {
    if configured != BackendKind::Auto {
        return Ok((configured, "the program asks for it"));
    }
    let Some(variable) = variable.filter(|variable| !variable.is_empty()) else {
        return Ok((BackendKind::Auto, "the kernel has io_uring"));
    };
    match variable.to_str() {
        Some("pool") => Ok((BackendKind::Pool, "EFIO_BACKEND asks for it")),
        Some("uring") => Ok((BackendKind::Uring, "EFIO_BACKEND asks for it")),
        _ => {
            let message = format!("{VARIABLE} is {variable:?}; it must be pool or uring");
            Err(io::Error::new(io::ErrorKind::InvalidInput, message))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_takes_precedence_over_the_environment() {
        let kind = |configured, variable: Option<&str>| {
            choice(configured, variable.map(OsStr::new)).map(|(kind, _)| kind)
        };
        use BackendKind::{Auto, Pool, Uring};
        assert_eq!(kind(Auto, None).unwrap(), Auto);
        assert_eq!(kind(Auto, Some("")).unwrap(), Auto);
        assert_eq!(kind(Auto, Some("pool")).unwrap(), Pool);
        assert_eq!(kind(Auto, Some("uring")).unwrap(), Uring);
        assert_eq!(kind(Uring, Some("pool")).unwrap(), Uring);
        assert_eq!(kind(Pool, Some("nonsense")).unwrap(), Pool);
        let error = kind(Auto, Some("URING")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "EFIO_BACKEND is \"URING\"; it must be pool or uring"
        );
    }
}
