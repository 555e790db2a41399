//! Open and close.

use crate::closes::Closer;
use crate::ffi::{self, enter, error};
use crate::flags;
use crate::library::library;
use efio_core::Errno;
use std::ffi::{c_char, c_int, c_uint};
use std::sync::mpsc;

/// Opens a file. Returns a descriptor at once; the kernel opens the file in the background, and
/// ef_open_status has the result. Writes are accepted meanwhile. `mode` is used when `oflag` has
/// O_CREAT. -1: EINVAL for a null or empty path and for flags that cannot be obeyed, EMFILE when
/// all descriptors are in use, ENAMETOOLONG.
///
/// ef_open is this call with variable arguments.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ef_open_mode(path: *const c_char, oflag: c_int, mode: c_uint) -> c_int {
    // SAFETY: the same promises of C.
    unsafe { ef_open_user_data(path, oflag, mode, 0) }
}

/// Like ef_open_mode. Every event of the file has `user_data`, which ef_next_event returns: the
/// number or pointer by which the program finds what it keeps for the file.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ef_open_user_data(
    path: *const c_char,
    oflag: c_int,
    mode: c_uint,
    user_data: u64,
) -> c_int {
    enter(|| {
        let library = library()?;
        // SAFETY: the promises of C, see the module above.
        let path = unsafe { ffi::path(path) }?;
        let options = flags::options(oflag, mode)?.user_data(user_data);
        let fd = library.engine.open(path, &options)?.into_fd();
        Ok(library.numbers.issue(fd))
    })
}

/// Returns `fd` when the file is open, or -1: EAGAIN while the open is pending, EBADF when closed,
/// else the error of the open, which is never EAGAIN; the descriptor is closed then.
#[unsafe(no_mangle)]
pub extern "C" fn ef_open_status(fd: c_int) -> c_int {
    enter(|| {
        let library = library()?;
        match library.file(fd)?.open_status() {
            Ok(true) => Ok(fd),
            Ok(false) => Err(error(libc::EAGAIN)),
            Err(refused) => {
                // Another call may have closed it; else this one returns the same error once more.
                let _ = library.close(fd, Closer::Library);
                Err(refused)
            }
        }
    })
}

/// Closes the file: the descriptor is no longer valid, accepted bytes are written in the
/// background, and ef_close_status has the result. Returns 0, or -1 with the file's error if it has
/// failed before; it is closed all the same. EBADF: it was closed before.
#[unsafe(no_mangle)]
pub extern "C" fn ef_close(fd: c_int) -> c_int {
    enter(|| library()?.close(fd, Closer::Program)?.map(|()| 0))
}

/// Closes the file, waits until that is done and the callback was called. Returns 0 when every
/// byte is durable (with EF_OPTION_DURABLE_CLOSE 0: when the kernel has it), or -1 with the first
/// error of the file; it is closed all the same. EBADF: it was closed before.
#[unsafe(no_mangle)]
pub extern "C" fn ef_close_immediate(fd: c_int) -> c_int {
    enter(|| {
        let library = library()?;
        let (sender, closed) = mpsc::channel();
        // The result has the error of a file that has failed before.
        let _ = library.close(fd, Closer::Waiting(sender))?;
        let result = closed.recv().unwrap_or(Err(Errno(libc::EIO)));
        library.dispatch.caller.settle();
        result?;
        Ok(0)
    })
}

/// Returns the result of a close: 0, or -1: EAGAIN while it is pending, EINVAL when the file is
/// open, EBADF for any other number, else the first error of the file. The results of the last
/// closes are kept, as many as files may be open at once.
#[unsafe(no_mangle)]
pub extern "C" fn ef_close_status(fd: c_int) -> c_int {
    enter(|| {
        let library = library()?;
        if library.file(fd).is_ok() {
            return Err(error(libc::EINVAL));
        }
        library.dispatch.closes.status(fd).map(|()| 0)
    })
}
