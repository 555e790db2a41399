//! Positional IO: requests, whose answers are events.

use crate::event::{Pending, Place};
use crate::ffi::{bytes, bytes_mut, enter, error};
use crate::library::descriptor;
use efio_core::{Buffer, SubmitError};
use std::ffi::{c_int, c_void};
use std::io;

/// The most bytes of one ef_read_at or ef_write_at.
pub const EF_AT_MAX: usize = 2097152;

const _: () = assert!(EF_AT_MAX == Buffer::MAX_LEN);

/// Reads up to `nbyte` bytes, EF_AT_MAX at most, from `offset` on. Returns 0 at once; an event
/// EF_KIND_COMPLETED with `token` says how many there were, fewer only at the end of file. The
/// bytes are copied to `buf` when ef_next_event gives that event: until then, or until ef_shutdown,
/// `buf` must be there. The position does not move; what was written through the descriptor before
/// is seen. -1: EBADF when closed or not open for reading, EINVAL for a null `buf`, for no or too
/// many bytes, and beyond the range of offsets, EAGAIN when the memory budget is used up, ENOMEM.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ef_read_at(
    fd: c_int,
    buf: *mut c_void,
    nbyte: usize,
    offset: u64,
    token: u64,
) -> c_int {
    enter(|| {
        let (library, descriptor) = descriptor(fd)?;
        // SAFETY: what C promises, see the module above.
        let to = unsafe { bytes_mut(buf, nbyte) }?;
        check_len(nbyte)?;
        let pending = Pending {
            token,
            to: Some(Place(to.as_mut_ptr())),
        };
        let buffer = library.engine.buffer(nbyte)?;
        let file = descriptor.fd();
        library.desk.begin_at(pending, |token| {
            let started = library.engine.file(file).read_at(offset, buffer, token);
            started.map_err(refusal)
        })?;
        Ok(0)
    })
}

/// Writes `nbyte` bytes, EF_AT_MAX at most, at `offset`. They are copied before it returns 0; an
/// event EF_KIND_COMPLETED with `token` says how it went. The position does not move; ef_sync
/// covers it, and its failure is the file's. -1: as ef_read_at, EBADF when not open for writing,
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
        let (library, descriptor) = descriptor(fd)?;
        // SAFETY: what C promises, see the module above.
        let from = unsafe { bytes(buf, nbyte) }?;
        check_len(nbyte)?;
        let mut buffer = library.engine.buffer(nbyte)?;
        buffer.copy_from_slice(from);
        let pending = Pending { token, to: None };
        let file = descriptor.fd();
        library.desk.begin_at(pending, |token| {
            let started = library.engine.file(file).write_at(offset, buffer, token);
            started.map_err(refusal)
        })?;
        Ok(0)
    })
}

/// Sets the length of the file, in its turn among what was written. Returns 0 at once; an event
/// EF_KIND_TRUNCATED or EF_KIND_FAILED follows. -1: EBADF when closed or not open for writing,
/// EINVAL beyond the range of offsets, the file's failure.
#[unsafe(no_mangle)]
pub extern "C" fn ef_truncate(fd: c_int, len: u64) -> c_int {
    enter(|| {
        let (library, descriptor) = descriptor(fd)?;
        library.engine.file(descriptor.fd()).set_len(len)?;
        Ok(0)
    })
}

fn check_len(nbyte: usize) -> io::Result<()> {
    if nbyte > EF_AT_MAX {
        return Err(error(libc::EINVAL));
    }
    Ok(())
}

/// The buffer goes back to the pool.
fn refusal(refused: SubmitError) -> io::Error {
    refused.error
}
