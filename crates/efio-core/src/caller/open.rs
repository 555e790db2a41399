//! Opening: checks what can be checked without the kernel, allocates a slot, and sends the open to
//! the driver.

use super::EINVAL;
use crate::command::{Command, OpenCommand};
use crate::error::Errno;
use crate::fd::{CALLER, CallerState, Fd, RunBy};
use crate::op::{OpenSpec, OpenToken, Truncation};
use crate::options::OpenOptions;
use crate::shared::Shared;
use std::ffi::{CString, OsStr};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

impl Shared {
    /// Opens `path` in the background; the descriptor can be used at once. `token` can cancel the
    /// open.
    pub fn open(
        &self,
        path: &Path,
        options: &OpenOptions,
        token: Option<Arc<OpenToken>>,
    ) -> io::Result<Fd> {
        self.check_process()?;
        if self.is_stopped() {
            return Err(io::Error::from_raw_os_error(libc::ESHUTDOWN));
        }
        let (path, at) = self.resolve_path(path, options.beneath.is_some())?;
        let spec = OpenSpec {
            path,
            at,
            flags: options.flags()?,
            mode: options.mode,
            beneath: options.beneath.clone(),
            io_mode: options.io_mode.unwrap_or(self.config.io_mode),
            truncation: Truncation::AtOnce,
            token,
            directories: Arc::clone(&self.directories),
        };
        let (index, slot) = self.table.allocate()?;
        // A caller with a stale descriptor may take the lock and read the slot at any time.
        let mut caller = slot.caller.acquire(CALLER);
        let fd = slot.begin(index);
        caller.generation = fd.generation();
        caller.may_read = options.read;
        caller.may_write = options.writes();
        caller.append = options.appends();
        if options.prefetch && options.read {
            caller.begin_run(slot, RunBy::Open);
        }
        drop(caller);

        let (may_read, prefetch) = (options.read, options.prefetch);
        let sent = self.command(Command::Open(Box::new(OpenCommand {
            fd,
            spec,
            may_read,
            prefetch,
            wakers: options.wakers,
            user_data: options.user_data,
        })));
        if let Err(errno) = sent {
            let mut caller = slot.caller.acquire(CALLER);
            slot.end();
            *caller = CallerState::default();
            drop(caller);
            self.table.release(index);
            return Err(errno.into());
        }
        Ok(fd)
    }

    /// Returns the path as the kernel gets it. The open runs later and on another thread, so a
    /// relative path starts at the current working directory of this call.
    fn resolve_path(
        &self,
        path: &Path,
        beneath: bool,
    ) -> io::Result<(CString, Option<Arc<OwnedFd>>)> {
        let bytes = path.as_os_str().as_bytes();
        if bytes.is_empty() {
            return Err(Errno(libc::ENOENT).into());
        }
        if bytes.len() >= libc::PATH_MAX as usize {
            return Err(Errno(libc::ENAMETOOLONG).into());
        }
        let c_path = |path: &OsStr| CString::new(path.as_bytes()).map_err(|_| EINVAL);
        if beneath || path.is_absolute() {
            return Ok((c_path(path.as_os_str())?, None));
        }
        match self.working_directory.now() {
            Ok(at) => Ok((c_path(path.as_os_str())?, Some(at))),
            // No descriptor of the directory: use its name, if that is short enough.
            Err(error) => {
                let whole = std::env::current_dir().map_err(|_| error)?.join(path);
                Ok((c_path(whole.as_os_str())?, None))
            }
        }
    }
}
