//! Positional IO: requests, whose results are events.

use crate::event::{Destination, Pending};
use crate::ffi::{bytes, bytes_mut, enter, error};
use crate::library::library;
use efio_core::{Buffer, SubmitError};
use std::ffi::{c_int, c_void};
use std::io;

/// The maximum of bytes of an ef_read_at or ef_write_at.
pub const EF_AT_MAX: usize = 2097152;

const _: () = assert!(EF_AT_MAX == Buffer::MAX_LEN);

/// Reads up to `nbyte` bytes, EF_AT_MAX at most, from `offset` on. Returns 0 at once; an event
/// EF_KIND_COMPLETED with `token` has the number of bytes, fewer only at the end of file. The call
/// of ef_next_event that returns that event copies the bytes to `buf`, which must stay valid until
/// then, or until ef_shutdown. The position does not move. The read sees what was written through
/// the descriptor before. -1: EBADF when closed or not open for reading, EINVAL for a null `buf`,
/// for no or too many bytes, and beyond the range of offsets, EAGAIN when the memory budget is used
/// up, ENOMEM.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ef_read_at(
    fd: c_int,
    buf: *mut c_void,
    nbyte: usize,
    offset: u64,
    token: u64,
) -> c_int {
    enter(|| {
        let library = library()?;
        let file = library.file(fd)?;
        // SAFETY: the promises of C, see the module above.
        let to = unsafe { bytes_mut(buf, nbyte) }?;
        check_len(nbyte)?;
        let pending = Pending {
            token,
            to: Some(Destination(to.as_mut_ptr())),
        };
        let buffer = library.engine.buffer(nbyte)?;
        library.dispatch.begin_at(pending, |token| {
            let started = file.read_at(offset, buffer, token);
            started.map_err(refusal)
        })?;
        Ok(0)
    })
}

/// Writes `nbyte` bytes, EF_AT_MAX at most, at `offset`. Copies them and returns 0 at once; an
/// event EF_KIND_COMPLETED with `token` has the result. The position does not move. ef_sync covers
/// the write, and its failure is the file's. -1: as ef_read_at, EBADF when not open for writing,
/// EINVAL in append mode, the file's failure.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ef_write_at(
    fd: c_int,
    buf: *const c_void,
    nbyte: usize,
    offset: u64,
    token: u64,
) -> c_int {
    enter(|| {
        let library = library()?;
        let file = library.file(fd)?;
        // SAFETY: the promises of C, see the module above.
        let from = unsafe { bytes(buf, nbyte) }?;
        check_len(nbyte)?;
        let mut buffer = library.engine.buffer(nbyte)?;
        buffer.copy_from_slice(from);
        let pending = Pending { token, to: None };
        library.dispatch.begin_at(pending, |token| {
            let started = file.write_at(offset, buffer, token);
            started.map_err(refusal)
        })?;
        Ok(0)
    })
}

/// Sets the length of the file, in the order of the writes. Returns 0 at once; an event
/// EF_KIND_TRUNCATED or EF_KIND_FAILED follows. -1: EBADF when closed or not open for writing,
/// EINVAL beyond the range of offsets, the file's failure.
#[unsafe(no_mangle)]
pub extern "C" fn ef_truncate(fd: c_int, len: u64) -> c_int {
    enter(|| {
        let library = library()?;
        library.file(fd)?.set_len(len)?;
        Ok(0)
    })
}

fn check_len(nbyte: usize) -> io::Result<()> {
    if nbyte > EF_AT_MAX {
        return Err(error(libc::EINVAL));
    }
    Ok(())
}

/// Returns the error; the buffer goes back to the engine.
fn refusal(refused: SubmitError) -> io::Error {
    refused.error
}
