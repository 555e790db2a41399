//! The events; see the table of the module above.

use crate::backend::BackendInfo;
use crate::error::{Errno, Failure};
use crate::fd::Fd;
use crate::op::{FileFacts, OpenSpec};
use crate::shutdown_report::ShutdownReport;
use tracing::{debug, error, info, warn};

/// Reports the backend of an engine.
pub fn backend(info: &BackendInfo) {
    info!(target: "efio", kind = ?info.kind, reason = info.reason, "backend");
}

/// Reports a file that is about to be opened.
pub fn opening(fd: Fd, spec: &OpenSpec) {
    debug!(target: "efio", ?fd, path = ?spec.path, mode = ?spec.io_mode, "opening");
}

/// Reports that the kernel opened a file.
pub fn opened(fd: Fd, facts: &FileFacts) {
    debug!(target: "efio", ?fd, size = facts.size, dio_align = facts.dio_align, "opened");
    if facts.fell_back {
        fell_back(fd);
    }
}

/// Reports that the kernel refused an IO mode or a cache mode.
pub fn fell_back(fd: Fd) {
    warn!(target: "efio", ?fd, "fell back");
}

/// Reports that a file failed.
pub fn failed(fd: Fd, failure: &Failure) {
    let Failure { errno, offset } = failure;
    error!(target: "efio", ?fd, %errno, offset, "failed");
}

/// Reports that a file is closed.
pub fn closed(fd: Fd, error: Option<Errno>) {
    debug!(target: "efio", ?fd, ?error, "closed");
}

/// Reports that an engine was shut down.
pub fn shut_down(report: &ShutdownReport) {
    let unfinished = report.unfinished.len();
    if report.is_clean() {
        info!(target: "efio", unfinished, "shut down");
    } else {
        warn!(target: "efio", unfinished, "shut down");
    }
}
