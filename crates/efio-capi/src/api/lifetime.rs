//! Open and close.

use crate::descriptors::CloseState;
use crate::ffi::{self, enter, error};
use crate::flags;
use crate::library::{descriptor, library};
use std::ffi::{c_char, c_int, c_uint};
use std::io;

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
        let (options, writable) = flags::options(oflag, mode)?;
        let options = options.user_data(user_data);
        let open = || Ok(library.engine.open(path, &options)?.into_fd());
        library.dispatch.register(library.max_files, writable, open)
    })
}

/// Returns `fd` when the file is open, or -1: EAGAIN while the open is pending, EBADF when closed,
/// else the error of the open, which is never EAGAIN; the descriptor is closed then.
#[unsafe(no_mangle)]
pub extern "C" fn ef_open_status(fd: c_int) -> c_int {
    enter(|| {
        let (library, descriptor) = descriptor(fd)?;
        match library.file(descriptor).open_status() {
            Ok(true) => Ok(fd),
            Ok(false) => Err(error(libc::EAGAIN)),
            Err(refused) => {
                let names_a_file = library.file(descriptor).failure().is_ok();
                if names_a_file && descriptor.claim_close(true) {
                    // It returns the same error once more.
                    let _ = library.close(descriptor);
                }
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
    enter(|| {
        let (library, descriptor) = descriptor(fd)?;
        if !descriptor.claim_close(false) {
            return Err(error(libc::EBADF));
        }
        library.close(descriptor).map(|()| 0)
    })
}

/// Closes the file, waits until that is done and the callback was called. Returns 0 when every
/// byte is durable (with EF_OPTION_DURABLE_CLOSE 0: when the kernel has it), or -1 with the first
/// error of the file; it is closed all the same. EBADF: it was closed before.
#[unsafe(no_mangle)]
pub extern "C" fn ef_close_immediate(fd: c_int) -> c_int {
    enter(|| {
        let (library, descriptor) = descriptor(fd)?;
        if !descriptor.claim_close(false) {
            return Err(error(libc::EBADF));
        }
        let close = || library.close(descriptor);
        library.dispatch.close_and_wait(descriptor.fd(), close)?;
        Ok(0)
    })
}

/// Returns the result of a close: 0, or -1: EAGAIN while it is pending, EINVAL when the file is
/// open, EBADF for a number that was never given out, else the first error of the file. The result
/// stays until the number is given to another file.
#[unsafe(no_mangle)]
pub extern "C" fn ef_close_status(fd: c_int) -> c_int {
    enter(|| {
        let (library, descriptor) = descriptor(fd)?;
        match descriptor.close_state() {
            CloseState::Closed(result) => {
                if result.is_err() {
                    library.dispatch.mark_reported(descriptor.fd());
                }
                result.map(|()| 0).map_err(io::Error::from)
            }
            CloseState::Closing => Err(error(libc::EAGAIN)),
            CloseState::Open => Err(error(libc::EINVAL)),
            CloseState::Unknown => Err(error(libc::EBADF)),
        }
    })
}
