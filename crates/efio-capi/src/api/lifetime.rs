//! From open to close.

use crate::descriptors::CloseState;
use crate::ffi::{self, enter, error};
use crate::flags;
use crate::library::{descriptor, library};
use std::ffi::{c_char, c_int, c_uint};
use std::io;

/// What ef_open calls; for languages without variadic functions. `mode` counts when `oflag` has
/// O_CREAT.
///
/// Opens a file. Returns a descriptor at once; the kernel opens the file in the background, and
/// ef_open_status says how it went. Writes are accepted meanwhile. -1: EINVAL for a null or empty
/// path and for flags that cannot be obeyed, EMFILE when all descriptors are in use, ENAMETOOLONG.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ef_open_mode(path: *const c_char, oflag: c_int, mode: c_uint) -> c_int {
    enter(|| {
        let library = library()?;
        // SAFETY: what C promises, see the module above.
        let path = unsafe { ffi::path(path) }?;
        let (options, writable) = flags::options(oflag, mode)?;
        let open = || Ok(library.engine.open(path, &options)?.into_fd());
        library.desk.register(library.max_files, writable, open)
    })
}

/// Whether the file is open: returns `fd`; or -1: EAGAIN while the kernel is about it, else the
/// error of the open, which is never EAGAIN, and then the descriptor is closed. EBADF when it is
/// closed.
#[unsafe(no_mangle)]
pub extern "C" fn ef_open_status(fd: c_int) -> c_int {
    enter(|| {
        let (library, descriptor) = descriptor(fd)?;
        match library.engine.file(descriptor.fd()).open_status() {
            Ok(true) => Ok(fd),
            Ok(false) => Err(error(libc::EAGAIN)),
            Err(refused) => {
                let names_a_file = library.engine.file(descriptor.fd()).failure().is_ok();
                if names_a_file && descriptor.claim_close(true) {
                    // It gives the same error once more.
                    let _ = library.close(descriptor);
                }
                Err(refused)
            }
        }
    })
}

/// Closes the file: the descriptor is no longer valid, what was written goes to disk in the
/// background, and ef_close_status says how it went. Returns 0, or -1 with the file's error if it
/// has failed before; it is closed all the same. EBADF: it was closed before.
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

/// Closes the file and waits until that is done and the callback was told. Returns 0 when every
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
        library.desk.close_and_wait(descriptor.fd(), close)?;
        Ok(0)
    })
}

/// Whether a close has ended: returns 0; or -1: EAGAIN while it goes on, EINVAL when the file is
/// open, EBADF for a number that was never given out, else the first error of the file. The
/// answer stays until the number is given to another file.
#[unsafe(no_mangle)]
pub extern "C" fn ef_close_status(fd: c_int) -> c_int {
    enter(|| {
        let (library, descriptor) = descriptor(fd)?;
        match descriptor.close_state() {
            CloseState::Closed(result) => {
                if result.is_err() {
                    library.desk.heard_of(descriptor.fd());
                }
                result.map(|()| 0).map_err(io::Error::from)
            }
            CloseState::Closing => Err(error(libc::EAGAIN)),
            CloseState::Open => Err(error(libc::EINVAL)),
            CloseState::Unknown => Err(error(libc::EBADF)),
        }
    })
}
